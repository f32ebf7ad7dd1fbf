"""Published ports as other hosts see them. The hosts are network namespaces on a bridge that is their switch; the
engine's host has 10.50.0.1 there."""
import json
import pathlib
import shutil
import socket
import subprocess

import pytest

from engine import Engine, wait_until
from neighbors import HOST, HOST_V6, ask_here, hosts, server, sh, who  # noqa: F401


def serve(engine, server, name, *flags):
    engine.berth("run", "-d", "--name", name, *flags, *server)
    address = engine.inspect(name)["NetworkSettings"]["Networks"]
    inside = next(iter(address.values()))["IPAddress"]
    wait_until("server", lambda: ask_here(80, inside).startswith("10."))
    return inside


def ports_of(engine, name):
    return engine.inspect(name)["NetworkSettings"]["Ports"]


def v4(bindings):
    return [binding for binding in bindings or [] if ":" not in binding["HostIp"]]


def test_a_published_port_keeps_each_hosts_address(engine, server, hosts):
    inside = serve(engine, server, "web", "-p", "8080:80", "-p", f"{HOST}:8081:80", "-p", "127.0.0.1:8082:80")
    for host in hosts:
        assert host.ask(8080) == host.address
        assert host.ask(8081) == host.address
        assert host.ask(8082) == "refused"  # on localhost only
        # The container's own address is nobody's business, published or not.
        assert host.ask(80, inside, timeout=1) == "timeout"
    assert ask_here(8082).startswith(engine.prefix)
    assert ask_here(8080, HOST) == HOST
    # From another container, through the host's address; and from the container itself.
    for where in (["run", "--rm", "busybox"], ["exec", "web"]):
        assert engine.prefix in engine.berth(*where, "nc", HOST, "8080").stdout


LOCAL_CLIENT = """
import socket, subprocess, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
print(connection.getpeername()[:2])
print(connection.recv(100).decode().replace("::ffff:", "").strip())
own = connection.getsockname()[1]
print(subprocess.run(["ss", "-tnH", "sport", f"= {own}"], capture_output=True, text=True).stdout)
"""


def local_connection(address, port):
    """The peer's name as the client has it, the client's address as the server has it, and what the kernel says of the two."""
    peer, seen, kernel = sh("python3", "-c", LOCAL_CLIENT, address, str(port)).split("\n", 2)
    return peer, seen, kernel


def test_localhost_is_led_to_the_container_and_translated_while_there_is_no_engine(engine, server):
    engine.berth("network", "create", "--ipv6", "--subnet", "10.62.0.0/24", "--subnet", "fd62::/64", "led")
    engine.berth("run", "-d", "--name", "web", "--network", "led", "-p", "8060:80", *server)
    shown = engine.inspect("web")["NetworkSettings"]["Networks"]["led"]
    wait_until("server", lambda: ask_here(80, shown["IPAddress"]) == "10.62.0.1")
    for address, gateway, inside in (("127.0.0.1", "10.62.0.1", f"{shown['IPAddress']}:80"),
                                     ("::1", "fd62::1", f"[{shown['GlobalIPv6Address']}]:80")):
        peer, seen, kernel = local_connection(address, 8060)
        assert (peer, seen) == (f"('{address}', 8060)", gateway)
        assert inside in kernel, kernel
    engine.kill()
    peer, seen, kernel = local_connection("127.0.0.1", 8060)
    assert (peer, seen) == ("('127.0.0.1', 8060)", "10.62.0.1") and "127.0.0.1:8060" in kernel, kernel
    engine.start()
    assert f"{shown['IPAddress']}:80" in local_connection("127.0.0.1", 8060)[2]
    engine.berth("rm", "-f", "web")
    assert ask_here(8060) == "refused"
    engine.berth("network", "rm", "led")


BRIDGED_JUDGED = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables")


