"""Macvlan and ipvlan networks: containers on the network of a parent interface. What the kernel does not have is
skipped: the virtual machine's has all of it."""
import subprocess

import pytest

from engine import wait_until

IDLE = ("busybox", "sleep", "3600")


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def lan(engine):
    """A machine at the other end of the parent "lan0": 10.66.0.1, in a network namespace "machine"."""
    ip("netns", "add", "machine")
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", "machine")
    ip("link", "set", "lan0", "up")
    ip("-n", "machine", "link", "set", "eth0", "up")
    ip("-n", "machine", "address", "add", "10.66.0.1/24", "dev", "eth0")
    yield "lan0"
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", *left)
    engine.berth("network", "rm", "lan", "other", check=False)
    ip("link", "delete", "lan0")
    ip("netns", "delete", "machine")


def create(engine, parent, *flags):
    engine.berth("network", "create", "-d", "macvlan", "--subnet", "10.66.0.0/24", "--gateway", "10.66.0.1", "-o",
                  f"parent={parent}", *flags, "lan")


def reaches(engine, container, address):
    return engine.berth("exec", container, "ping", "-c", "1", "-W", "3", address, check=False).returncode == 0


def test_containers_are_machines_on_the_lan(engine, lan):
    create(engine, lan)
    shown = engine.request("GET", "/networks/lan")[1]
    assert shown["Driver"] == "macvlan" and shown["Options"] == {"parent": "lan0"}
    engine.berth("run", "-d", "--name", "one", "--network", "lan", "-p", "80", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "lan", "--ip", "10.66.0.77", "--mac-address", "02:00:00:00:00:77", *IDLE)
    assert engine.inspect("one")["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == "10.66.0.2"
    assert reaches(engine, "one", "10.66.0.1") and reaches(engine, "one", "10.66.0.77")
    assert "default via 10.66.0.1" in engine.berth("exec", "one", "ip", "route").stdout
    assert "10.66.0.77" in engine.berth("exec", "one", "nslookup", "two").stdout
    assert "02:00:00:00:00:77" in engine.berth("exec", "two", "ip", "link").stdout
    machine = subprocess.run(["ip", "netns", "exec", "machine", "busybox", "ping", "-c", "1", "-W", "3", "10.66.0.77"])
    assert machine.returncode == 0
    refused = engine.berth("network", "rm", "lan", check=False)
    assert refused.returncode != 0 and "active endpoints" in refused.stderr


def test_a_running_container_joins_and_leaves(engine, lan):
    create(engine, lan, "-o", "macvlan_mode=bridge")
    engine.berth("run", "-d", "--name", "late", *IDLE)
    engine.berth("network", "connect", "lan", "late")
    assert reaches(engine, "late", "10.66.0.1")
    engine.berth("network", "disconnect", "lan", "late")
    assert not reaches(engine, "late", "10.66.0.1") and "10.66." not in engine.berth("exec", "late", "ip", "address").stdout


def test_modes_and_parents_are_checked(engine, lan):
    for flags, words in ((("-o", "parent=lan0", "-o", "macvlan_mode=x"), "requested macvlan mode 'x' is not valid"),
                         (("-o", "parent=lo"), "loopback interface is not a valid macvlan parent link"),
                         (("-o", "parent=eth9"), "invalid subinterface vlan name eth9, example formatting is eth0.10")):
        done = engine.berth("network", "create", "-d", "macvlan", *flags, "bad", check=False)
        assert done.returncode != 0 and words in done.stderr
    create(engine, lan, "-o", "macvlan_mode=private")
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "lan", *IDLE)
    assert reaches(engine, "one", "10.66.0.1") and not reaches(engine, "one", "10.66.0.3")


