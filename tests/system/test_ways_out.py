"""With what address containers' packets reach other machines, and that they do not where they must not: those are network
namespaces on a switch (tests/support/neighbors.py), which have a route back to each container, so that an address that is not
translated works, too, and shows."""
import pytest

from engine import Engine, wait_until
from neighbors import HOST, HOST_V6, ask_here, hosts, in_container, send_from, server, sh, who  # noqa: F401

IDLE = ("busybox", "sleep", "1000")
SUBNETS = ("--ipv6", "--subnet", "10.63.0.0/24", "--subnet", "fd63::/64")


@pytest.fixture
def other(hosts, who):
    """Another machine, whose port 80 tells who connects what address that comes from."""
    with hosts[1].telling(who):
        yield hosts[1]


@pytest.fixture(autouse=True)
def no_networks_left(request):
    yield
    if "engine" in request.fixturenames:
        running = request.getfixturevalue("engine")
        running.remove_all()
        running.berth("network", "prune", "-f")


def run(engine, name, *flags):
    engine.berth("run", "-d", "--name", name, *flags, *IDLE)


def addresses(engine, container):
    shown = next(iter(engine.inspect(container)["NetworkSettings"]["Networks"].values()))
    return shown["IPAddress"], shown["GlobalIPv6Address"]


def seen(engine, container, address):
    """What a machine says that a container's connection comes from; empty: there is none."""
    return engine.berth("exec", container, "nc", "-w", "2", address, "80", check=False).stdout.strip().removeprefix("::ffff:")


def seen_by(engine, container, machine):
    return seen(engine, container, machine.address), seen(engine, container, machine.address_v6)


# ---- masquerade ----

def test_masquerade_is_the_networks_choice(engine, other):
    engine.berth("network", "create", *SUBNETS, "translated")
    engine.berth("network", "create", "--ipv6", "--subnet", "10.64.0.0/24", "--subnet", "fd64::/64", "-o",
                 "com.docker.network.bridge.enable_ip_masquerade=false", "plain")
    run(engine, "inside", "--network", "translated")
    run(engine, "open", "--network", "plain")
    assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
    assert seen_by(engine, "open", other) == addresses(engine, "open")
    # The next engine writes the same rules.
    engine.kill()
    engine.start()
    assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
    assert seen_by(engine, "open", other) == addresses(engine, "open")


def test_masquerade_is_the_engines_choice_for_the_default_bridge(tmp_path, rootfs_tar, other):
    with Engine(tmp_path, "--ip-masq=false", "--ipv6", "--fixed-cidr-v6=fd65::/64") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        run(engine, "open")
        assert seen_by(engine, "open", other) == addresses(engine, "open")
        # As with dockerd, other networks have an option of their own.
        engine.berth("network", "create", *SUBNETS, "translated")
        run(engine, "inside", "--network", "translated")
        assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
        engine.berth("rm", "-f", "inside", "open")
        engine.berth("network", "rm", "translated")
        engine.stop()
        engine.flags = [flag for flag in engine.flags if "ip-masq" not in flag]
        engine.start()
        run(engine, "inside")
        assert seen_by(engine, "inside", other) == (HOST, HOST_V6)


def test_masquerade_has_the_address_that_the_network_says(engine, other):
    sh("ip", "address", "add", "fd50::77/64", "dev", "switch0", "nodad")
    sh("ip", "address", "add", "10.50.0.77/24", "dev", "switch0")
    try:
        engine.berth("network", "create", *SUBNETS, "-o", "com.docker.network.host_ipv4=10.50.0.77", "-o",
                     "com.docker.network.host_ipv6=fd50::77", "named")
        run(engine, "inside", "--network", "named")
        assert seen_by(engine, "inside", other) == ("10.50.0.77", "fd50::77")
    finally:
        sh("ip", "address", "del", "fd50::77/64", "dev", "switch0")
        sh("ip", "address", "del", "10.50.0.77/24", "dev", "switch0")


# ---- IPv6 alone ----

def test_a_network_of_ipv6_alone(engine, hosts, other, server):
    engine.berth("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd66::/64", "six")
    engine.berth("run", "-d", "--name", "web", "--network", "six", "-p", "8070:80", *server)
    assert addresses(engine, "web") == ("", "fd66::2")
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": "::", "HostPort": "8070"}]
    wait_until("server", lambda: hosts[0].ask(8070, HOST_V6) == hosts[0].address_v6)
    assert other.ask(8070, HOST_V6) == other.address_v6
    assert ask_here(8070, "::1") == "fd66::1" and ask_here(8070, HOST_V6) == HOST_V6
    assert hosts[0].ask(8070) == "refused"
    # What is published is so at the host's address only.
    assert hosts[0].ask(80, "fd66::2", timeout=1) == "timeout"
    assert seen_by(engine, "web", other) == ("", HOST_V6)
    engine.berth("restart", "-t", "0", "web")
    wait_until("server", lambda: hosts[0].ask(8070, HOST_V6) == hosts[0].address_v6)


