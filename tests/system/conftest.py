"""A private engine for the tests of a module, on directories and names that end with it.

The whole run lies in a testbed (tests/support/testbed): network, mount and process namespaces of its own.
"""
import pytest

from engine import Engine
from engine_fixtures import engine, nothing_left, registry, rootfs_tar  # noqa: F401


@pytest.fixture
def fresh_engine(tmp_path, rootfs_tar):
    """An engine of the test's own, for tests that kill or restart it."""
    with Engine(tmp_path) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running