def test_localhost_reaches_every_ipv6_network(tmp_path, rootfs_tar, server):
    """Translated, as other protocols than TCP are in any case; also where an earlier network has just gone."""
    before = BRIDGED_JUDGED.read_text() if BRIDGED_JUDGED.exists() else None
    if before:
        BRIDGED_JUDGED.write_text("0")  # else there is no way (src/network/loopback_v6.h)
    try:
        with Engine(tmp_path) as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")

            def serve_in(number):
                engine.berth("network", "create", "--ipv6", "--subnet", f"fd6{number}::/64", "-o", "com.berth.bridge.shortcut=false", f"six{number}")
                engine.berth("run", "-d", "--name", f"web{number}", "--network", f"six{number}", "-p", f"806{number}:80", *server)
                wait_until("server", lambda: ask_here(80, f"fd6{number}::2") == f"fd6{number}::1")

            for number in (1, 2):
                serve_in(number)
            for _ in range(3):
                assert [ask_here(8060 + number, "::1") for number in (1, 2)] == ["fd61::1", "fd62::1"]
                engine.berth("rm", "-f", "web1")
                engine.berth("network", "rm", "six1")
                serve_in(1)
            engine.berth("rm", "-f", "web1", "web2")
            engine.berth("network", "rm", "six1", "six2")
    finally:
        if before:
            BRIDGED_JUDGED.write_text(before)


def test_a_port_is_published_for_both_families(engine, server, hosts):
    engine.berth("network", "create", "--ipv6", "--subnet", "10.60.0.0/24", "--subnet", "fd60::/64", "both")
    engine.berth("run", "-d", "--name", "web", "--network", "both", "-p", "8070:80", *server)
    try:
        assert {"HostIp": "::", "HostPort": "8070"} in ports_of(engine, "web")["80/tcp"]
        assert set(engine.berth("port", "web", "80").stdout.split()) == {"0.0.0.0:8070", "[::]:8070"}
        wait_until("server", lambda: hosts[0].ask(8070) == hosts[0].address)
        for host in hosts:
            assert host.ask(8070, HOST_V6) == host.address_v6
        assert engine.berth("port", "add", "web", f"[{HOST_V6}]:8071:80").stdout == f"80/tcp -> [{HOST_V6}]:8071\n"
        assert hosts[1].ask(8071, HOST_V6) == hosts[1].address_v6 and hosts[1].ask(8071) == "refused"
        engine.berth("port", "rm", "web", "8070:80")
        assert hosts[0].ask(8070, HOST_V6) == "refused" and hosts[0].ask(8071, HOST_V6) == hosts[0].address_v6
    finally:
        engine.berth("rm", "-f", "web")
        engine.berth("network", "rm", "both")


@pytest.mark.skipif(not shutil.which("iperf3"), reason="iperf3 is not installed")
def test_bulk_traffic_of_all_kinds_from_several_hosts_at_once(engine, hosts):
    """Both hosts at once, both protocols, both families, both directions, several streams: each keeps its address."""
    engine.berth("network", "create", "--ipv6", "--subnet", "10.61.0.0/24", "--subnet", "fd61::/64", "bulk")
    folders = [word for name in ("usr", "lib", "lib64") for word in ("-v", f"/{name}:/{name}:ro")]
    for number, host in enumerate(hosts):
        port = 5201 + number
        engine.berth("run", "-d", "--name", host.name, "--network", "bulk", "-p", f"{port}:5201", "-p", f"{port}:5201/udp", *folders,
                     "busybox", "/usr/bin/iperf3", "-s", "--forceflush")

    def measure(number, address, *flags):
        words = ["ip", "netns", "exec", hosts[number].name, "iperf3", "-c", address, "-p", str(5201 + number), "-J", *flags]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def answers(number):
        return json.loads(measure(number, HOST, "-n", "1K").communicate()[0]).get("error") is None

    for number in (0, 1):
        wait_until("server", lambda number=number: answers(number))
    for flags in (("-P", "4"), ("-R",), ("-u", "-b", "20M")):
        for address, own in ((HOST, "address"), (HOST_V6, "address_v6")):
            running = [measure(number, address, "-t", "1", *flags) for number in (0, 1)]
            for host, process in zip(hosts, running):
                result = json.loads(process.communicate(timeout=60)[0])
                assert "error" not in result, (flags, address, result["error"])
                total = result["end"].get("sum_received") or result["end"]["sum"]
                assert total["bytes"] > 100_000, (flags, address)
                log = engine.berth("logs", host.name).stdout
                assert log.split("Accepted connection from ")[-1].startswith(getattr(host, own) + ","), (flags, address)
    engine.berth("rm", "-f", *[host.name for host in hosts])
    engine.berth("network", "rm", "bulk")


