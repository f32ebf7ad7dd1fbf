"""Registries for the tests of this folder: ours, and Debian's docker-registry as the peer.

The whole run lies in a testbed (tests/support/testbed): a network namespace of its own.
"""
import pytest

from engine_fixtures import registry  # noqa: F401
from registries import DockerRegistry


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with DockerRegistry(tmp_path_factory.mktemp("peer")) as running:
        yield running
