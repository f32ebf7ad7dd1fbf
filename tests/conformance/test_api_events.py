"""dockerd tells the events of tests/api/events.json; BERTH_TEST_RECORD=1 writes that file."""
import json
import os

from api_events import RECORD, Life
from test_docker import Docker


def test_events_are_those_of_the_record(peers):
    engine = Docker(peers)
    try:
        for kind in ("container", "volume", "image"):  # of engines before: Life prunes, too
            peers.run("docker", kind, "prune", "-f")
        peers.run("docker", "import", "-c", 'CMD ["sh"]', "-", "busybox:latest", stdin=peers.rootfs_tar)
        found = Life(peers.path("/run/docker.sock")).live()
    finally:
        engine.close()
    if os.environ.get("BERTH_TEST_RECORD"):
        RECORD.write_text("[\n" + ",\n".join(json.dumps(event) for event in found) + "\n]\n")
    assert sorted(found) == sorted(json.loads(RECORD.read_text()))
