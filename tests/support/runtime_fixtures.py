"""Fixtures of the tests that use the runtime's command line: `from runtime_fixtures import rootfs, runtime`."""
import pytest

from runtime import Runtime, make_rootfs


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "rootfs"
    make_rootfs(folder)
    return folder


@pytest.fixture
def runtime(tmp_path, rootfs):
    """A state root of the test's own; what is left is deleted, and that must leave nothing."""
    made = Runtime(tmp_path, rootfs)
    yield made
    made.delete_all()
    assert made.remains() == []
