"""Clients' mistakes are answered as dockerd answers them: tests/api/errors.json, which tests/support/api_errors.py explains."""
import json
import pathlib

import pytest

from api_errors import RECORD, REQUESTS, Client, create, host, mount, name_of



def can_weigh():
    return any(pathlib.Path("/sys/fs/cgroup", name).exists() for name in (
        "blkio/blkio.bfq.io_serviced", "blkio/blkio.weight_device", "cgroup.controllers"))


EXPECTED = json.loads(RECORD.read_text())
# What Berth answers otherwise, on purpose: the status, and why.
DIFFERENT = {name_of(mistake): status for status, mistakes in {
    # Before the connection is taken over, and with the word that the specification has.
    409: [("POST", "/exec/<exec>/start", {}), ("POST", "/exec/<exec>/resize?h=1&w=1"),
          # The name is looked at before the driver.
          ("POST", "/volumes/create", {"Name": "used", "Driver": "nosuch"})],
    # At once what dockerd finds out when the container starts, or never.
    400: [("POST", "/containers/create", create(ExposedPorts={"x/tcp": {}})),
          ("POST", "/containers/create", create(ExposedPorts={"80/nosuch": {}})),
          ("POST", "/containers/create", create(Healthcheck={"Test": ["NOSUCH"]})),
          ("POST", "/containers/create", create(Volumes={"/": {}})),
          ("POST", "/containers/create", host(PortBindings={"80/tcp": [{"HostIp": "x"}]})),
          ("POST", "/containers/create", host(LogConfig={"Type": "json-file", "Config": {"max-size": "x"}})),
          ("POST", "/containers/create", mount(Type="tmpfs", Target="/t", TmpfsOptions={"SizeBytes": -1})),
          ("POST", "/networks/create", {"Name": "x", "Scope": "nosuch"}),
          # dockerd's command line says so; dockerd itself takes it for what there is.
          ("POST", "/containers/create", host(UsernsMode="nosuch")),
          # 200, and nothing in it.
          ("GET", "/images/search?term=x&limit=-1"),
          # The machine of the record cannot weigh and warns, as does one here without a scheduler that weighs.
          *([("POST", "/containers/create", host(BlkioWeight=5))] if can_weigh() else [])],
    404: [("POST", "/containers/create", host(NetworkMode="container:nosuch"))],
}.items() for mistake in mistakes}
# The same meaning in other words.
OTHER_WORDS = {name_of(mistake) for mistake in (
    ("GET", "/networks?filters={\"dangling\": [\"x\"]}"), ("POST", "/volumes/prune?filters={\"all\": [\"x\"]}"),
    ("DELETE", "/images/busybox"), ("POST", "/containers/running/resize?h=1&w=-1"), ("POST", "/containers/running/kill?signal=999"),
    ("POST", "/containers/create", {"Image": ""}), ("POST", "/containers/create", host(Links=["nosuch:x"])),
    ("POST", "/networks/create", {}), ("POST", "/networks/create", {"Name": ""}), ("POST", "/networks/create", {"Name": "x", "Ingress": True}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Driver": "nosuch"}}))}
# Behind these words Go's libraries go on in words of their own.
GO = (": strconv.", "invalid character", "json: cannot")


@pytest.fixture(scope="module")
def client(engine):
    client = Client(engine.socket)
    client.prepare()
    yield client
    client.clean()


@pytest.mark.parametrize("mistake", REQUESTS, ids=name_of)
def test_is_answered_as_by_docker(client, mistake):
    name = name_of(mistake)
    wanted, words = EXPECTED[name]
    status, message = client.answer(mistake)
    if name in DIFFERENT:
        assert status == DIFFERENT[name], message
    elif wanted == 500:
        # A client's mistake is none of the engine's here.
        assert 400 <= status < 500 and message, (status, message)
    else:
        assert status == wanted, (status, message, words)
        if words and name not in OTHER_WORDS:
            own = next((words[:words.index(go)] for go in GO if go in words), None)
            assert message.startswith(own) if own is not None else message == words
