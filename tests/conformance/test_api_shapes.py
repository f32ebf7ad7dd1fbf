"""dockerd's answers have the members of tests/api/shapes.json; BERTH_TEST_RECORD=1 writes that file."""
import json
import os

from api_shapes import RECORD, Shapes
from test_docker import Docker


def test_members_are_those_of_the_record(peers):
    engine = Docker(peers)
    try:
        peers.run("docker", "import", "-c", 'CMD ["sh"]', "-", "busybox:latest", stdin=peers.rootfs_tar)
        found = Shapes(peers.path("/run/docker.sock")).find()
    finally:
        engine.close()
    if os.environ.get("BERTH_TEST_RECORD"):
        RECORD.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(RECORD.read_text())