def test_a_range_of_host_ports_has_the_first_free_one(engine, server, hosts):
    with socket.create_server(("0.0.0.0", 8100)):
        for name in ("first", "second"):
            engine.berth("run", "-d", "--name", name, "-p", "8100-8102:80", *server)
        assert [v4(ports_of(engine, name)["80/tcp"])[0]["HostPort"] for name in ("first", "second")] == ["8101", "8102"]
        full = engine.berth("run", "--rm", "-p", "8100-8102:80", "busybox", "true", check=False)
        assert full.returncode == 125 and "all ports are allocated" in full.stderr, full.stderr
        for host in hosts:
            for port in (8101, 8102):
                wait_until("server", lambda host=host, port=port: host.ask(port) == host.address)
            assert host.ask(8103) == "refused"
    # What comes free is given again, and a restart finds one of its range.
    engine.berth("rm", "-f", "first")
    engine.docker("run", "-d", "--name", "third", "-p", "8100-8102:80", *server)
    assert v4(ports_of(engine, "third")["80/tcp"])[0]["HostPort"] == "8100"
    engine.berth("restart", "-t", "0", "second")
    bound = int(v4(ports_of(engine, "second")["80/tcp"])[0]["HostPort"])
    assert bound in (8101, 8102)
    wait_until("server", lambda: hosts[0].ask(bound) == hosts[0].address)


def test_ranges_of_both_sides_are_paired(engine, who, hosts):
    for client, first in ((engine.docker, 8110), (engine.berth, 8120)):
        client("run", "-d", "--name", f"web{first}", "-p", f"{first}-{first + 2}:80-82", "-p", f"{first}-{first + 1}:9000-9001/udp", "-v",
               f"{who}:/who:ro", "busybox", "sh", "-c", "/who 80 & /who 82 & udp-echo 9001 & udp-echo 9000")
        ports = ports_of(engine, f"web{first}")
        assert [v4(ports[f"{80 + offset}/tcp"])[0]["HostPort"] for offset in range(3)] == [str(first + offset) for offset in range(3)]
        for host in hosts:
            for port in (first, first + 2):
                wait_until("server", lambda host=host, port=port: host.ask(port) == host.address)
            # There is no server at 81, nor a port behind the last one.
            assert host.ask(first + 1) == "refused" and host.ask(first + 3) == "refused"
            for port in (first, first + 1):
                wait_until("echo", lambda host=host, port=port: host.echo(port, "hello") == "hello")
            assert host.echo(first + 2, "hello") == "refused"
        uneven = client("run", "--rm", "-p", f"{first}-{first + 1}:80-82", "busybox", "true", check=False)
        assert uneven.returncode == 125 and "invalid ranges specified for container and host Ports" in uneven.stderr, uneven.stderr


def test_a_networks_options_reach_the_firewall(engine, server, hosts):
    sh("ip", "address", "add", "10.50.0.77/24", "dev", "switch0")
    options = ["-o", "com.docker.network.bridge.trusted_host_interfaces=switch0", "-o", "com.docker.network.host_ipv4=10.50.0.77"]
    engine.berth("network", "create", "--subnet", "10.61.0.0/24", *options, "open")
    engine.berth("run", "-d", "--name", "web", "--network", "open", *server)
    outside = subprocess.Popen(["ip", "netns", "exec", "two", "python3", "-c", "import socket\ns = socket.create_server(('', 7000)); "
                                "print(s.accept()[1][0])"], stdout=subprocess.PIPE, text=True)
    try:
        inside = engine.inspect("web")["NetworkSettings"]["Networks"]["open"]["IPAddress"]
        wait_until("server", lambda: hosts[0].ask(80, inside) == hosts[0].address)
        wait_until("listener", lambda: ":7000 " in hosts[1].run("ss", "-ltn"))
        engine.berth("run", "--rm", "--network", "open", "busybox", "nc", "-w", "2", hosts[1].address, "7000")
        assert outside.communicate(timeout=20)[0] == "10.50.0.77\n"
    finally:
        engine.berth("rm", "-f", "web")
        engine.berth("network", "rm", "open")
        sh("ip", "address", "del", "10.50.0.77/24", "dev", "switch0")
    for option in ("com.docker.network.host_ipv4=fd00::1", "com.berth.bridge.any_source=perhaps"):
        assert engine.berth("network", "create", "-o", option, "bad", check=False).returncode == 1


