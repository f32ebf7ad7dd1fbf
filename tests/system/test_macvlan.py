"""Macvlan networks: containers on the network of a parent interface. (ipvlan needs a kernel that has it.)"""
import subprocess

import pytest

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
    left = engine.docker("ps", "-aq").stdout.split()
    if left:
        engine.docker("rm", "-f", *left)
    engine.docker("network", "rm", "lan", check=False)
    ip("link", "delete", "lan0")
    ip("netns", "delete", "machine")


def create(engine, parent, *flags):
    engine.docker("network", "create", "-d", "macvlan", "--subnet", "10.66.0.0/24", "--gateway", "10.66.0.1", "-o",
                  f"parent={parent}", *flags, "lan")


def reaches(engine, container, address):
    return engine.docker("exec", container, "ping", "-c", "1", "-W", "3", address, check=False).returncode == 0


def test_containers_are_machines_on_the_lan(engine, lan):
    create(engine, lan)
    shown = engine.request("GET", "/networks/lan")[1]
    assert shown["Driver"] == "macvlan" and shown["Options"] == {"parent": "lan0"}
    engine.docker("run", "-d", "--name", "one", "--network", "lan", "-p", "80", *IDLE)
    engine.docker("run", "-d", "--name", "two", "--network", "lan", "--ip", "10.66.0.77", "--mac-address", "02:00:00:00:00:77", *IDLE)
    assert engine.inspect("one")["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == "10.66.0.2"
    assert reaches(engine, "one", "10.66.0.1") and reaches(engine, "one", "10.66.0.77")
    assert "default via 10.66.0.1" in engine.docker("exec", "one", "ip", "route").stdout
    assert "10.66.0.77" in engine.docker("exec", "one", "nslookup", "two").stdout
    assert "02:00:00:00:00:77" in engine.docker("exec", "two", "ip", "link").stdout
    machine = subprocess.run(["ip", "netns", "exec", "machine", "busybox", "ping", "-c", "1", "-W", "3", "10.66.0.77"])
    assert machine.returncode == 0
    refused = engine.docker("network", "rm", "lan", check=False)
    assert refused.returncode != 0 and "active endpoints" in refused.stderr


def test_a_running_container_joins_and_leaves(engine, lan):
    create(engine, lan, "-o", "macvlan_mode=bridge")
    engine.docker("run", "-d", "--name", "late", *IDLE)
    engine.docker("network", "connect", "lan", "late")
    assert reaches(engine, "late", "10.66.0.1")
    engine.docker("network", "disconnect", "lan", "late")
    assert not reaches(engine, "late", "10.66.0.1") and "10.66." not in engine.docker("exec", "late", "ip", "address").stdout


def test_modes_and_parents_are_checked(engine, lan):
    for flags, words in ((("-o", "parent=lan0", "-o", "macvlan_mode=x"), "requested macvlan mode 'x' is not valid"),
                         (("-o", "parent=eth9"), "invalid subinterface vlan name eth9, example formatting is eth0.10")):
        done = engine.docker("network", "create", "-d", "macvlan", *flags, "bad", check=False)
        assert done.returncode != 0 and words in done.stderr
    create(engine, lan, "-o", "macvlan_mode=private")
    engine.docker("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    engine.docker("run", "-d", "--name", "two", "--network", "lan", *IDLE)
    assert reaches(engine, "one", "10.66.0.1") and not reaches(engine, "one", "10.66.0.3")
    done = engine.docker("network", "create", "-d", "macvlan", "-o", "parent=lan0", "other", check=False)
    assert done.returncode != 0 and "is already using parent interface lan0" in done.stderr


def test_the_engine_may_die(fresh_engine):
    engine = fresh_engine
    ip("netns", "add", "machine")
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", "machine")
    ip("link", "set", "lan0", "up")
    ip("-n", "machine", "link", "set", "eth0", "up")
    ip("-n", "machine", "address", "add", "10.66.0.1/24", "dev", "eth0")
    try:
        create(engine, "lan0")
        engine.docker("run", "-d", "--name", "one", "--network", "lan", *IDLE)
        engine.kill()
        engine.start()
        engine.docker("run", "-d", "--name", "two", "--network", "lan", *IDLE)
        assert engine.inspect("two")["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == "10.66.0.3"
        assert reaches(engine, "one", "10.66.0.3")
        engine.docker("network", "disconnect", "lan", "one")
        assert "10.66." not in engine.docker("exec", "one", "ip", "address").stdout
        engine.docker("rm", "-f", "one", "two")
        engine.docker("network", "rm", "lan")
    finally:
        ip("link", "delete", "lan0")
        ip("netns", "delete", "machine")
