"""Fixtures of the tests that have an engine for each module: `from engine_fixtures import engine, rootfs_tar, …`."""
import pytest

from engine import Engine, Registry, busybox_rootfs


@pytest.fixture(scope="session")
def rootfs_tar(tmp_path_factory):
    """A root file system of Debian's static busybox, as a tar file."""
    return busybox_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(request):
    """No test may leave containers or volumes behind for the next one of its module."""
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").remove_all()
