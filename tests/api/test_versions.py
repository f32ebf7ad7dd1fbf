"""What changed from version to version of the API, 1.24 to 1.56, each on both sides of its change."""
import json
import time

import pytest

from engine import Engine, UnixConnection, wait_until

OLDEST, NEWEST = 24, 56


def ask(engine, minor, method, target, body=None):
    return engine.request(method, f"/v1.{minor}{target}", body)


def create(engine, minor, name, expected=201, **body):
    status, document = ask(engine, minor, "POST", f"/containers/create?name={name}", {"Image": "busybox", **body})
    assert status == expected, document
    return document


def inspect(engine, name, minor=51):
    status, document = ask(engine, minor, "GET", f"/containers/{name}/json")
    assert status == 200, document
    return document


@pytest.fixture(autouse=True)
def nothing_left(engine):
    yield
    for container in engine.request("GET", "/containers/json?all=1")[1]:
        engine.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
    engine.request("POST", "/networks/prune")


# ---- the versions themselves ----

def test_every_version_is_spoken(engine):
    for minor in range(OLDEST, NEWEST + 1):
        status, document = ask(engine, minor, "GET", "/version")
        assert (status, document["ApiVersion"], document["MinAPIVersion"]) == (200, "1.56", "1.24")
    assert ask(engine, 23, "GET", "/version")[0] == 400
    status, document = ask(engine, 57, "GET", "/version")
    assert (status, document["message"]) == (400, "client version 1.57 is too new. Maximum supported API version is 1.56")


def test_answers_without_a_version_are_the_newest(engine):
    connection = UnixConnection(engine.socket)
    connection.request("GET", "/_ping")
    answer = connection.getresponse()
    assert (answer.getheader("Api-Version"), answer.getheader("Docker-Experimental")) == ("1.56", "false")
    answer.read()
    connection.close()
    create(engine, 56, "newest")
    assert "Bridge" not in engine.request("GET", "/containers/newest/json")[1]["NetworkSettings"]


def test_security_options_were_names(engine):
    kept = ask(engine, 25, "GET", "/info")[1]["SecurityOptions"]
    assert "name=seccomp,profile=builtin" in kept
    assert ask(engine, 24, "GET", "/info")[1]["SecurityOptions"] == [text.removeprefix("name=").split(",")[0] for text in kept]


# ---- containers ----

OLD_SETTINGS = {"Bridge", "HairpinMode", "LinkLocalIPv6Address", "LinkLocalIPv6PrefixLen", "SecondaryIPAddresses", "SecondaryIPv6Addresses",
                "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen", "IPv6Gateway", "MacAddress"}


