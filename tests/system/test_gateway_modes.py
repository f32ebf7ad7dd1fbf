"""Gateway modes of bridge networks, with packets of other machines (tests/support/neighbors.py), which have routes to the containers, and
of containers elsewhere on the host."""
import pytest

from engine import wait_until
from neighbors import HOST, HOST_V6, ask_here, hosts, in_container, sh, who  # noqa: F401

HOST_PORT = 8065
PUBLISHED, UNPUBLISHED = 80, 81


@pytest.fixture(autouse=True)
def no_networks_left(engine):
    yield
    engine.remove_all()
    engine.berth("network", "prune", "-f")


class Served:
    """A container of a network in this mode: port 80 is published as the host's 8065, 81 is not."""

    def __init__(self, engine, who, mode, *flags):
        options = [word for family in ("4", "6") for word in ("-o", f"com.docker.network.bridge.gateway_mode_ipv{family}={mode}")]
        engine.berth("network", "create", "--ipv6", "--subnet", "10.65.0.0/24", "--subnet", "fd65::/64", *options, *flags, "net")
        engine.berth("run", "-d", "--name", "web", "--network", "net", "-p", f"{HOST_PORT}:{PUBLISHED}", "-v", f"{who}:/who:ro", "busybox",
                     "sh", "-c", f"/who {UNPUBLISHED} & /who {PUBLISHED}")
        shown = engine.inspect("web")["NetworkSettings"]
        self.engine, self.ports = engine, shown["Ports"][f"{PUBLISHED}/tcp"]
        self.address, self.address_v6 = shown["Networks"]["net"]["IPAddress"], shown["Networks"]["net"]["GlobalIPv6Address"]
        for port in (PUBLISHED, UNPUBLISHED):
            wait_until("server", lambda port=port: ask_here(port, self.address) == "10.65.0.1")

    def asked_by(self, machine, port):
        """What the container's server says to the machine, at the container's own addresses."""
        return machine.ask(port, self.address, timeout=1), machine.ask(port, self.address_v6, timeout=1)

    def published_to(self, machine):
        """… at the host's."""
        return machine.ask(HOST_PORT, HOST), machine.ask(HOST_PORT, HOST_V6)

    def answers_ping_of(self, machine):
        return ["1 packets received" in machine.run("busybox", "ping", "-c", "1", "-W", "1", address, check=False)
                for address in (self.address, self.address_v6)]

    def asked_from_elsewhere(self):
        """Which addresses answer a container of another network: of the published port, and of the other one."""
        self.engine.berth("network", "create", "--ipv6", "--subnet", "10.66.0.0/24", "--subnet", "fd67::/64", "elsewhere")
        self.engine.berth("run", "-d", "--name", "stranger", "--network", "elsewhere", "busybox", "sleep", "1000")
        return [[self.engine.berth("exec", "stranger", "nc", "-w", "1", address, str(port), check=False).stdout != ""
                 for address in (self.address, self.address_v6)] for port in (PUBLISHED, UNPUBLISHED)]

    def sources_at(self, machine, who):
        """What the machine sees the container's connections come from."""
        with machine.telling(who):
            return tuple(self.engine.berth("exec", "web", "nc", "-w", "2", address, "80", check=False).stdout.strip().removeprefix("::ffff:")
                         for address in (machine.address, machine.address_v6))


def addresses_of(machine):
    return machine.address, machine.address_v6


def test_nat_shows_published_ports_of_the_host_only(engine, who, hosts):
    served = Served(engine, who, "nat")
    for machine in hosts:
        assert served.published_to(machine) == addresses_of(machine)
        assert served.asked_by(machine, PUBLISHED) == served.asked_by(machine, UNPUBLISHED) == ("timeout", "timeout")
    assert served.answers_ping_of(hosts[0]) == [False, False]
    assert served.asked_from_elsewhere() == [[False, False], [False, False]]
    assert served.sources_at(hosts[1], who) == (HOST, HOST_V6)


def test_nat_unprotected_opens_all_ports_to_other_machines(engine, who, hosts):
    served = Served(engine, who, "nat-unprotected")
    for _ in range(2):
        for machine in hosts:
            assert served.published_to(machine) == addresses_of(machine)
            assert served.asked_by(machine, PUBLISHED) == served.asked_by(machine, UNPUBLISHED) == addresses_of(machine)
        assert served.answers_ping_of(hosts[0]) == [True, True]
        assert served.sources_at(hosts[1], who) == (HOST, HOST_V6)
        # The next engine says the same.
        engine.kill()
        engine.start()
    # Networks stay apart from each other.
    assert served.asked_from_elsewhere() == [[False, False], [False, False]]


def test_routed_shows_published_ports_of_the_container_only(engine, who, hosts):
    served = Served(engine, who, "routed")
    assert {(binding["HostIp"], binding["HostPort"]) for binding in served.ports} == {("0.0.0.0", ""), ("::", "")}
    for _ in range(2):
        for machine in hosts:
            assert served.published_to(machine) == ("refused", "refused")
            assert served.asked_by(machine, PUBLISHED) == addresses_of(machine)
            assert served.asked_by(machine, UNPUBLISHED) == ("timeout", "timeout")
        assert served.answers_ping_of(hosts[0]) == [True, True]
        # Nothing is translated on the way out either.
        assert served.sources_at(hosts[1], who) == (served.address, served.address_v6)
        engine.kill()
        engine.start()
    assert served.asked_from_elsewhere() == [[True, True], [False, False]]
    engine.berth("rm", "-f", "web")
    engine.berth("run", "-d", "--name", "late", "--network", "net", "--ip", served.address, "-v", f"{who}:/who:ro", "busybox", "/who")
    wait_until("server", lambda: ask_here(PUBLISHED, served.address) == "10.65.0.1")
    assert hosts[0].ask(PUBLISHED, served.address, timeout=1) == "timeout"


def test_each_family_has_a_mode_of_its_own(engine, who, hosts):
    engine.berth("network", "create", "--ipv6", "--subnet", "10.65.0.0/24", "--subnet", "fd65::/64", "-o",
                 "com.docker.network.bridge.gateway_mode_ipv6=routed", "mixed")
    engine.berth("run", "-d", "--name", "web", "--network", "mixed", "-p", f"{HOST_PORT}:{PUBLISHED}", "-v", f"{who}:/who:ro", "busybox", "/who")
    wait_until("server", lambda: hosts[0].ask(HOST_PORT) == hosts[0].address)
    assert hosts[0].ask(HOST_PORT, HOST_V6) == "refused"
    assert hosts[0].ask(PUBLISHED, "fd65::2") == hosts[0].address_v6
    assert hosts[0].ask(PUBLISHED, "10.65.0.2", timeout=1) == "timeout"
