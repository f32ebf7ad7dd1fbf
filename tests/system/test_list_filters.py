"""Filters of lists and prunes whose values are more than a name: patterns and dates, as people write them for Docker."""
import json
import urllib.parse

import pytest

NAMES = ("db_1", "web-1", "web-2")


@pytest.fixture
def named(engine):
    """A container, a volume and a network of each name."""
    for name in NAMES:
        status, answer = engine.request("POST", f"/containers/create?name={name}", {"Image": "busybox"})
        assert status == 201, answer
        assert engine.request("POST", "/volumes/create", {"Name": name})[0] == 201
        assert engine.request("POST", "/networks/create", {"Name": name})[0] == 201
    yield engine
    for name in NAMES:
        engine.request("DELETE", f"/containers/{name}?force=1")
        engine.request("DELETE", f"/volumes/{name}")
        engine.request("DELETE", f"/networks/{name}")


def listed(engine, path, **filters):
    status, answer = engine.request("GET", f"{path}filters={urllib.parse.quote(json.dumps(filters))}")
    assert status == 200, answer
    found = answer["Volumes"] if "volumes" in path else answer
    names = {(item.get("Names") or [item.get("Name")])[0].lstrip("/") for item in found or []}
    return sorted(names & set(NAMES))


# What dockerd 28.5 lists, of all three kinds.
PATTERNS = {
    "^web-1$": ["web-1"],
    "web-1$": ["web-1"],
    "^web": ["web-1", "web-2"],
    "web|db": ["db_1", "web-1", "web-2"],
    "web-.*": ["web-1", "web-2"],
    "^web-[0-9]+$": ["web-1", "web-2"],
    "^(db_|web-)\\d$": ["db_1", "web-1", "web-2"],
    "w.b": ["web-1", "web-2"],
    "w.{2}-1": ["web-1"],
    "(?i)WEB-2": ["web-2"],
    "eb-": ["web-1", "web-2"],
    "WEB": [],
    "(": [],
    "*": [],
}


@pytest.mark.parametrize("path", ["/containers/json?all=1&", "/volumes?", "/networks?"])
def test_a_name_is_a_pattern(named, path):
    assert {pattern: listed(named, path, name=[pattern]) for pattern in PATTERNS} == PATTERNS


def test_a_containers_name_may_have_its_slash(named):
    assert listed(named, "/containers/json?all=1&", name=["^/web-1$"]) == ["web-1"]
    assert listed(named, "/containers/json?all=1&", name=["^/?web-\\d$"]) == ["web-1", "web-2"]


def test_the_command_lines_pass_patterns_on(named):
    for client in (named.berth, named.docker):
        assert sorted(client("ps", "-a", "--filter", "name=^web-[12]$", "--format", "{{.Names}}").stdout.split()) == ["web-1", "web-2"]
        assert client("network", "ls", "--filter", "name=^db_1$", "--format", "{{.Name}}").stdout.split() == ["db_1"]
        assert client("volume", "ls", "--filter", "name=^db_1$", "-q").stdout.split() == ["db_1"]


def test_an_empty_id_is_no_containers(named):
    assert listed(named, "/containers/json?all=1&", id=[""]) == []


# As in Docker's documents for "until", in the engine's time zone where they name none.
LONG_AGO = ("2017-01-04", "2017-01-04T00:00:00", "2017-01-04T00:00", "2017-01-04T00", "2017-01-04T00:00:00.25", "2017-01-04Z",
            "2017-01-04T07:00Z", "2017-01-04T00:00:00+02:00", "1483488000", "1483488000.5", "90000h")


def test_dates_that_are_long_ago_prune_nothing(named):
    for moment in LONG_AGO:
        filters = "filters=" + urllib.parse.quote(json.dumps({"until": [moment]}))
        for kind in ("containers", "networks", "images"):
            status, answer = named.request("POST", f"/{kind}/prune?{filters}")
            assert status == 200, (kind, answer)
            assert not next(value for key, value in answer.items() if key.endswith("Deleted")), (kind, moment, answer)
        assert named.request("GET", f"/images/json?{filters}") == (200, [])


def test_a_date_to_come_is_behind_all(named):
    for moment in ("2100-01-01", "2100-01-01T00:00:00"):
        filters = "filters=" + urllib.parse.quote(json.dumps({"until": [moment]}))
        every = named.request("GET", "/images/json")
        assert named.request("GET", f"/images/json?{filters}") == every and every[1]
