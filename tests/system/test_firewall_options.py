"""What dockerd's options say of the firewall: --ip6tables=false. The hosts are those of neighbors.py, which have
routes to the containers."""
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
