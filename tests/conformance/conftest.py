"""berth-runtime below other people's engines, all in one testbed: a view of the peers' root with what Debian has."""
import pytest

from peers_view import Peers


@pytest.fixture(scope="session")
def peers(tmp_path_factory):
    view = Peers(tmp_path_factory.mktemp("peers"))
    yield view
    view.close()
