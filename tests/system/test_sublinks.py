"""Macvlan and ipvlan networks on the wire: which way containers go and from where they are reached, in each mode, in both families
and when they join late. At the other end of the parent is a machine that is a router, or a switch. What the kernel does not have
is skipped: the virtual machine's has all of it."""
import subprocess
import sys

import pytest

from engine import wait_until
from test_macvlan import IDLE, ip, lan, needs_kernel, parent_mac, reaches  # noqa: F401

HOST = {"-4": "10.66.0.254", "-6": "fd00:66::fe"}  # on the parent
MACHINE = {"-4": "10.66.0.1", "-6": "fd00:66::1"}
BEYOND = {"-4": "10.99.0.1", "-6": "fd00:99::1"}  # behind the machine
BOTH = ("--ipv6", "--subnet", "10.66.0.0/24", "--gateway", MACHINE["-4"], "--subnet", "fd00:66::/64", "--gateway", MACHINE["-6"])
# A network that nobody on the wire is in.
APART = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd00:77::/64")
SIX_APART = ("--ipv4=false", "--ipv6", "--subnet", "fd00:77::/64")


@pytest.fixture
def router(lan):
    """The machine is in both families, knows addresses beyond, and leads to 10.77.0.0/24 and fd00:77::/64 over the host."""
    ip("address", "add", f"{HOST['-4']}/24", "dev", lan)
    ip("address", "add", f"{HOST['-6']}/64", "dev", lan, "nodad")
    ip("-n", "machine", "address", "add", f"{MACHINE['-6']}/64", "dev", "eth0", "nodad")
    ip("-n", "machine", "link", "set", "lo", "up")
    for family, apart in (("-4", "10.77.0.0/24"), ("-6", "fd00:77::/64")):
        ip("-n", "machine", "address", "add", BEYOND[family], "dev", "lo")
        ip("-n", "machine", family, "route", "add", apart, "via", HOST[family])
        ip(family, "route", "add", BEYOND[family], "via", MACHINE[family])
    return lan


@pytest.fixture
def switch(lan):
    """The machine is a switch; a function lets it send frames back where they came from (802.1Qbg's reflective relay), or not."""
    ip("-n", "machine", "link", "add", "br0", "type", "bridge")
    ip("-n", "machine", "address", "flush", "dev", "eth0")
    ip("-n", "machine", "link", "set", "eth0", "master", "br0")
    ip("-n", "machine", "link", "set", "br0", "up")
    ip("-n", "machine", "address", "add", f"{MACHINE['-4']}/24", "dev", "br0")
    return lambda reflects: ip("-n", "machine", "link", "set", "eth0", "type", "bridge_slave", "hairpin", "on" if reflects else "off")


def make(engine, driver, parent, *flags, name="lan"):
    engine.berth("network", "create", "-d", driver, "-o", f"parent={parent}", *flags, name)


def way_out(engine, container, family):
    """"via 10.66.0.1 dev eth0" or "dev eth0"."""
    routes = engine.berth("exec", container, "ip", family, "route").stdout.splitlines()
    words = [line.split() for line in routes if line.startswith("default ")]
    assert len(words) <= 1, routes
    return " ".join(words[0][1:words[0].index("dev") + 2]) if words else ""


def ways_out(engine, container):
    return way_out(engine, container, "-4"), way_out(engine, container, "-6")


def address_in(engine, container, network, family):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress" if family == "-4" else "GlobalIPv6Address"]


GET = """
import socket, sys
with socket.create_connection((sys.argv[1], 8080), 3) as server:
    server.sendall(b"GET /passwd HTTP/1.0\\r\\n\\r\\n")
    print(server.makefile("rb").read().decode())
"""


def is_served_to_machine(address):
    done = subprocess.run(["ip", "netns", "exec", "machine", sys.executable, "-c", GET, address], capture_output=True, text=True)
    return "root:" in done.stdout


def prove_both_directions(engine, container, network, family):
    assert reaches(engine, container, MACHINE[family])
    assert reaches(engine, container, BEYOND[family])
    engine.berth("exec", "-d", container, "httpd", "-f", "-p", "8080", "-h", "/etc")
    address = address_in(engine, container, network, family)
    wait_until("answer to the machine", lambda: is_served_to_machine(address), deadline=15)


