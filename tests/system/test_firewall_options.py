"""What dockerd's options say of the firewall: --ip6tables=false, and --bridge-accept-fwmark. The hosts are those of neighbors.py, which have
routes to the containers."""
import pytest

from engine import Engine, wait_until
from neighbors import HOST, HOST_V6, ask_here, hosts, server, sh, who  # noqa: F401


class Served:
    """A container of a network of both families that is published as 8240, and its own addresses."""

    def __init__(self, engine, rootfs_tar, server):
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        engine.berth("network", "create", "--ipv6", "--subnet", "10.65.0.0/24", "--subnet", "fd65::/64", "net")
        engine.berth("run", "-d", "--name", "web", "--network", "net", "-p", "8240:80", *server)
        self.engine, shown = engine, engine.inspect("web")["NetworkSettings"]
        self.address, self.address_v6 = shown["Networks"]["net"]["IPAddress"], shown["Networks"]["net"]["GlobalIPv6Address"]
        self.ports = shown["Ports"]["80/tcp"]
        wait_until("server", lambda: ask_here(80, self.address) == "10.65.0.1")

    def directly(self, machine):
        return machine.ask(80, self.address, timeout=1), machine.ask(80, self.address_v6, timeout=1)


def test_without_ip6tables_ipv6_is_others(tmp_path, rootfs_tar, server, who, hosts):
    machine = hosts[0]
    (tmp_path / "daemon.json").write_text('{"ip6tables": false}')
    with Engine(tmp_path, "--config-file", str(tmp_path / "daemon.json")) as engine:
        served = Served(engine, rootfs_tar, server)
        assert [port["HostIp"] for port in served.ports] == ["0.0.0.0", "::"]
        assert machine.ask(8240, HOST) == machine.address
        assert machine.ask(8240, HOST_V6) == ask_here(8240, "::1") == "fd65::1"  # relayed
        assert served.directly(machine) == ("timeout", machine.address_v6)  # filtered, and not
        with machine.telling(who):
            sources = [engine.berth("exec", "web", "nc", "-w", "2", address, "80", check=False).stdout.strip().removeprefix("::ffff:")
                       for address in (machine.address, machine.address_v6)]
        assert sources == [HOST, served.address_v6]  # masqueraded, and not
        assert "ip6tables is off" in engine.log()
        engine.berth("rm", "-f", "web")
        assert machine.ask(8240, HOST_V6) == "refused"


@pytest.fixture
def marked():
    """Marks what comes in from the neighbors, as a firewall of somebody's own."""
    sh("nft", "add table inet mine; add chain inet mine before { type filter hook forward priority filter - 1; }; "
       "add rule inet mine before iifname switch0 meta mark set 0xe")
    yield
    sh("nft", "delete table inet mine")


def test_what_others_have_marked_is_let_in(tmp_path, rootfs_tar, server, hosts, marked):
    machine = hosts[0]
    with Engine(tmp_path, "--bridge-accept-fwmark=2/3") as engine:
        served = Served(engine, rootfs_tar, server)
        assert served.directly(machine) == (machine.address, machine.address_v6)
        sh("nft", "flush chain inet mine before")
        assert served.directly(machine) == ("timeout", "timeout")
        assert machine.ask(8240, HOST) == machine.address and machine.ask(8240, HOST_V6) == machine.address_v6


def test_a_mark_that_nobody_accepts_is_nothing(tmp_path, rootfs_tar, server, hosts, marked):
    with Engine(tmp_path) as engine:
        assert Served(engine, rootfs_tar, server).directly(hosts[0]) == ("timeout", "timeout")


def test_what_is_no_mark_is_refused_at_the_start(tmp_path):
    with pytest.raises(AssertionError, match='invalid bridge-accept-fwmark: invalid firewall mask .*"1/x.*: strconv.ParseUint: '
                                             'parsing .*"x.*": invalid syntax'):
        Engine(tmp_path, "--bridge-accept-fwmark=1/x").start()
