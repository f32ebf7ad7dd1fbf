"""Events of one life of everything, as dockerd tells them, and choosing among them."""
import collections
import json

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
