"""Answers have the members that dockerd's have, in each version of the API: tests/api/shapes.json."""
import json
import re

import pytest

from api_shapes import ENDPOINTS, RECORD, VERSIONS, Shapes

EXPECTED = json.loads(RECORD.read_text())
# What dockerd has and Berth has not. Members that came with a version are not told to clients from before it, whatever dockerd does.
LESS = [
    r"\.(DNSNames|GwPriority|EnableIPv4)$",
    r"^\.GraphDriver\.Data\.\*",  # of an image: a layer has no directories here that anybody might look into
    r"^\.KernelMemory(TCP)?$",  # removed with 1.42 and 1.52; kernels know the first no more
    r"^\.Containerd",  # there is none
    r"^\.Runtimes\.\*\.status",
    r"^\.(pre)?cpu_stats\.cpu_usage\.percpu_usage$", r"^\.memory_stats\.max_usage$",
]
# What Berth has and dockerd 28.5 has not: as the API's version history says.
MORE = [
    r"Commit\.Expected$", r"AllowNondistributableArtifacts", r"^\.BuilderSize$",
    r"^\.os_type$", r"^\.(id|name)$", r"^\.precpu_stats\.(online_cpus|system_cpu_usage)$",
]


def whole(changes):
    """Version by version all members, from what came and went."""
    members, result = set(), {}
    for minor in VERSIONS:
        change = changes.get(f"1.{minor}", {"came": [], "went": []})
        members = (members | set(change["came"])) - set(change["went"])
        result[minor] = members
    return result


def others(members, patterns):
    return sorted(member for member in members if not any(re.search(pattern, member) for pattern in patterns))


@pytest.fixture(scope="module")
def found(engine):
    return Shapes(engine.socket).find()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_members_are_dockers(found, endpoint):
    ours, theirs = whole(found[endpoint]), whole(EXPECTED[endpoint])
    for minor in VERSIONS:
        missing, more = others(theirs[minor] - ours[minor], LESS), others(ours[minor] - theirs[minor], MORE)
        assert (missing, more) == ([], []), f"1.{minor}"


HOST_LISTS = ["Binds", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "SecurityOpt", "BlkioWeightDevice",
              "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "Devices", "DeviceCgroupRules",
              "DeviceRequests", "Ulimits", "VolumesFrom"]


@pytest.mark.parametrize("sent", ["nothing", "null", "empty"])
def test_lists_without_elements_are_shown_as_they_were_sent(engine, sent):
    """As Go shows a nil slice and an empty one."""
    empty = [] if sent == "empty" else None
    host = {} if sent == "nothing" else {**dict.fromkeys(HOST_LISTS, empty), "PortBindings": {} if sent == "empty" else None, "Links": empty}
    config = {} if sent == "nothing" else {"Env": empty, "OnBuild": empty}
    identity = engine.request("POST", "/containers/create", {"Image": "busybox", **config, "HostConfig": host})[1]["Id"]
    shown = engine.request("GET", f"/v1.51/containers/{identity}/json")[1]
    assert {name: shown["HostConfig"][name] for name in HOST_LISTS} == dict.fromkeys(HOST_LISTS, empty)
    assert (shown["HostConfig"]["PortBindings"], shown["HostConfig"]["Links"]) == ({} if sent == "empty" else None, None)
    assert (shown["Config"]["Env"], shown["Config"]["OnBuild"], shown["Config"]["Labels"]) == (None, empty, {})
    assert "EmptyLists" not in shown["HostConfig"]


def test_lists_of_answers_are_null_and_empty_where_dockers_are(engine):
    for kind in ("containers", "networks", "volumes"):
        engine.request("POST", f"/{kind}/prune")  # what tests before have left
    assert engine.request("POST", "/v1.51/volumes/prune")[1]["VolumesDeleted"] == []
    assert engine.request("POST", "/v1.51/containers/prune")[1]["ContainersDeleted"] is None
    assert engine.request("POST", "/v1.51/networks/prune")[1]["NetworksDeleted"] is None
    assert engine.request("GET", "/v1.51/networks/host")[1]["IPAM"]["Config"] is None
    assert engine.request("GET", "/v1.42/images/json")[1][0]["RepoDigests"] is None
    assert engine.request("GET", "/v1.43/images/json")[1][0]["RepoDigests"] == []
    assert engine.request("GET", "/v1.51/system/df?type=image")[1]["Images"][0]["RepoDigests"] is None
