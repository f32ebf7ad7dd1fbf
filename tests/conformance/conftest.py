"""berth-runtime below other people's engines, all in one testbed: a view of the peers' root with what Debian has."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from peers_view import Peers  # noqa: E402


@pytest.fixture(scope="session")
def peers(tmp_path_factory):
    view = Peers(tmp_path_factory.mktemp("peers"))
    yield view
    view.close()
