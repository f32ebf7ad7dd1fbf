"""The checks of tests/support/transfers.py hold for dockerd."""
import subprocess

import pytest

from engine import DEADLINE, Registry
from test_docker import Docker
from transfers import Transfers, check_client, check_load, check_registry


@pytest.fixture(scope="module")
def transfers(peers, tmp_path_factory):
    engine = Docker(peers)
    socket = peers.path("/run/docker.sock")

    def docker(*words, input=None, check=True):
        done = subprocess.run(peers.command("docker", *words), env=dict(peers.environment, DOCKER_BUILDKIT="0"), input=input,
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True, timeout=DEADLINE * 2)
        assert not check or done.returncode == 0, (words, done)
        return done

    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        # Of two steps in one moment dockerd's progress keeps the later.
        yield Transfers(socket, docker, registry.address, droppable=("Verifying Checksum",))
    engine.close()


@pytest.fixture(autouse=True)
def busybox(transfers, peers):
    transfers.docker("import", "-c", 'CMD ["sh"]', "-", "busybox:latest", input=open(peers.rootfs_tar, "rb").read())


def test_pushes_and_pulls(transfers):
    check_registry(transfers)


def test_load(transfers):
    check_load(transfers)


def test_the_clients_words(transfers):
    check_client(transfers)