@pytest.mark.parametrize("flags, families", [(APART, ("-4", "-6")), (APART[1:3], ("-4",)), (SIX_APART, ("-6",))], ids=["both", "ipv4", "ipv6"])
@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_layer_3_containers_lead_out_over_the_parent(engine, router, mode, flags, families):
    needs_kernel("ipvlan")
    make(engine, "ipvlan", router, "-o", f"ipvlan_mode={mode}", *flags)
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    for family in ("-4", "-6"):
        assert way_out(engine, "one", family) == ("dev eth0" if family in families else "")
    for family in families:
        prove_both_directions(engine, "one", "lan", family)
    shown = engine.inspect("one")["NetworkSettings"]["Networks"]["lan"]
    assert (shown["Gateway"], shown["IPv6Gateway"]) == ("", "")


def test_internal_layer_3_networks_lead_nowhere(engine, router):
    needs_kernel("ipvlan")
    make(engine, "ipvlan", router, "-o", "ipvlan_mode=l3", "--internal", *APART)
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    assert ways_out(engine, "one") == ("", "")
    assert not reaches(engine, "one", MACHINE["-4"])


@pytest.mark.parametrize("flags, families", [(BOTH, ("-4", "-6")), (("--ipv4=false", "--ipv6", *BOTH[5:]), ("-6",))], ids=["both", "ipv6"])
@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_layer_2_containers_have_ipv6_on_the_wire(engine, router, driver, flags, families):
    needs_kernel(driver)
    # The host does not reach containers over the parent, nor they the host: it is out of the way.
    make(engine, driver, router, *flags)
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    for family in families:
        assert way_out(engine, "one", family) == f"via {MACHINE[family]} dev eth0"
        prove_both_directions(engine, "one", "lan", family)


LATE = [("macvlan", BOTH, tuple(f"via {MACHINE[family]} dev eth1" for family in ("-4", "-6"))),
        ("ipvlan", ("-o", "ipvlan_mode=l3", *APART), ("dev eth1", "dev eth1"))]


@pytest.fixture
def near(engine):
    """A network of both families besides; its ways out over eth0."""
    engine.berth("network", "create", "--ipv6", "--subnet", "10.88.0.0/24", "--subnet", "fd00:88::/64", "near")
    yield "via 10.88.0.1 dev eth0", "via fd00:88::1 dev eth0"
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", *left)
    engine.berth("network", "rm", "near")


@pytest.mark.parametrize("driver, flags, ways", LATE, ids=["macvlan", "l3"])
def test_who_joins_late_goes_out_there(engine, router, near, driver, flags, ways):
    needs_kernel(driver)
    make(engine, driver, router, *flags)
    engine.berth("run", "-d", "--name", "one", "--network", "near", "-p", "127.0.0.1:18081:8080", *IDLE)
    assert ways_out(engine, "one") == near
    assert engine.berth("port", "one").stdout == "8080/tcp -> 127.0.0.1:18081\n"
    engine.berth("network", "connect", "--gw-priority", "5", "lan", "one")
    assert ways_out(engine, "one") == ways
    # As with one that starts in both.
    engine.berth("run", "-d", "--name", "two", "--network", "near", "--network", "name=lan,gw-priority=5", *IDLE)
    assert ways_out(engine, "two") == ways
    for family in ("-4", "-6"):
        prove_both_directions(engine, "one", "lan", family)
    # Ports are those of the way out, and here there are none.
    assert engine.berth("port", "one").stdout == ""
    engine.berth("network", "disconnect", "lan", "one")
    assert ways_out(engine, "one") == near
    assert engine.berth("port", "one").stdout == "8080/tcp -> 127.0.0.1:18081\n"


