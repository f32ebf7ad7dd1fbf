"""The checks of tests/support/copies.py hold for dockerd."""
import os
import tempfile

import pytest

from copies import Archives, check_client, check_reading, check_writing
from test_docker import Docker


@pytest.fixture(scope="module")
def archives(peers):
    engine = Docker(peers)
    yield Archives(peers.path("/run/docker.sock"), lambda *words, **options: peers.run("docker", *words, **options))
    engine.close()


@pytest.fixture(autouse=True)
def no_containers(archives):
    yield
    archives.docker("rm", "-f", "-v", *archives.docker("ps", "-aq").stdout.split())
    archives.docker("volume", "rm", "vol")


def test_reading(archives):
    check_reading(archives)


def test_writing(archives):
    check_writing(archives)


def test_the_client(archives, peers):
    # The client works in the peers' view: the same folder has another name there.
    outside = tempfile.mkdtemp(dir=peers.path("/tmp"))
    inside = "/tmp/" + outside.rsplit("/", 1)[1]
    os.symlink(outside, inside)
    try:
        check_client(archives, inside)
    finally:
        os.unlink(inside)
