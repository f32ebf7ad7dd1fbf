"""A private engine for each module, in a testbed of its own, and the API's specification."""
import pytest

from engine_fixtures import engine, rootfs_tar  # noqa: F401
from specification import Specification


@pytest.fixture(scope="session")
def specification():
    return Specification.read()
