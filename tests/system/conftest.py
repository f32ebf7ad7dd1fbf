"""A private engine for the tests of a module, on directories and names that end with it.

The whole run lies in a testbed (tests/support/testbed): network, mount and process namespaces of its own.
"""
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import Engine, Registry, busybox_rootfs  # noqa: E402


@pytest.fixture(scope="session")
def rootfs_tar(tmp_path_factory):
    """A root file system of Debian's static busybox, as a tar file."""
    return busybox_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture
def fresh_engine(tmp_path, rootfs_tar):
    """An engine of the test's own, for tests that kill or restart it."""
    with Engine(tmp_path) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(request):
    """No test may leave containers behind for the next one of its module."""
    yield
    if "engine" in request.fixturenames:
        running = request.getfixturevalue("engine")
        left = running.berth("ps", "-aq").stdout.split()
        if left:
            running.berth("rm", "-f", "-v", *left)
