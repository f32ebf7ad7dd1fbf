"""Corners of networks: where gateways and addresses come from, subnets at the edges of what is possible, names with odd
characters. Each of these was first asked of dockerd, whose answers stand here."""
import json

import pytest

from test_networks import host, inside, network, no_networks_left, settings, show, sleeper  # noqa: F401


def addresses(engine, container):
    words = inside(engine, container, "ip", "-4", "-o", "address", "show", "dev", "eth0").stdout.split()
    return words[words.index("inet") + 1]


def way_out(engine, container, *flags):
    return [line.split()[2] for line in inside(engine, container, "ip", *flags, "route").stdout.splitlines() if line.startswith("default")]


def test_the_gateway_comes_from_the_range_too(engine):
    network(engine, "ranged", "--subnet", "10.58.0.0/24", "--ip-range", "10.58.0.128/25", "--aux-address", "a=10.58.0.129")
    assert "inet 10.58.0.128/24" in host("ip", "-4", "address", "show", "dev", "br-" + show(engine, "ranged")["Id"][:12])
    sleeper(engine, "r1", "--network", "ranged")
    assert (addresses(engine, "r1"), way_out(engine, "r1")) == ("10.58.0.130/24", ["10.58.0.128"])
    # At the subnet's beginning the range's first address is the network's own.
    network(engine, "low", "--subnet", "10.59.0.0/24", "--ip-range", "10.59.0.0/29")
    sleeper(engine, "l1", "--network", "low")
    assert (addresses(engine, "l1"), way_out(engine, "l1")) == ("10.59.0.2/24", ["10.59.0.1"])


def test_an_auxiliary_address_may_be_the_way_out(engine):
    network(engine, "routed", "--ipv6", "--subnet", "10.60.0.0/24", "--subnet", "fd00:60::/64",
            "--aux-address", "DefaultGatewayIPv4=10.60.0.2", "--aux-address", "DefaultGatewayIPv6=fd00:60::2")
    sleeper(engine, "r1", "--network", "routed")
    assert (addresses(engine, "r1"), way_out(engine, "r1")) == ("10.60.0.3/24", ["10.60.0.2"])
    assert way_out(engine, "r1", "-6") == ["fd00:60::2"]
    # The bridge has an address beside it.
    assert "inet 10.60.0.1/24" in host("ip", "-4", "address", "show", "dev", "br-" + show(engine, "routed")["Id"][:12])


def test_isolated_networks_have_no_gateway(engine):
    network(engine, "alone", "--internal", "--ipv6", "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated",
            "-o", "com.docker.network.bridge.gateway_mode_ipv6=isolated")
    assert [sorted(pool) for pool in show(engine, "alone")["IPAM"]["Config"]] == [["Subnet"], ["Subnet"]]
    sleeper(engine, "a1", "--network", "alone")
    shown = settings(engine, "a1", "alone")
    assert shown["IPAddress"].endswith(".0.1") and shown["GlobalIPv6Address"].endswith("::1")
    assert (shown["Gateway"], shown["IPv6Gateway"]) == ("", "")
    # The next engine sees it so, too.
    engine.kill()
    engine.start()
    sleeper(engine, "a2", "--network", "alone")
    assert settings(engine, "a2", "alone")["IPAddress"].endswith(".0.2")


def test_a_subnet_of_two_addresses_has_room_for_one_container(engine):
    network(engine, "pair", "--subnet", "10.61.0.0/31")
    sleeper(engine, "p1", "--network", "pair")
    assert (addresses(engine, "p1"), way_out(engine, "p1")) == ("10.61.0.1/31", ["10.61.0.0"])
    inside(engine, "p1", "ping", "-c", "1", "-W", "1", "10.61.0.0")
    done = engine.docker("run", "--rm", "--network", "pair", "busybox", "true", check=False)
    assert "no available IPv4 addresses on this network's address pools: pair (" in done.stderr


@pytest.mark.parametrize("subnet, words", [
    ("::ffff:10.62.0.0/112", "invalid subnet ::ffff:10.62.0.0/112: it is an IPv4-mapped block"),
    ("ff02::/64", "multicast subnet 'ff02::1/64' is not allowed"),
    ("fe80::/10", "'fe80::1/10' clashes with the Link-Local prefix 'fe80::/64'"),
    ("0.0.0.0/0", "invalid pool request: Pool overlaps with other one on this address space"),
    ("::/0", "invalid pool request: Pool overlaps with other one on this address space")])
def test_subnets_that_cannot_be(engine, subnet, words):
    done = engine.docker("network", "create", "--ipv6", "--subnet", subnet, "x", check=False)
    assert done.returncode == 1 and words in done.stderr
    assert engine.docker("network", "ls", "-q", "-f", "type=custom").stdout == ""


@pytest.mark.parametrize("pool, words", [
    ({"Gateway": "10.63.0.0"}, "failed to allocate gateway (10.63.0.0): Address already in use"),
    ({"Gateway": "10.63.0.255"}, "failed to allocate gateway (10.63.0.255): Address already in use"),
    ({"Gateway": "10.63.0.9", "AuxiliaryAddresses": {"a": "10.63.0.9"}},
     "failed to allocate secondary ip address (a:10.63.0.9): Address already in use"),
    ({"AuxiliaryAddresses": {"a": "10.63.0.1"}}, "failed to allocate secondary ip address (a:10.63.0.1): Address already in use"),
    ({"AuxiliaryAddresses": {"a": "10.63.0.7", "b": "10.63.0.7"}},
     "failed to allocate secondary ip address (b:10.63.0.7): Address already in use")])
def test_addresses_that_two_would_have_are_named(engine, pool, words):
    status, answer = engine.request("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.63.0.0/24", **pool}]}})
    assert (status, answer["message"]) == (409, words)