def test_an_inspect_says_addresses_once_since_1_52(engine):
    create(engine, 56, "one", Cmd=["sleep", "1000"])
    assert ask(engine, 56, "POST", "/containers/one/start")[0] == 204
    old, new = inspect(engine, "one", 51), inspect(engine, "one", 52)
    assert OLD_SETTINGS <= set(old["NetworkSettings"]) and not OLD_SETTINGS & set(new["NetworkSettings"])
    assert old["NetworkSettings"]["IPAddress"] == new["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] != ""
    assert old["Config"]["OnBuild"] is None and "OnBuild" not in new["Config"]


def test_members_that_came_with_a_version(engine):
    create(engine, 56, "one", HostConfig={"Annotations": {"a": "b"}})

    def listed(minor):
        return ask(engine, minor, "GET", "/containers/json?all=1")[1][0]

    assert "Health" not in listed(51) and listed(52)["Health"] == {"Status": "none", "FailingStreak": 0}
    assert "Annotations" not in listed(45)["HostConfig"] and listed(46)["HostConfig"]["Annotations"] == {"a": "b"}
    for name, minor in (("GwPriority", 48), ("DNSNames", 44)):
        assert name not in listed(minor - 1)["NetworkSettings"]["Networks"]["bridge"]
        assert name in listed(minor)["NetworkSettings"]["Networks"]["bridge"]


def test_the_short_id_was_an_alias_before_1_45(engine):
    assert engine.request("POST", "/networks/create", {"Name": "aliases"})[0] == 201
    created = create(engine, 56, "one", HostConfig={"NetworkMode": "aliases"},
                     NetworkingConfig={"EndpointsConfig": {"aliases": {"Aliases": ["own"]}}})

    def aliases(minor):
        return inspect(engine, "one", minor)["NetworkSettings"]["Networks"]["aliases"]["Aliases"]

    assert (aliases(44), aliases(45)) == (["own", created["Id"][:12]], ["own"])


# (what it is created with, the last version before the change, what an inspect's HostConfig says before it, and since)
@pytest.mark.parametrize("given, before, member, old, new", [
    ({"AutoRemove": True}, 24, "AutoRemove", False, True),
    ({}, 39, "IpcMode", "shareable", "private"),
    ({"ConsoleSize": [20, 30]}, 41, "ConsoleSize", [0, 0], [20, 30]),
    ({"Annotations": {"a": "b"}}, 42, "Annotations", None, {"a": "b"}),
    ({"Mounts": [{"Type": "tmpfs", "Target": "/t", "VolumeOptions": {"NoCopy": True}}]}, 41, "Mounts", ..., 400),
    ({"Mounts": [{"Type": "image", "Source": "busybox", "Target": "/t"}]}, 47, "Mounts", 400, ...),
    ({"Mounts": [{"Type": "volume", "Source": "sub", "Target": "/t", "VolumeOptions": {"Subpath": "s"}}]}, 44, "Mounts", 400, ...),
    ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/t", "BindOptions": {"ReadOnlyForceRecursive": True}, "ReadOnly": True}]},
     43, "Mounts", 400, ...),
    ({"Sysctls": {"net.ipv4.conf.eth0.log_martians": "1"}}, 47, "Sysctls", None, 400),
], ids=str)
def test_creating_means_what_it_meant(engine, given, before, member, old, new):
    for minor, wanted in ((before, old), (before + 1, new)):
        create(engine, minor, "one", expected=400 if wanted == 400 else 201, HostConfig=given)
        if wanted not in (400, ...):
            assert inspect(engine, "one")["HostConfig"].get(member) == wanted
        engine.request("DELETE", "/containers/one")


def test_cgroup_namespaces_were_the_hosts_before_1_41(fresh_engine_with_private_cgroups):
    engine = fresh_engine_with_private_cgroups
    create(engine, 40, "old")
    create(engine, 41, "new")
    unified = engine.request("GET", "/info")[1]["CgroupVersion"] == "2"
    assert inspect(engine, "old")["HostConfig"]["CgroupnsMode"] == ("private" if unified else "host")
    assert inspect(engine, "new")["HostConfig"]["CgroupnsMode"] == "private"


@pytest.fixture
def fresh_engine_with_private_cgroups(tmp_path, rootfs_tar):
    with Engine(tmp_path, "--default-cgroupns-mode=private") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


def test_health_checks_start_intervals_came_with_1_44(engine):
    for minor, wanted in ((43, None), (44, 10 ** 9)):
        create(engine, minor, "one", Healthcheck={"Test": ["CMD", "true"], "StartInterval": 10 ** 9})
        assert inspect(engine, "one")["Config"]["Healthcheck"].get("StartInterval") == wanted
        engine.request("DELETE", "/containers/one")


MAC = "02:42:ac:11:22:33"


def test_mac_addresses(engine):
    """Of the whole container before 1.44, of both until 1.51, of an endpoint since."""
    def asked(minor, **body):
        created = create(engine, minor, "one", Cmd=["sleep", "1000"], **body)
        found = inspect(engine, "one")
        engine.request("DELETE", "/containers/one")
        return found["Config"].get("MacAddress", ""), len(created["Warnings"] or [])

    whole = {"MacAddress": MAC}
    endpoint = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}}
    assert [asked(minor, **whole) for minor in (43, 44, 51, 52)] == [(MAC, 0), (MAC, 1), (MAC, 1), ("", 0)]
    assert [asked(minor, **endpoint) for minor in (43, 44, 52)] == [("", 0), (MAC, 0), (MAC, 0)]
    other = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:ac:11:22:44"}}}}
    create(engine, 44, "one", expected=400, **whole, **other)
    create(engine, 56, "one", **endpoint)
    assert "MacAddress" not in inspect(engine, "one", 52)["Config"]


def test_several_networks_came_with_1_44(engine):
    assert engine.request("POST", "/networks/create", {"Name": "second"})[0] == 201
    both = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}, "second": {}}}}
    refused = create(engine, 43, "one", expected=400, **both)
    assert "multiple network endpoints" in refused["message"]
    create(engine, 44, "one", **both)
    assert set(inspect(engine, "one")["NetworkSettings"]["Networks"]) == {"bridge", "second"}


