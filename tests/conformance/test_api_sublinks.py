"""dockerd's macvlan and ipvlan networks are as tests/support/api_sublinks.py says."""
import pytest

from api_sublinks import SCENES, Lan
from test_docker import Docker


@pytest.fixture(scope="module")
def socket(peers):
    engine = Docker(peers)
    peers.run("docker", "import", "-c", 'CMD ["sh"]', "-", "busybox:latest", stdin=peers.rootfs_tar)
    yield peers.path("/run/docker.sock")
    engine.close()


@pytest.fixture
def lan(socket):
    lan = Lan(socket)
    yield lan
    lan.close()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_dockerd_has_it_so(lan, scene):
    scene(lan)