def test_localhost_ports_are_closed_to_neighbors_that_route_them(engine, server, hosts):
    """CVE-2025-54410's like: 127.0.0.1 sent over the wire to a host that forwards loopback addresses."""
    serve(engine, server, "web", "-p", "127.0.0.1:8082:80")
    sh("sysctl", "-qw", "net.ipv4.conf.switch0.route_localnet=1")
    one = hosts[0]
    one.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    one.run("ip", "route", "del", "local", "127.0.0.0/8", "table", "local", check=False)
    one.run("ip", "route", "del", "local", "127.0.0.1", "table", "local", check=False)
    one.run("ip", "route", "add", "127.0.0.0/8", "via", HOST)
    try:
        assert one.ask(8082, "127.0.0.1", timeout=1) in ("timeout", "")
    finally:
        sh("sysctl", "-qw", "net.ipv4.conf.switch0.route_localnet=0")
        one.run("ip", "route", "del", "127.0.0.0/8")


def test_ports_come_and_go_while_the_container_runs(engine, server, hosts):
    serve(engine, server, "web")
    one = hosts[0]
    assert one.ask(8090) == "refused"
    added = engine.berth("port", "add", "web", "8090:80").stdout.splitlines()
    assert "80/tcp -> 0.0.0.0:8090" in added
    assert one.ask(8090) == one.address
    assert v4(ports_of(engine, "web")["80/tcp"]) == [{"HostIp": "0.0.0.0", "HostPort": "8090"}]
    assert "0.0.0.0:8090->80/tcp" in engine.berth("ps").stdout
    assert "0.0.0.0:8090" in engine.docker("port", "web", "80").stdout
    assert engine.inspect("web")["HostConfig"]["PortBindings"]["80/tcp"] == [{"HostIp": "", "HostPort": "8090"}]

    # A second one for the same port, and one of the engine's choice.
    engine.berth("port", "add", "web", "127.0.0.1:8091:80")
    free = engine.berth("port", "add", "web", "81").stdout.split(":")[1].split()[0]
    assert 32768 <= int(free) <= 60999 and ask_here(8091).startswith(engine.prefix)

    # What another program or container has is refused in Docker's words, and nothing changes.
    before = json.dumps(engine.inspect("web")["HostConfig"]["PortBindings"], sort_keys=True)
    clash = engine.berth("port", "add", "web", "8092:80", "8090:82", check=False)
    assert clash.returncode == 1 and "Bind for 0.0.0.0:8090 failed: port is already allocated" in clash.stderr
    assert json.dumps(engine.inspect("web")["HostConfig"]["PortBindings"], sort_keys=True) == before
    assert one.ask(8092) == "refused"

    # All of it is there again after a restart.
    engine.berth("restart", "-t", "0", "web")
    wait_until("server", lambda: one.ask(8090) == one.address)
    assert ask_here(8091).startswith(engine.prefix)

    engine.berth("port", "rm", "web", "8090:80")
    assert one.ask(8090) == "refused" and ask_here(8091).startswith(engine.prefix)
    engine.berth("port", "rm", "web", "80")
    assert ask_here(8091) == "refused"
    gone = engine.berth("port", "rm", "web", "80", check=False)
    assert gone.returncode == 1 and "No public port '80/tcp' published for web" in gone.stderr
    free = v4(ports_of(engine, "web")["81/tcp"])[0]["HostPort"]  # another one after the restart
    engine.berth("port", "rm", "web", f"{free}:81")
    assert engine.inspect("web")["HostConfig"]["PortBindings"] == {}


def test_ports_of_a_stopped_container_wait_for_its_start(engine, server, hosts):
    engine.berth("create", "--name", "web", "-p", "8095:80", *server)
    assert engine.berth("port", "add", "web", "8094:80").stdout == ""
    twice = engine.berth("port", "add", "web", "8094:81", check=False)
    assert twice.returncode == 1 and "Bind for 0.0.0.0:8094 failed: port is already allocated" in twice.stderr
    engine.berth("port", "rm", "web", "8095:80")
    engine.berth("start", "web")
    wait_until("server", lambda: hosts[0].ask(8094) == hosts[0].address)
    assert hosts[0].ask(8095) == "refused"