def test_interface_sysctls_moved_to_endpoints(engine):
    created = create(engine, 47, "one", HostConfig={"Sysctls": {"net.ipv4.conf.eth0.log_martians": "1", "net.ipv4.ip_forward": "1"}},
                     Cmd=["sh", "-c", "cat /proc/sys/net/ipv4/conf/eth0/log_martians"])
    assert "Migrated sysctl" in created["Warnings"][0]
    assert engine.berth("start", "-a", "one").stdout == "1\n"


def test_empty_port_bindings_are_published(engine):
    for minor, warnings in ((51, 0), (52, 1), (56, 1)):
        created = create(engine, minor, "one", Cmd=["sleep", "1000"], HostConfig={"PortBindings": {"80/tcp": []}})
        assert len(created["Warnings"] or []) == warnings
        assert ask(engine, minor, "POST", "/containers/one/start")[0] == 204
        assert int(inspect(engine, "one")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]) > 0
        engine.request("DELETE", "/containers/one?force=1")


def test_a_volume_driver_beside_mounts_is_warned_of_since_1_48(engine):
    body = {"HostConfig": {"VolumeDriver": "local", "Mounts": [{"Type": "volume", "Target": "/v"}]}}
    for minor, warnings in ((47, 0), (48, 1)):
        created = create(engine, minor, "one", **body)
        assert len(created["Warnings"] or []) == warnings
        engine.request("DELETE", "/containers/one?v=1")


def test_platforms_are_looked_at_since_1_41(engine):
    body = {"Image": "busybox"}
    assert ask(engine, 40, "POST", "/containers/create?platform=linux/s390x", body)[0] == 201
    status, document = ask(engine, 41, "POST", "/containers/create?platform=linux/s390x", body)
    assert status == 404 and "s390x" in document["message"]


def test_signals_of_stops_came_with_1_42(engine):
    command = ["sh", "-c", "trap 'exit 3' USR1; trap 'exit 4' TERM; echo there; while :; do sleep 0.1; done"]
    for minor, code in ((41, 4), (42, 3)):
        create(engine, minor, "one", Cmd=command)
        ask(engine, minor, "POST", "/containers/one/start")
        wait_until("trap", lambda: "there" in engine.berth("logs", "one").stdout)
        assert ask(engine, minor, "POST", "/containers/one/stop?signal=USR1")[0] == 204
        assert inspect(engine, "one")["State"]["ExitCode"] == code
        engine.request("DELETE", "/containers/one")


def test_conditions_of_waits_came_with_1_30(engine):
    create(engine, 56, "one")
    assert ask(engine, 29, "POST", "/containers/one/wait?condition=nosuch") == (200, {"StatusCode": 0})
    assert ask(engine, 30, "POST", "/containers/one/wait?condition=nosuch")[0] == 400


def test_limits_of_processes_are_updated_since_1_40(engine):
    create(engine, 56, "one", HostConfig={"PidsLimit": 7})
    for minor, wanted in ((39, 7), (40, 9)):
        assert ask(engine, minor, "POST", "/containers/one/update", {"PidsLimit": 9})[0] == 200
        assert inspect(engine, "one")["HostConfig"]["PidsLimit"] == wanted


@pytest.mark.parametrize("minor, tty, wanted", [(41, False, "raw"), (42, False, "multiplexed"), (42, True, "raw"), (56, False, "multiplexed")])
def test_streams_say_their_form_since_1_42(engine, minor, tty, wanted):
    create(engine, 56, "one", Cmd=["true"], Tty=tty)
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/v1.{minor}/containers/one/logs?stdout=1")
    assert connection.getresponse().getheader("Content-Type") == f"application/vnd.docker.{wanted}-stream"
    connection.close()


def test_execs_have_a_size_since_1_42(engine):
    create(engine, 56, "one", Cmd=["sleep", "1000"])
    ask(engine, 56, "POST", "/containers/one/start")
    for minor, wanted in ((41, False), (42, True)):
        execution = ask(engine, minor, "POST", "/containers/one/exec", {
            "Cmd": ["stty", "size"], "Tty": True, "AttachStdout": True, "ConsoleSize": [21, 43]})[1]["Id"]
        assert ("21 43" in ask(engine, minor, "POST", f"/exec/{execution}/start", {"Tty": True, "ConsoleSize": [21, 43]})[1]) == wanted


# ---- images ----

