"""Events of one life of everything, as dockerd tells them, and choosing among them."""
import collections
import json
import time

import pytest

from api_events import RECORD, Life


@pytest.fixture(scope="module")
def found(engine):
    return Life(engine.socket).live()


def test_all_that_docker_tells_is_told(found):
    wanted = json.loads(RECORD.read_text())
    # The containers of dockerd's builder, where ours needs none; when labels of an image that is built are known; and that an image that
    # goes is known here by its labels to the end.
    wanted = [["image", "create", ["name"]] if event == ["image", "create", ["built", "name"]] else event
              for event in wanted if not (event[0] == "container" and "built" in event[2])]
    wanted.remove(["image", "delete", ["name"]])  # of a step's image
    found = [[kind, action, ["name"] if (kind, action) == ("image", "delete") else names] for kind, action, names in found]
    missing = [event for event in wanted if event not in found]
    more = [event for event in found if event not in wanted]
    assert not missing and not more, f"missing: {missing}\nmore: {more}"
    counts = [collections.Counter(map(json.dumps, events)) for events in (found, wanted)]
    assert (counts[0] - counts[1], counts[1] - counts[0]) == ({}, {})


@pytest.mark.parametrize("kind", ["container", "image", "network", "volume"])
def test_a_prune_is_of_nothing_by_itself(engine, kind):
    since = time.time()
    assert engine.request("POST", f"/{kind}s/prune")[0] == 200
    told = engine.request("GET", f"/v1.51/events?since={since:.9f}&until={time.time():.9f}")[1]
    assert told["Action"] == "prune" and told["Actor"]["ID"] == "" and "id" not in told


# Command, HostConfig, and what dockerd 28.5 tells of a start that fails: nothing has been connected, and nothing dies.
FAILED = {
    "command": ("nosuch", {}, [["network", "disconnect"]]),
    "volume": ("nosuch", {"Binds": ["failed:/v"]}, [["volume", "mount"], ["network", "disconnect"], ["volume", "unmount"]]),
    "mount": ("true", {"Binds": ["/etc/hostname:/etc"]}, [["network", "disconnect"]]),
    "host network": ("nosuch", {"NetworkMode": "host"}, [["network", "disconnect"]]),
    "removes itself": ("nosuch", {"AutoRemove": True}, [["network", "disconnect"], ["container", "destroy"]]),
    "starts again": ("nosuch", {"RestartPolicy": {"Name": "always"}}, [["network", "disconnect"]]),
}


@pytest.mark.parametrize("command,host,wanted", FAILED.values(), ids=list(FAILED))
def test_a_start_that_fails_has_no_start_and_no_end(engine, command, host, wanted):
    identity = engine.request("POST", "/containers/create", {"Image": "busybox", "Cmd": [command], "HostConfig": host})[1]["Id"]
    since = time.time()
    assert engine.request("POST", f"/containers/{identity}/start")[0] == 400
    told = engine.request("GET", f"/events?since={since:.9f}&until={time.time():.9f}")[1]
    told = [told] if isinstance(told, dict) else [json.loads(line) for line in told.splitlines()]
    assert [[event["Type"], event["Action"]] for event in told] == wanted