def test_ports_of_all_exposed_ones_can_be_withdrawn_singly(engine):
    engine.berth("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "81", "busybox", "sleep", "1000")
    engine.berth("port", "rm", "web", "81")
    host = engine.inspect("web")["HostConfig"]
    assert list(host["PortBindings"]) == ["80/tcp"] and host["PublishAllPorts"] is False
    assert not ports_of(engine, "web")["81/tcp"] and ports_of(engine, "web")["80/tcp"]


def test_the_api_of_ports_tells_what_is_wrong(engine):
    engine.berth("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    engine.berth("run", "-d", "--name", "hostly", "--network", "host", "busybox", "sleep", "1000")
    bindings = {"PortBindings": {"80/tcp": [{"HostPort": "8099"}]}}
    status, body = engine.request("POST", "/berth/containers/web/ports", bindings)[:2]
    assert status == 200 and {"HostIp": "0.0.0.0", "HostPort": "8099"} in body["Ports"]["80/tcp"]
    for method, target, sent, wanted, words in [
            ("POST", "/berth/containers/nobody/ports", bindings, 404, "No such container: nobody"),
            ("POST", "/berth/containers/hostly/ports", bindings, 409, "its network mode is host"),
            ("POST", "/berth/containers/web/ports", {"PortBindings": {"80/xyz": []}}, 400, "invalid proto: xyz"),
            ("POST", "/berth/containers/web/ports", {}, 400, "no ports to publish"),
            ("DELETE", "/berth/containers/web/ports", None, 400, "the query parameter port is missing"),
            ("DELETE", "/berth/containers/web/ports?port=99/tcp", None, 404, "No public port '99/tcp' published for web")]:
        status, body = engine.request(method, target, sent)[:2]
        assert status == wanted and words in body["message"], (target, status, body)
    assert engine.request("DELETE", "/berth/containers/web/ports?port=80/tcp&hostport=8099")[0] == 204
    assert ask_here(8099) == "refused"


def test_added_ports_survive_the_engine(fresh_engine, server, hosts):
    serve(fresh_engine, server, "web")
    fresh_engine.berth("port", "add", "web", "8090:80")
    fresh_engine.kill()
    assert hosts[0].ask(8090) == hosts[0].address
    fresh_engine.start()
    assert hosts[0].ask(8090) == hosts[0].address
    fresh_engine.berth("port", "rm", "web", "8090:80")
    assert hosts[0].ask(8090) == "refused"


def test_rules_come_back_when_somebody_flushes_them(engine, server, hosts):
    inside = serve(engine, server, "web", "-p", "8080:80")
    sh("nft", "flush", "ruleset")
    wait_until("rules", lambda: "chain forward" in sh("nft", "list", "ruleset"), deadline=5)
    assert hosts[0].ask(8080) == hosts[0].address
    assert hosts[0].ask(80, inside, timeout=1) == "timeout"


def test_a_container_cannot_speak_for_another(engine, server):
    inside = serve(engine, server, "victim")
    attack = f"ip address flush dev eth0; ip address add {inside}/24 dev eth0; ip link set eth0 up; " \
             "for i in 1 2 3; do arping -U -c 1 -w 1 -I eth0 %s; done; sleep 1000" % inside
    engine.berth("run", "-d", "--name", "attacker", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", attack)
    mac = engine.inspect("victim")["NetworkSettings"]["Networks"]["bridge"]["MacAddress"]
    wait_until("attack", lambda: "sleep 1000" in engine.berth("top", "attacker").stdout)
    for _ in range(3):
        assert ask_here(80, inside).startswith(engine.prefix)
        neighbors = sh("ip", "neigh", "show", inside)
        assert "lladdr" not in neighbors or mac in neighbors


def test_the_hosts_firewall_is_respected(tmp_path, rootfs_tar, server, hosts):
    with Engine(tmp_path, "--firewall", "respect") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        serve(engine, server, "web", "-p", "8080:80", "-p", "8081:80")
        one, two = hosts
        assert one.ask(8080) == one.address
        sh("nft", "add table inet host; add chain inet host input { type filter hook input priority 0; policy drop; };"
                  "add rule inet host input ct state established,related accept; add rule inet host input iif lo accept;"
                  f"add rule inet host input ip saddr {one.address} tcp dport 8080 accept")
        try:
            assert one.ask(8080) == one.address
            assert two.ask(8080, timeout=1) == "timeout" and one.ask(8081, timeout=1) == "timeout"
            assert ask_here(8081).startswith(engine.prefix)
            sh("nft", "add rule inet host input tcp dport 8081 reject with tcp reset")
            assert one.ask(8081) == "refused"
        finally:
            sh("nft", "delete table inet host")
        assert two.ask(8081) == two.address
    assert "judge-" not in sh("ip", "link")