def image(engine, minor, query=""):
    return next(found for found in ask(engine, minor, "GET", "/images/json" + query)[1] if "busybox:latest" in found["RepoTags"])


def test_lists_of_images(engine):
    create(engine, 56, "one")
    assert (image(engine, 50)["Containers"], image(engine, 51)["Containers"]) == (-1, 1)
    assert image(engine, 43)["VirtualSize"] == image(engine, 43)["Size"] and "VirtualSize" not in image(engine, 44)
    assert "Manifests" not in image(engine, 46, "?manifests=1") and "Manifests" in image(engine, 47, "?manifests=1")
    assert "Descriptor" not in image(engine, 47, "?manifests=1") and "Descriptor" in image(engine, 48, "?manifests=1")
    assert image(engine, 41, "?shared-size=1")["SharedSize"] == -1 and image(engine, 42, "?shared-size=1")["SharedSize"] >= 0
    assert ask(engine, 40, "GET", "/images/json?filter=nosuch")[1] == [] != ask(engine, 41, "GET", "/images/json?filter=nosuch")[1]
    assert ask(engine, 53, "GET", "/images/json?identity=1")[0] == 200
    assert ask(engine, 54, "GET", "/images/json?identity=1")[0] == 400
    assert ask(engine, 54, "GET", "/images/json?identity=1&manifests=1")[0] == 200


def test_images_without_a_name(engine):
    untagged = engine.request("POST", "/commit?container=" + create(engine, 56, "one")["Id"])[1]["Id"]

    def names(minor):
        found = next(found for found in ask(engine, minor, "GET", "/images/json")[1] if found["Id"] == untagged)
        return found["RepoTags"], found["RepoDigests"]

    assert names(42) == (["<none>:<none>"], ["<none>@<none>"])
    assert names(43) == ([], [])
    engine.request("DELETE", "/containers/one")
    assert engine.request("DELETE", f"/images/{untagged}")[0] == 200


def test_inspects_of_images(engine):
    old = ask(engine, 43, "GET", "/images/busybox/json")[1]
    assert old["VirtualSize"] == old["Size"] and old["ContainerConfig"]["Tty"] is False
    assert "VirtualSize" not in ask(engine, 44, "GET", "/images/busybox/json")[1]
    assert "ContainerConfig" not in ask(engine, 45, "GET", "/images/busybox/json")[1]
    whole = {"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image"}
    always = {"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"}
    configs = {minor: set(ask(engine, minor, "GET", "/images/busybox/json")[1]["Config"]) for minor in (49, 50, 51, 52, 56)}
    assert whole | always <= configs[49]
    assert configs[50] == configs[51] == always and configs[52] == configs[56] == {"Cmd"}
    empty = {"Parent", "DockerVersion", "Author"}
    assert empty <= set(ask(engine, 51, "GET", "/images/busybox/json")[1])
    assert not empty & set(ask(engine, 52, "GET", "/images/busybox/json")[1])


# ---- networks, volumes ----

def test_networks(engine):
    create(engine, 56, "one", Cmd=["sleep", "1000"])
    ask(engine, 56, "POST", "/containers/one/start")

    def listed(minor):
        return next(found for found in ask(engine, minor, "GET", "/networks")[1] if found["Name"] == "bridge")

    assert len(listed(27)["Containers"]) == 1 and listed(28)["Containers"] == {} and "Containers" not in listed(52)
    assert "EnableIPv4" not in listed(47) and listed(48)["EnableIPv4"] is True
    old, new = (ask(engine, minor, "GET", "/networks/bridge")[1] for minor in (51, 52))
    assert "Status" not in old and len(new["Containers"]) == 1
    [status] = new["Status"]["IPAM"]["Subnets"].values()
    assert status == {"IPsInUse": 4, "DynamicIPsAvailable": 252}  # the subnet's own two, the gateway, the container
    assert ask(engine, 47, "POST", "/networks/create", {"Name": "four", "EnableIPv4": False})[0] == 201
    assert ask(engine, 48, "GET", "/networks/four")[1]["EnableIPv4"] is True


def test_named_volumes_were_pruned_before_1_42(engine):
    for minor, query, wanted in ((42, "", False), (41, "", True), (42, '?filters={"all":["1"]}', True)):
        assert ask(engine, minor, "POST", "/volumes/create", {"Name": "named"})[0] == 201
        assert ("named" in (ask(engine, minor, "POST", "/volumes/prune" + query)[1]["VolumesDeleted"] or [])) == wanted