# ---- no way out ----

def test_nothing_leaves_an_internal_network(engine, other):
    """Nor where the container gives itself the route that it has not been given."""
    engine.berth("network", "create", "--internal", *SUBNETS, "closed")
    engine.berth("network", "create", "--ipv6", "--subnet", "10.64.0.0/24", "--subnet", "fd64::/64", "open")
    everywhere = (other.address, other.address_v6)
    dns = ("--dns", other.address)
    with other.collecting(53, 7000) as arrived:
        run(engine, "in", "--network", "closed", "--cap-add", "NET_ADMIN", *dns)
        run(engine, "out", "--network", "open", *dns)
        assert send_from(engine, "in", 7000, "without a route", *everywhere) == ["Network is unreachable"] * 2
        assert seen_by(engine, "in", other) == ("", "")
        assert "SERVFAIL" in in_container(engine, "in", "dig", "+tries=1", "+time=8", "@127.0.0.11", "www.example")
        engine.berth("exec", "in", "sh", "-c", "ip route add default via 10.63.0.1 && ip -6 route add default via fd63::1")
        assert send_from(engine, "in", 7000, "with a route", *everywhere) == ["sent"] * 2
        assert seen_by(engine, "in", other) == ("", "")
        assert "SERVFAIL" in in_container(engine, "in", "dig", "+tries=1", "+time=8", "@127.0.0.11", "www.example")
        in_container(engine, "in", "dig", "+tries=1", "+time=1", f"@{other.address}", "www.example", check=False)
        # The other direction: the machine knows the way, and the host does not go it.
        inside = addresses(engine, "in")
        engine.berth("exec", "-d", "in", "nc", "-ll", "-p", "80", "-e", "echo", "hello")
        for address in inside:
            wait_until("server", lambda address=address: ask_here(80, address) == "hello")
            assert other.ask(80, address, timeout=1) == "timeout"
        # The control, which comes after all that was sent before it.
        assert send_from(engine, "out", 7000, "control", *everywhere) == ["sent"] * 2
        assert [arrived.readline() for _ in everywhere] == [f"7000 {HOST} b'control'\n", f"7000 {HOST_V6} b'control'\n"]
        assert seen_by(engine, "out", other) == (HOST, HOST_V6)
        in_container(engine, "out", "dig", "+tries=1", "+time=1", "@127.0.0.11", "www.example", check=False)
        assert arrived.readline().startswith(f"53 {HOST} ")


# ---- the MTU ----

@pytest.mark.parametrize("family, network, router", [("-4", "10.69.0.1/24", "10.69.0.2"), ("-6", "fd69::1/64", "fd69::2")], ids=["ipv4", "ipv6"])
def test_networks_have_the_mtu_of_the_way_out(tmp_path, rootfs_tar, family, network, router):
    sh("ip", "link", "add", "wan0", "mtu", "1400", "type", "veth", "peer", "name", "wan1")
    try:
        for link in ("wan0", "wan1"):
            sh("ip", "link", "set", link, "up")
        sh("ip", family, "address", "add", network, "dev", "wan0", *(["nodad"] if family == "-6" else []))
        sh("ip", family, "route", "add", "default", "via", router)
        with Engine(tmp_path) as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            engine.berth("network", "create", *SUBNETS, "usual")
            engine.berth("network", "create", "-o", "com.docker.network.driver.mtu=1450", "told")
            for name, mtu in (("bridge", "1400"), ("usual", "1400"), ("told", "1450")):
                assert engine.berth("run", "--rm", "--network", name, "busybox", "cat", "/sys/class/net/eth0/mtu").stdout.strip() == mtu, name
            # Without a way out it is Ethernet's.
            sh("ip", family, "route", "del", "default")
            engine.stop()
            engine.start()
            assert engine.berth("run", "--rm", "--network", "usual", "busybox", "cat", "/sys/class/net/eth0/mtu").stdout == "1500\n"
            engine.berth("network", "rm", "usual", "told")
    finally:
        sh("ip", "link", "del", "wan0")
