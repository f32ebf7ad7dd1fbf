"""What others do to the engine's networks: interfaces with its names, veth pairs that somebody deletes, pools that are used
up, options that cannot be. Each is told exactly, nothing is leaked, and who has nothing to do with it goes on."""
import json
import subprocess

import pytest

from engine import Engine, wait_until

IDLE = ["busybox", "sleep", "1000"]


def host(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


def links():
    return {link["ifname"] for link in json.loads(host("ip", "-j", "link"))}


@pytest.fixture(autouse=True)
def nothing_stays(engine):
    yield
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", "-v", *left)
    engine.berth("network", "prune", "-f")
    assert engine.berth("network", "ls", "-q", "-f", "type=custom").stdout == ""


def refused(engine, words, *flags, driver="bridge"):
    """The creation fails with 400 and these words, and there is nothing of it."""
    before = links()
    options = dict(flag.split("=", 1) for flag in flags)
    status, answer = engine.request("POST", "/networks/create", {"Name": "bad", "Driver": driver, "Options": options})
    assert (status, words in answer.get("message", "")) == (400, True), (status, answer)
    assert engine.request("GET", "/networks/bad")[0] == 404 and links() == before
    # Both clients say the same.
    words_of = [word for flag in flags for word in ("-o", flag)]
    assert words in engine.docker("network", "create", "-d", driver, *words_of, "bad", check=False).stderr


def reaches(engine, container, address):
    return engine.berth("exec", container, "ping", "-c", "1", "-W", "2", address, check=False).returncode == 0


def address_of(engine, container, network):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


# ---- options ----

@pytest.mark.parametrize("flag, words", [
    ("com.berth.rate.egress=fast", 'network option com.berth.rate.egress: invalid rate "fast": a number and a unit'),
    ("com.berth.rate.ingress=10parsec", 'network option com.berth.rate.ingress: invalid rate "10parsec": unknown unit'),
    ("com.berth.rate.ingress=1bit", 'network option com.berth.rate.ingress: invalid rate "1bit": it must be between'),
    ("com.berth.connections=many", 'network option com.berth.connections: "many" is neither a number'),
    ("com.berth.connections=0", 'network option com.berth.connections: "0" is neither a number'),
    ("com.berth.bridge.shortcut=perhaps", "failed to parse com.berth.bridge.shortcut value: perhaps"),
    ("com.berth.bridge.big_tcp=large", "failed to parse com.berth.bridge.big_tcp value: large"),
    ("com.berth.bridge.any_source=2", "failed to parse com.berth.bridge.any_source value: 2"),
    ("com.berth.rate.egres=10mbit", "unknown option com.berth.rate.egres of a bridge network"),
    ("com.berth.cni.config=x", "unknown option com.berth.cni.config of a bridge network"),
    ("com.docker.network.driver.mtu=67", "failed to parse com.docker.network.driver.mtu value: 67 (it must be between 68"),
    ("com.docker.network.driver.mtu=65536", "failed to parse com.docker.network.driver.mtu value: 65536"),
    ("com.docker.network.driver.mtu=-1", "invalid MTU number: -1"),
    ("com.docker.network.container_iface_prefix=a/b", "failed to parse com.docker.network.container_iface_prefix value: a/b"),
    ("com.docker.network.container_iface_prefix=thirteenchars", "of 12 characters at most"),
    ("com.docker.network.bridge.name=sixteen-is-a-lot", 'invalid bridge name: "sixteen-is-a-lot"'),
])
def test_what_an_option_cannot_be_is_refused_with_the_network(engine, flag, words):
    refused(engine, words, flag)


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
@pytest.mark.parametrize("flag", ["com.berth.rate.egress=10mbit", "com.berth.rate.ingress=10mbit", "com.berth.connections=9"])
def test_limits_that_a_driver_does_not_have_are_refused_with_the_network(engine, driver, flag):
    refused(engine, f"network option {flag.split('=')[0]}: {driver} networks do not have it", flag, driver=driver)


def test_what_settings_for_other_networks_cannot_be_is_refused_with_them(engine):
    done = engine.berth("network", "create", "--config-only", "-o", "com.berth.rate.egress=fast", "settings", check=False)
    assert 'com.berth.rate.egress: invalid rate "fast"' in done.stderr
    done = engine.berth("network", "create", "--ipam-opt", "com.berth.connections=5", "bad", check=False)
    assert "unknown IPAM option com.berth.connections" in done.stderr
    engine.berth("network", "create", "--config-only", "-o", "com.berth.connections=unlimited", "settings")
    engine.berth("network", "rm", "settings")


def test_an_ipv6_network_has_no_small_mtu(engine):
    done = engine.berth("network", "create", "--ipv6", "-o", "com.docker.network.driver.mtu=1279", "bad", check=False)
    assert "value: 1279 (it must be between 1280 and 65535 with IPv6)" in done.stderr


def test_what_a_container_cannot_have_in_a_network_is_refused_with_it(engine):
    engine.berth("network", "create", "plain")
    for where, option, words in (("plain", "com.berth.connections=x", 'com.berth.connections: "x" is neither a number'),
                                 ("plain", "com.berth.rate.egress=x", 'com.berth.rate.egress: invalid rate "x"'),
                                 ("plain", "com.berth.rate.egres=1mbit", "com.berth.rate.egres: unknown option"),
                                 ("plain", "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding", "has no value"),
                                 ("host", "com.berth.connections=9", "the host's network does not have it"),
                                 ("none", "com.berth.rate.egress=1mbit", "there is no interface that could have it")):
        done = engine.berth("create", "--name", "bad", "--network", f"name={where},driver-opt={option}", "busybox", check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert engine.berth("ps", "-aq").stdout == ""
    engine.berth("run", "-d", "--name", "one", *IDLE)
    done = engine.berth("network", "connect", "--driver-opt", "com.berth.connections=x", "plain", "one", check=False)
    assert done.returncode == 1 and 'com.berth.connections: "x"' in done.stderr


# ---- names ----

def test_an_interface_of_others_with_a_bridges_name(engine):
    host("ip", "link", "add", "ours", "type", "veth", "peer", "name", "others")
    try:
        refused_words = "interface ours exists and is not a bridge"
        done = engine.berth("network", "create", "-o", "com.docker.network.bridge.name=ours", "front", check=False)
        assert done.returncode == 1 and refused_words in done.stderr, done.stderr
        assert "ours" in links() and engine.request("GET", "/networks/front")[0] == 404
    finally:
        host("ip", "link", "delete", "ours")
    engine.berth("network", "create", "-o", "com.docker.network.bridge.name=ours", "front")
    engine.berth("network", "rm", "front")
    wait_until("removed bridge", lambda: "ours" not in links())


def test_an_interface_of_others_with_the_default_bridges_name(tmp_path):
    engine = Engine(tmp_path)
    name = f"brt{engine.number}"
    host("ip", "link", "add", name, "type", "veth", "peer", "name", "others")
    try:
        with pytest.raises(AssertionError, match=f"interface {name} exists and is not a bridge"):
            engine.start()
        assert name in links()
    finally:
        host("ip", "link", "delete", name)
    with engine:
        assert engine.berth("network", "inspect", "bridge").returncode == 0


# ---- what somebody deletes (bridges: test_deleted_bridges.py) ----

def test_an_interface_of_a_container_that_somebody_deletes(engine):
    engine.berth("network", "create", "front")
    engine.berth("run", "-d", "--name", "one", "--network", "front", "-p", "8077:80", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "front", *IDLE)
    pid = str(engine.inspect("one")["State"]["Pid"])
    host("nsenter", "-t", pid, "-n", "ip", "link", "delete", "eth0")
    engine.berth("network", "disconnect", "front", "one")
    engine.berth("network", "connect", "front", "one")
    assert reaches(engine, "one", address_of(engine, "two", "front"))
    pid = str(engine.inspect("two")["State"]["Pid"])
    host("nsenter", "-t", pid, "-n", "ip", "link", "delete", "eth0")
    engine.berth("restart", "-t", "0", "two")
    assert reaches(engine, "two", address_of(engine, "one", "front"))


# ---- pools ----

def test_a_network_without_an_address_left(engine):
    engine.berth("network", "create", "--subnet", "10.61.0.0/29", "small")
    engine.berth("network", "create", "other")
    engine.berth("run", "-d", "--name", "other1", "--network", "other", *IDLE)
    for number in range(5):  # eight less the network's, the gateway's and the broadcast's
        engine.berth("run", "-d", "--name", f"c{number}", "--network", "small", *IDLE)
    def pairs():
        return len([name for name in links() if name.startswith("veth")])
    before, ahead = pairs(), 8  # so many or fewer are kept ready for containers to come
    for _ in range(ahead):
        done = engine.berth("run", "--rm", "--network", "small", "busybox", "true", check=False)
        assert done.returncode == 125 and "no available IPv4 addresses on this network's address pools: small (" in done.stderr
        done = engine.berth("network", "connect", "small", "other1", check=False)
        assert done.returncode == 1 and "no available IPv4 addresses" in done.stderr
    wait_until("no pair more", lambda: pairs() <= before + ahead)
    assert list(engine.inspect("other1")["NetworkSettings"]["Networks"]) == ["other"]
    # Others go on, and an address that comes free is given again.
    assert reaches(engine, "c0", address_of(engine, "c4", "small"))
    freed = address_of(engine, "c2", "small")
    engine.berth("rm", "-f", "c2")
    engine.berth("network", "connect", "small", "other1")
    assert address_of(engine, "other1", "small") == freed
