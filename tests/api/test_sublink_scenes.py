"""Macvlan and ipvlan networks answer as dockerd's do: tests/support/api_sublinks.py."""
import pytest

from api_sublinks import SCENES, Lan


@pytest.fixture
def lan(engine):
    lan = Lan(engine.socket)
    yield lan
    lan.close()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_is_as_docker_has_it(lan, scene):
    scene(lan)
