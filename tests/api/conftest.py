"""A private engine for each module, in a testbed of its own, and the API's specification."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import Engine, busybox_rootfs  # noqa: E402
from specification import Specification  # noqa: E402


@pytest.fixture(scope="session")
def rootfs_tar(tmp_path_factory):
    return busybox_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(scope="session")
def specification():
    return Specification.read()


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running