@pytest.mark.parametrize("driver, flags, ways", LATE, ids=["macvlan", "l3"])
def test_a_network_that_comes_late_may_be_the_only_way_out(engine, router, driver, flags, ways):
    needs_kernel(driver)
    make(engine, driver, router, *flags)
    engine.berth("network", "create", "--internal", "--subnet", "10.88.0.0/24", "closed")
    try:
        engine.berth("run", "-d", "--name", "one", "--network", "closed", *IDLE)
        assert ways_out(engine, "one") == ("", "")
        engine.berth("network", "connect", "lan", "one")
        assert ways_out(engine, "one") == ways
        for family in ("-4", "-6"):
            prove_both_directions(engine, "one", "lan", family)
        engine.berth("network", "disconnect", "lan", "one")
        assert ways_out(engine, "one") == ("", "")
    finally:
        engine.berth("rm", "-f", "one")
        engine.berth("network", "rm", "closed")


@pytest.mark.parametrize("driver, flags, ways", LATE, ids=["macvlan", "l3"])
def test_the_way_out_is_given_away_and_comes_back(engine, router, near, driver, flags, ways):
    needs_kernel(driver)
    make(engine, driver, router, *flags)
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    own = tuple(way.replace("eth1", "eth0") for way in ways)
    assert ways_out(engine, "one") == own
    engine.berth("network", "connect", "--gw-priority", "5", "near", "one")
    assert ways_out(engine, "one") == tuple(way.replace("eth0", "eth1") for way in near)
    engine.berth("network", "disconnect", "near", "one")
    assert ways_out(engine, "one") == own
    for family in ("-4", "-6"):
        prove_both_directions(engine, "one", "lan", family)


def is_answered(engine, container, address):
    """More than once: the first question may be lost where the neighbor could not be found before."""
    return engine.berth("exec", container, "ping", "-c", "3", "-W", "2", address, check=False).returncode == 0


def one_and_two(engine):
    for name, last in (("one", 20), ("two", 21)):
        engine.berth("run", "-d", "--name", name, "--network", "lan", "--ip", f"10.66.0.{last}", *IDLE)


# Whether containers of one parent reach each other, where the switch sends frames back and where it does not.
@pytest.mark.parametrize("driver, option, mode, directly, reflected", [
    ("macvlan", "macvlan_mode", "bridge", True, True),
    ("macvlan", "macvlan_mode", "private", False, False),
    ("macvlan", "macvlan_mode", "vepa", False, True),
    ("ipvlan", "ipvlan_flag", "bridge", True, True),
    ("ipvlan", "ipvlan_flag", "private", False, False),
    ("ipvlan", "ipvlan_flag", "vepa", False, True)])
def test_how_containers_of_one_parent_reach_each_other(engine, lan, switch, driver, option, mode, directly, reflected):
    needs_kernel(driver)
    make(engine, driver, lan, *BOTH[1:5], "-o", f"{option}={mode}")
    one_and_two(engine)
    assert reaches(engine, "one", MACHINE["-4"]) and reaches(engine, "two", MACHINE["-4"])
    switch(False)
    assert is_answered(engine, "one", "10.66.0.21") == directly
    switch(True)
    assert is_answered(engine, "one", "10.66.0.21") == reflected
    assert reaches(engine, "one", MACHINE["-4"])


def test_a_parent_that_is_passed_through_is_one_containers_own(engine, router):
    make(engine, "macvlan", router, *BOTH, "-o", "macvlan_mode=passthru")
    engine.berth("run", "-d", "--name", "one", "--network", "lan", *IDLE)
    assert parent_mac(router) in engine.berth("exec", "one", "ip", "link", "show", "eth0").stdout
    for family in ("-4", "-6"):
        prove_both_directions(engine, "one", "lan", family)
    # The machine sees it under the parent's address.
    assert parent_mac(router) in ip("-n", "machine", "neigh", "show", address_in(engine, "one", "lan", "-4"))
    refused = engine.berth("run", "--rm", "--network", "lan", "busybox", "true", check=False)
    assert refused.returncode != 0 and "passthru mode has one container" in refused.stderr
    engine.berth("rm", "-f", "one")
    engine.berth("run", "-d", "--name", "next", "--network", "lan", *IDLE)
    for family in ("-4", "-6"):
        prove_both_directions(engine, "next", "lan", family)