def test_containers_have_the_gateway_of_their_subnet(engine, lan):
    ip("-n", "machine", "address", "add", "10.67.0.1/24", "dev", "eth0")
    create(engine, lan, "--ip-range", "10.66.0.2/31", "--subnet", "10.67.0.0/24", "--gateway", "10.67.0.1", "--aux-address", "taken=10.67.0.2")
    assert engine.request("GET", "/networks/lan")[1]["IPAM"]["Config"] == [
        {"Subnet": "10.66.0.0/24", "Gateway": "10.66.0.1", "IPRange": "10.66.0.2/31"},
        {"Subnet": "10.67.0.0/24", "Gateway": "10.67.0.1", "AuxiliaryAddresses": {"taken": "10.67.0.2"}}]
    for name, flags, address, gateway in (("one", (), "10.66.0.2", "10.66.0.1"), ("two", ("--ip", "10.67.0.77"), "10.67.0.77", "10.67.0.1"),
                                          ("three", (), "10.66.0.3", "10.66.0.1"), ("four", (), "10.67.0.3", "10.67.0.1")):
        engine.berth("run", "-d", "--name", name, "--network", "lan", *flags, *IDLE)
        place = engine.inspect(name)["NetworkSettings"]["Networks"]["lan"]
        assert (place["IPAddress"], place["IPPrefixLen"], place["Gateway"]) == (address, 24, gateway)
        assert f"default via {gateway} dev eth0" in engine.berth("exec", name, "ip", "route").stdout
        assert reaches(engine, name, gateway)
    assert reaches(engine, "two", "10.67.0.3") and "10.67.0.77" in engine.berth("exec", "one", "nslookup", "two").stdout
    done = engine.berth("network", "create", "--subnet", "10.68.0.0/24", "--subnet", "10.69.0.0/24", "bad", check=False)
    assert done.returncode != 0 and "bridge driver doesn't support multiple subnets" in done.stderr


def test_an_internal_network_keeps_no_address_for_a_gateway(engine, lan):
    engine.berth("network", "create", "-d", "macvlan", "--internal", "-o", f"parent={lan}", "lan")
    assert [sorted(pool) for pool in engine.request("GET", "/networks/lan")[1]["IPAM"]["Config"]] == [["Subnet"]]
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    place = engine.inspect("one")["NetworkSettings"]["Networks"]["lan"]
    assert place["IPAddress"].endswith(".0.1") and place["Gateway"] == ""
    # The next engine sees it so, too.
    engine.kill()
    engine.start()
    engine.berth("run", "-d", "--name", "two", "--network", "lan", *IDLE)
    second = engine.inspect("two")["NetworkSettings"]["Networks"]["lan"]["IPAddress"]
    assert second.endswith(".0.2") and reaches(engine, "one", second)


def test_networks_share_a_parent(engine, lan):
    ip("-n", "machine", "address", "add", "10.67.0.1/24", "dev", "eth0")
    create(engine, lan)
    engine.berth("network", "create", "-d", "macvlan", "--subnet", "10.67.0.0/24", "--gateway", "10.67.0.1", "-o", f"parent={lan}", "other")
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "other", *IDLE)
    assert reaches(engine, "one", "10.66.0.1") and reaches(engine, "two", "10.67.0.1")
    engine.berth("network", "connect", "other", "one")
    assert reaches(engine, "one", "10.67.0.2") and reaches(engine, "two", "10.67.0.3")
    done = engine.berth("network", "create", "-d", "macvlan", "-o", f"parent={lan}", "-o", "macvlan_mode=passthru", "bad", check=False)
    assert done.returncode != 0 and "cannot use mode passthru, macvlan network" in done.stderr
    engine.berth("network", "disconnect", "other", "one")
    engine.berth("rm", "-f", "two")
    engine.berth("network", "rm", "other")
    assert reaches(engine, "one", "10.66.0.1")


def needs_kernel(*kinds):
    for kind in kinds:
        parent = ("link", "lan0") if kind in ("ipvlan", "vlan") else ()
        more = ("id", "1") if kind == "vlan" else ()
        done = subprocess.run(["ip", "link", "add", *parent, "name", "probe0", "type", kind, *more], capture_output=True, text=True)
        if done.returncode == 0:
            ip("link", "delete", "probe0")
        elif "not supported" in done.stderr or "Unknown device type" in done.stderr:
            pytest.skip(f"this kernel has no {kind}: the virtual machine's has")


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_containers_share_the_parents_mac(engine, lan, mode):
    needs_kernel("ipvlan")
    engine.berth("network", "create", "-d", "ipvlan", "--subnet", "10.66.0.0/24", "--gateway", "10.66.0.1", "-o", f"parent={lan}",
                 "-o", f"ipvlan_mode={mode}", "lan")
    engine.berth("run", "-d", "--name", "one", "--network", "lan", "--ip", "10.66.0.20", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "lan", *IDLE)
    assert reaches(engine, "two", "10.66.0.20")
    if mode == "l2":  # in the others nobody on the network is told of the containers: test_sublinks.py
        assert reaches(engine, "one", "10.66.0.1")
    assert parent_mac(lan) in engine.berth("exec", "one", "ip", "link").stdout
    default = engine.berth("exec", "one", "ip", "route").stdout.splitlines()[0]
    assert default.startswith("default via 10.66.0.1" if mode == "l2" else "default dev eth0")
    engine.berth("rm", "-f", "one", "two")
    engine.berth("network", "rm", "lan")
    done = engine.berth("network", "create", "-d", "ipvlan", "-o", f"parent={lan}", "-o", "ipvlan_mode=x", "bad", check=False)
    assert "requested ipvlan mode 'x' is not valid" in done.stderr


