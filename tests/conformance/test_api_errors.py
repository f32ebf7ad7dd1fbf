"""dockerd answers clients' mistakes as tests/api/errors.json says; BERTH_TEST_RECORD=1 writes that file."""
import json
import os

import pytest

from api_errors import RECORD, REQUESTS, Client, name_of
from test_docker import Docker


@pytest.fixture(scope="module")
def client(peers):
    engine = Docker(peers)
    peers.run("docker", "import", "-c", 'CMD ["sh"]', "-", "busybox:latest", stdin=peers.rootfs_tar)
    client = Client(peers.path("/run/docker.sock"))
    client.prepare()
    yield client
    client.clean()
    engine.close()


def test_answers_are_those_of_the_record(client):
    answers = {name_of(request): client.answer(request) for request in REQUESTS}
    if os.environ.get("BERTH_TEST_RECORD"):
        RECORD.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items()) + "\n}\n")
    assert answers == json.loads(RECORD.read_text())
