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


# ---- labels ----

LABELS = {"db_1": {"tier": "db", "keep": "yes"}, "web-1": {"tier": "web"}, "web-2": {"tier": "web", "keep": "no", "empty": ""}}


@pytest.fixture
def labeled(engine):
    for name, labels in LABELS.items():
        assert engine.request("POST", "/volumes/create", {"Name": name, "Labels": labels})[0] == 201
        assert engine.request("POST", "/networks/create", {"Name": name, "Labels": labels})[0] == 201
    yield engine
    for name in NAMES:
        engine.request("DELETE", f"/volumes/{name}")
        engine.request("DELETE", f"/networks/{name}")


@pytest.mark.parametrize("path", ["/volumes?", "/networks?"])
def test_lists_by_label(labeled, path):
    for labels, found in ((["tier"], list(NAMES)), (["tier=web"], ["web-1", "web-2"]), (["tier=web", "keep"], ["web-2"]),
                          (["keep=yes", "keep=no"], []), (["empty="], ["web-2"]), (["empty"], ["web-2"]), (["tier="], []), (["ti"], []),
                          (["TIER"], [])):
        assert listed(labeled, path, label=labels) == found, labels
    kind = path.strip("/?").rstrip("s")
    for client in (labeled.docker, labeled.berth):
        word = "{{.Name}}"
        assert client(kind, "ls", "--filter", "label=tier=web", "--filter", "label=keep", "--format", word).stdout == "web-2\n"
    # What is not to be there is a filter of prunes only.
    status, answer = labeled.request("GET", f"{path}filters={urllib.parse.quote(json.dumps({'label!': ['tier']}))}")
    assert (status, answer["message"]) == (400, "invalid filter 'label!'")


# What is left of the three, as with dockerd: each "label" must be there, and what has all of "label!" stays.
LEFT = [
    ({"label": ["tier=web"]}, ["db_1"]),
    ({"label": ["tier", "keep"]}, ["web-1"]),
    ({"label": ["nobody"]}, list(NAMES)),
    ({"label!": ["keep"]}, ["db_1", "web-2"]),
    ({"label!": ["keep=yes"]}, ["db_1"]),
    ({"label!": ["keep", "tier=web"]}, ["web-2"]),
    ({"label!": ["tier"]}, list(NAMES)),
    ({"label!": ["nobody"]}, []),
    ({"label": ["tier=web"], "label!": ["keep=no"]}, ["db_1", "web-2"]),
]


def ways_to_prune(engine, kind, filters):
    """By the API, and by both clients."""
    flags = [word for key, values in filters.items() for value in values for word in ("--filter", f"{key}={value}")]
    everything = ["-a"] if kind == "volume" else []
    asked = {**filters, "all": ["true"]} if kind == "volume" else filters
    target = f"/{kind}s/prune?filters={urllib.parse.quote(json.dumps(asked))}"
    return {"api": lambda: engine.request("POST", target)[1][f"{kind.title()}sDeleted"] or [],
            "docker": lambda: engine.docker(kind, "prune", "-f", *everything, *flags).stdout.split(),
            "berth": lambda: engine.berth(kind, "prune", "-f", *everything, *flags).stdout.split()}


@pytest.mark.parametrize("way", ["api", "docker", "berth"])
@pytest.mark.parametrize("kind", ["volume", "network"])
@pytest.mark.parametrize("filters, left", LEFT, ids=[str(number) for number in range(len(LEFT))])
def test_prunes_by_label(labeled, kind, filters, left, way):
    told = ways_to_prune(labeled, kind, filters)[way]()
    assert listed(labeled, f"/{kind}s?") == left
    assert sorted(set(told) & set(NAMES)) == sorted(set(NAMES) - set(left))


def test_a_prune_of_volumes_that_have_a_label_spares_named_ones_unless_asked(labeled):
    anonymous = labeled.request("POST", "/volumes/create", {"Labels": {"tier": "web"}})[1]["Name"]
    other = labeled.request("POST", "/volumes/create", {})[1]["Name"]
    assert labeled.docker("volume", "prune", "-f", "--filter", "label=tier=web").stdout.split()[2] == anonymous
    assert listed(labeled, "/volumes?") == list(NAMES)
    assert labeled.docker("volume", "ls", "-q").stdout.split().count(other) == 1
    labeled.docker("volume", "rm", other)