# ---- the system ----

def test_info(engine):
    infos = {minor: ask(engine, minor, "GET", "/info")[1] for minor in (46, 47, 48, 49, 50)}
    assert "AllowNondistributableArtifactsCIDRs" in infos[48]["RegistryConfig"]
    assert "AllowNondistributableArtifactsCIDRs" not in infos[49]["RegistryConfig"]
    assert infos[48]["RuncCommit"]["Expected"] == infos[48]["RuncCommit"]["ID"] and "Expected" not in infos[49]["RuncCommit"]
    assert "FirewallBackend" not in infos[48] and infos[49]["FirewallBackend"]["Driver"] == "nftables"
    assert infos[49]["BridgeNfIptables"] is False is infos[49]["BridgeNfIp6tables"] and "BridgeNfIptables" not in infos[50]


LISTS = {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
SUMS = {"ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"}


def test_disk_usage(engine):
    create(engine, 56, "one", Cmd=["sh", "-c", "head -c 300000 /dev/zero > /file; sleep 1000"], HostConfig={"Binds": ["usage:/u"]})
    create(engine, 56, "two")
    ask(engine, 56, "POST", "/containers/one/start")
    wait_until("file", lambda: ask(engine, 51, "GET", "/system/df?type=container")[1]["Containers"][1].get("SizeRw", 0) >= 300000)

    def usage(minor, query=""):
        status, document = ask(engine, minor, "GET", "/system/df" + query)
        assert status == 200, document
        return document

    assert set(usage(41)) == LISTS | {"BuilderSize"} and set(usage(42)) == set(usage(51)) == LISTS
    assert set(usage(52)) == set(usage(56)) == LISTS | SUMS and set(usage(56, "?verbose=1")) == SUMS
    assert set(usage(56, "?type=volume&verbose=1")) == {"VolumeUsage"} and set(usage(56, "?type=volume")) == {"VolumeUsage", "Volumes"}
    assert usage(51, "?type=volume")["Images"] is None and usage(41, "?type=nosuch")["Images"]
    sums = usage(56, "?verbose=1")
    containers, images, volumes = sums["ContainerUsage"], sums["ImageUsage"], sums["VolumeUsage"]
    assert (containers["TotalCount"], containers["ActiveCount"], len(containers["Items"])) == (2, 1, 2)
    assert containers["TotalSize"] - containers["Reclaimable"] >= 300000
    assert images["ActiveCount"] == 1 <= images["TotalCount"] and images["Reclaimable"] < images["TotalSize"]
    assert (volumes["TotalCount"], volumes["ActiveCount"], volumes["Reclaimable"]) == (1, 1, 0)
    assert "Items" not in usage(56)["ContainerUsage"]


def stream_of_events(engine, minor, accept=None):
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/v1.{minor}/events?since=1&until={int(time.time())}.999999999",
                       headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.getheader("Content-Type"), text


def test_events_lost_their_first_names_with_1_52(engine):
    create(engine, 56, "one")
    old = [json.loads(line) for line in stream_of_events(engine, 51)[1].splitlines()]
    new = [json.loads(line) for line in stream_of_events(engine, 52)[1].splitlines()]
    made = next(event for event in old if event["Action"] == "create" and event["Type"] == "container")
    assert (made["status"], made["id"], made["from"]) == ("create", made["Actor"]["ID"], "busybox")
    assert all(not {"status", "id", "from"} & set(event) for event in new) and len(new) >= len(old)


@pytest.mark.parametrize("minor, accept, wanted", [
    (51, "application/jsonl", "application/json"), (52, None, "application/json"), (52, "application/json", "application/json"),
    (56, "application/jsonl", "application/jsonl"), (52, "application/x-ndjson", "application/x-ndjson"),
    (56, "application/json-seq;q=0.9, application/jsonl;q=0.5", "application/json-seq"), (56, "*/*", "application/jsonl")])
def test_events_have_the_form_that_is_asked_for(engine, minor, accept, wanted):
    create(engine, 56, "one")
    content_type, text = stream_of_events(engine, minor, accept)
    assert content_type == wanted
    # https://www.rfc-editor.org/rfc/rfc7464: a record separator before each text.
    lines = text.removesuffix("\n").split("\n")
    assert all(line.startswith("\x1e") == wanted.endswith("seq") for line in lines)
    assert "container" in {json.loads(line.lstrip("\x1e"))["Type"] for line in lines}
