"""A private engine for each module, in a testbed of its own, and the API's specification."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine_fixtures import engine, rootfs_tar  # noqa: E402,F401
from specification import Specification  # noqa: E402


@pytest.fixture(scope="session")
def specification():
    return Specification.read()