def parent_mac(name):
    return ip("link", "show", name).split("link/ether ")[1].split()[0]


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_vlan_is_made_and_goes_with_the_network(engine, lan, driver):
    needs_kernel(driver, "vlan")
    ip("-n", "machine", "link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", "10")
    ip("-n", "machine", "address", "add", "10.67.0.1/24", "dev", "eth0.10")
    ip("-n", "machine", "link", "set", "eth0.10", "up")
    engine.berth("network", "create", "-d", driver, "--subnet", "10.67.0.0/24", "--gateway", "10.67.0.1", "-o", f"parent={lan}.10", "lan")
    assert "vlan protocol 802.1Q id 10" in ip("-d", "link", "show", f"{lan}.10")
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    assert reaches(engine, "one", "10.67.0.1")
    engine.berth("rm", "-f", "one")
    engine.berth("network", "rm", "lan")
    wait_until("removal", lambda: f"{lan}.10" not in ip("link"))


def test_a_shared_vlan_is_made_once_and_goes_with_its_last_network(engine, lan):
    needs_kernel("vlan")
    for name, number in (("lan", 67), ("other", 68)):
        engine.berth("network", "create", "-d", "macvlan", "--subnet", f"10.{number}.0.0/24", "-o", f"parent={lan}.10", name)
    engine.berth("run", "-d", "--name", "one", "--network", "other", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "other", *IDLE)
    engine.berth("network", "rm", "lan")
    assert reaches(engine, "one", "10.68.0.3")
    engine.berth("rm", "-f", "one", "two")
    engine.berth("network", "rm", "other")
    wait_until("removal", lambda: f"{lan}.10" not in ip("link"))


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_without_a_parent_containers_are_among_themselves(engine, lan, driver):
    needs_kernel(driver, "dummy")
    engine.berth("network", "create", "-d", driver, "--subnet", "10.68.0.0/24", "lan")
    assert engine.request("GET", "/networks/lan")[1]["Internal"]
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    engine.berth("run", "-d", "--name", "two", "--network", "lan", *IDLE)
    assert reaches(engine, "one", "10.68.0.2") and "default" not in engine.berth("exec", "one", "ip", "route").stdout
    engine.berth("rm", "-f", "one", "two")
    before = ip("link")
    assert "dummy" in ip("-d", "link")
    engine.berth("network", "rm", "lan")
    wait_until("removal", lambda: "dummy" not in ip("-d", "link"))
    assert before != ip("link")


def test_the_engine_may_die(fresh_engine):
    engine = fresh_engine
    ip("netns", "add", "machine")
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", "machine")
    ip("link", "set", "lan0", "up")
    ip("-n", "machine", "link", "set", "eth0", "up")
    ip("-n", "machine", "address", "add", "10.66.0.1/24", "dev", "eth0")
    try:
        create(engine, "lan0", "--subnet", "10.67.0.0/24")
        engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
        engine.berth("run", "-d", "--name", "three", "--network", "lan", "--ip", "10.67.0.2", *IDLE)
        engine.berth("network", "create", "-d", "macvlan", "--subnet", "10.69.0.0/24", "-o", "parent=lan0", "other")
        engine.kill()
        engine.start()
        engine.berth("run", "-d", "--name", "two", "--network", "lan", *IDLE)
        assert engine.inspect("two")["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == "10.66.0.3"
        assert reaches(engine, "one", "10.66.0.3")
        engine.berth("run", "-d", "--name", "four", "--network", "lan", "--ip", "10.67.0.3", *IDLE)
        assert reaches(engine, "four", "10.67.0.2")
        taken = engine.berth("run", "-d", "--name", "five", "--network", "lan", "--ip", "10.67.0.2", *IDLE, check=False)
        assert taken.returncode != 0 and "Address already in use" in taken.stderr
        overlap = engine.berth("network", "create", "--subnet", "10.67.0.128/25", "bad", check=False)
        assert overlap.returncode != 0 and "Pool overlaps with other one on this address space" in overlap.stderr
        engine.berth("run", "--rm", "--network", "other", "busybox", "ip", "address")
        engine.berth("network", "disconnect", "lan", "one")
        assert "10.66." not in engine.berth("exec", "one", "ip", "address").stdout
        engine.berth("rm", "-f", "one", "two", "three", "four", "five")
        engine.berth("network", "rm", "lan", "other")
    finally:
        ip("link", "delete", "lan0")
        ip("netns", "delete", "machine")