def test_the_ends_of_a_subnet_are_no_containers(engine):
    network(engine, "ends", "--subnet", "10.64.0.0/24")
    for address in ("10.64.0.0", "10.64.0.255", "10.64.0.1"):
        done = engine.docker("run", "--rm", "--network", "ends", "--ip", address, "busybox", "true", check=False)
        assert done.returncode == 125 and "Address already in use" in done.stderr


def test_names_may_have_slashes(engine):
    network(engine, "team/back", "--subnet", "10.65.0.0/24")
    assert show(engine, "team/back")["Name"] == "team/back"
    sleeper(engine, "s1")
    engine.docker("network", "connect", "--ip", "10.65.0.9", "team/back", "s1")
    assert settings(engine, "s1", "team/back")["IPAddress"] == "10.65.0.9"
    engine.docker("network", "disconnect", "team/back", "s1")
    engine.docker("network", "rm", "team/back")


def test_interfaces_names_are_not_given_twice(engine):
    network(engine, "one")
    network(engine, "two")
    option = "driver-opt=com.docker.network.endpoint.ifname=lan0"
    done = engine.docker("run", "--rm", "--network", f"name=one,{option}", "--network", f"name=two,{option}", "busybox", "true", check=False)
    assert done.returncode == 125
    assert 'interface name "lan0" for network two is taken: the container\'s interface in network one has it' in done.stderr
    # No prefix is the usual one.
    network(engine, "plain", "-o", "com.docker.network.container_iface_prefix=")
    assert "eth0" in engine.docker("run", "--rm", "--network", "plain", "busybox", "ip", "link").stdout


@pytest.mark.parametrize("driver", ["bridge", "macvlan", "ipvlan"])
def test_the_null_driver_has_no_addresses(engine, driver):
    for config, words in (([], "ipv4 pool is empty"),
                          ([{"Subnet": "10.9.9.0/24"}], "null ipam driver does not handle specific address pool requests")):
        body = {"Name": "null-one", "Driver": driver, "IPAM": {"Driver": "null", "Config": config}}
        assert engine.request("POST", "/networks/create", body) == (400, {"message": words})


@pytest.mark.parametrize("sysctl, words", [
    ("net.ipv4.conf.IFNAME.nosuch=1", "/proc/sys/net/ipv4/conf/eth0/nosuch is not a sysctl file"),
    ("net.mpls.conf.IFNAME.input=1", "/proc/sys/net/mpls/conf/eth0/input is not a sysctl file"),
    ("net.ipv4.conf.IFNAME.log_martians=x", "unable to write to '/proc/sys/net/ipv4/conf/eth0/log_martians': invalid argument")])
def test_sysctls_that_cannot_be_set_are_named(engine, sysctl, words):
    network(engine, "set")
    done = engine.docker("run", "--rm", "--network", f"name=set,driver-opt=com.docker.network.endpoint.sysctls={sysctl}", "busybox", "true",
                         check=False)
    # 127 would say that the container's program is missing.
    assert done.returncode == 125 and words in done.stderr, done.stderr


def test_a_link_to_a_container_elsewhere_says_so(engine):
    network(engine, "other")
    away = sleeper(engine, "away", "--network", "other")
    done = engine.docker("run", "--rm", "--link", "away:x", "busybox", "true", check=False)
    assert f"container {away} not attached to default bridge network" in done.stderr
    engine.docker("kill", "away")
    done = engine.docker("run", "--rm", "--name", "web", "--link", "away:x", "busybox", "true", check=False)
    assert "Cannot link to a non running container: /away AS /web/x" in done.stderr
    assert json.loads(engine.docker("inspect", "away").stdout)[0]["State"]["Running"] is False


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_link_local_addresses_are_the_interfaces_own(engine, client):
    run = engine.docker if client == "docker" else engine.berth
    network(engine, "lan", "--ipv6", "--subnet", "10.66.0.0/24", "--subnet", "fd66::/64")
    local = {"one": ["169.254.8.1", "fe80::8:1"], "two": ["169.254.8.2", "fe80::8:2"]}
    flags = {name: [word for address in addresses for word in ("--link-local-ip", address)] for name, addresses in local.items()}
    run("run", "-d", "--name", "one", "--network", "lan", *flags["one"], "busybox", "sleep", "1000")
    run("run", "-d", "--name", "two", "--network", "none", "busybox", "sleep", "1000")
    run("network", "disconnect", "none", "two")
    run("network", "connect", *flags["two"], "lan", "two")
    for _ in range(2):
        for name, other in (("one", "two"), ("two", "one")):
            shown = inside(engine, name, "ip", "address", "show", "dev", "eth0").stdout
            assert f"inet {local[name][0]}/16 " in shown and f"inet6 {local[name][1]}/64 " in shown, shown
            # Beside its usual ones, and the firewall lets both of them send.
            assert f"inet {settings(engine, name, 'lan')['IPAddress']}/24 " in shown
            assert settings(engine, name, "lan")["IPAMConfig"]["LinkLocalIPs"] == local[name]
            inside(engine, name, "ping", "-c", "1", "-W", "2", "-I", local[name][0], local[other][0])
            inside(engine, name, "ping", "-6", "-c", "1", "-W", "2", "-I", "eth0", local[other][1])
        run("restart", "-t", "0", "one", "two")
    run("run", "-d", "--name", "plain", "--network", "lan", "busybox", "sleep", "1000")
    assert "169.254." not in inside(engine, "plain", "ip", "address").stdout
    bad = run("create", "--network", "lan", "--link-local-ip", "nonsense", "busybox", check=False)
    assert bad.returncode != 0 and "nonsense" in bad.stderr, bad.stderr
