"""Registries for the tests of this folder: ours, and Debian's docker-registry as the peer.

The whole run lies in a testbed (tests/support/testbed): a network namespace of its own.
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine_fixtures import registry  # noqa: E402,F401
from registries import DockerRegistry  # noqa: E402


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with DockerRegistry(tmp_path_factory.mktemp("peer")) as running:
        yield running
