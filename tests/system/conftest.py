"""A private engine for the tests of a module, on directories and names that end with it.

The whole run lies in a testbed (tests/support/testbed): network, mount and process namespaces of its own.
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import Engine  # noqa: E402
from engine_fixtures import engine, nothing_left, registry, rootfs_tar  # noqa: E402,F401


@pytest.fixture
def fresh_engine(tmp_path, rootfs_tar):
    """An engine of the test's own, for tests that kill or restart it."""
    with Engine(tmp_path) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running
