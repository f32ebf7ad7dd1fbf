"""Published IPv6 ports of containers that have no IPv6. The hosts are those of neighbors.py."""
import re
import subprocess

import pytest

from c_programs import compile_static
from engine import Engine, wait_until
from neighbors import HOST_V6, ask_here, hosts, server, sh, who  # noqa: F401
from published import check_published, check_published_without_proxy
from test_ports import ports_of, serve

# Sends back what comes to port 7, by TCP and by UDP.
ECHO = r"""
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(7)}, peer;
    struct pollfd fds[16] = {{socket(AF_INET, SOCK_STREAM, 0), POLLIN}, {socket(AF_INET, SOCK_DGRAM, 0), POLLIN}};
    static char text[65536];
    int count = 2, on = 1;
    setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    for (int i = 0; i < 2; i++)
        if (bind(fds[i].fd, (struct sockaddr*)&own, sizeof own) < 0) return 1;
    listen(fds[0].fd, 16);
    while (poll(fds, count, -1) > 0) {
        if (fds[0].revents && count < 16) fds[count++] = (struct pollfd){accept(fds[0].fd, 0, 0), POLLIN};
        if (fds[1].revents) {
            socklen_t size = sizeof peer;
            int got = recvfrom(fds[1].fd, text, sizeof text, 0, (struct sockaddr*)&peer, &size);
            sendto(fds[1].fd, text, got, 0, (struct sockaddr*)&peer, size);
        }
        for (int i = 2; i < count; i++)
            if (fds[i].revents) {
                int got = read(fds[i].fd, text, sizeof text);
                if (got > 0) write(fds[i].fd, text, got);
                else close(fds[i].fd), fds[i--] = fds[--count];
            }
    }
}
"""
DATAGRAM_CLIENT = """
import socket, sys
peer = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
peer.connect((sys.argv[1], int(sys.argv[2])))  # hears nobody else
peer.settimeout(0.5)
for attempt in range(20):
    try:
        peer.send(b"hello")
        print(peer.recv(100).decode())
        break
    except (TimeoutError, ConnectionRefusedError):
        pass
"""
# Tells of the end of a connection that it has used.
STREAM_CLIENT = """
import socket, sys
while True:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    try:
        connection.sendall(b"x")
        if connection.recv(1):
            break
    except ConnectionError:  # it has not started
        pass
print("connected", flush=True)
try:
    print(connection.recv(1))
except ConnectionResetError:
    print("reset")
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    program = compile_static(ECHO, tmp_path_factory.mktemp("echo") / "echo")
    return ["-v", f"{program}:/echo:ro", "busybox", "/echo"]


def own_address(engine):
    """Of the host in the default network: who relayed clients are for the container."""
    return next(flag for flag in engine.flags if flag.startswith("--bip=")).removeprefix("--bip=").split("/")[0]


def test_published_ports_are_dockers(engine):
    check_published(engine.docker)


def test_ports_of_a_container_without_ipv6_are_served_on_ipv6(engine, server, hosts):
    serve(engine, server, "web", "-p", "8200:80", "-p", "[::1]:8201:80", "-p", f"[{HOST_V6}]:8202:80")
    # As Docker Engine shows them.
    assert ports_of(engine, "web")["80/tcp"][:2] == [{"HostIp": "0.0.0.0", "HostPort": "8200"}, {"HostIp": "::", "HostPort": "8200"}]
    assert {"HostIp": "::1", "HostPort": "8201"} in ports_of(engine, "web")["80/tcp"]
    assert set(engine.docker("port", "web", "80").stdout.split()) == {"0.0.0.0:8200", "[::]:8200", "[::1]:8201", f"[{HOST_V6}]:8202"}
    shown = engine.docker("ps", "--format", "{{.Ports}}").stdout
    assert "0.0.0.0:8200->80/tcp, [::]:8200->80/tcp" in shown and "[::1]:8201->80/tcp" in shown
    for host in hosts:
        assert host.ask(8200) == host.address
        assert host.ask(8200, HOST_V6) == host.ask(8202, HOST_V6) == own_address(engine)
        assert host.ask(8201, HOST_V6) == "refused"
    assert ask_here(8200, "::1") == ask_here(8201, "::1") == own_address(engine)
    # Others see the port taken, and a container that goes gives it back.
    clash = engine.docker("run", "-d", "-p", "[::1]:8200:80", "busybox", "true", check=False)
    assert "Bind for [::1]:8200 failed: port is already allocated" in clash.stderr
    engine.berth("restart", "-t", "0", "web")
    wait_until("server", lambda: hosts[0].ask(8200, HOST_V6) == own_address(engine))
    engine.berth("rm", "-f", "web")
    assert hosts[0].ask(8200, HOST_V6) == "refused" and ask_here(8201, "::1") == "refused"


def test_another_programs_ipv6_port_is_told_in_dockers_words(engine):
    taken = subprocess.Popen(["python3", "-c", "import socket, sys\ns = socket.create_server(('::', 8203), family=socket.AF_INET6)\n"
                              "print(flush=True)\nsys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    taken.stdout.readline()
    try:
        done = engine.docker("run", "-d", "-p", "8203:80", "busybox", "true", check=False)
        subnet = engine.request("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Subnet"].removesuffix(".0/24")
        assert re.search(rf"failed to bind host port for \[::\]:8203:{subnet}\.\d+:80/tcp: address already in use", done.stderr), done.stderr
    finally:
        taken.communicate()


def test_datagrams_are_relayed(engine, echo, hosts):
    engine.berth("run", "-d", "--name", "echo", "-p", "8204:7/udp", *echo)
    assert hosts[0].run("python3", "-c", DATAGRAM_CLIENT, HOST_V6, "8204") == "hello\n"
    assert sh("python3", "-c", DATAGRAM_CLIENT, "::1", "8204") == "hello\n"


def test_ports_are_added_and_withdrawn_while_a_client_is_connected(engine, echo, hosts):
    engine.berth("run", "-d", "--name", "echo", *echo)
    assert engine.berth("port", "add", "echo", "8205:7").stdout.splitlines() == ["7/tcp -> 0.0.0.0:8205", "7/tcp -> [::]:8205"]
    client = subprocess.Popen(["python3", "-c", STREAM_CLIENT, "::1", "8205"], stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "connected\n"
    engine.berth("port", "rm", "echo", "8205:7")
    assert client.communicate(timeout=20)[0] == "reset\n"
    assert ask_here(8205, "::1") == "refused" and hosts[0].ask(8205) == "refused"


def test_relayed_ports_are_served_again_by_the_next_engine(fresh_engine, server, hosts):
    serve(fresh_engine, server, "web", "-p", "8206:80")
    fresh_engine.kill()
    assert hosts[0].ask(8206, HOST_V6) == "refused"
    fresh_engine.start()
    assert hosts[0].ask(8206, HOST_V6) == own_address(fresh_engine)
    # A container keeps what it has when the next engine is one without relays; new ones get none.
    fresh_engine.kill()
    fresh_engine.flags.append("--userland-proxy=false")
    fresh_engine.start()
    assert hosts[0].ask(8206, HOST_V6) == own_address(fresh_engine)
    fresh_engine.berth("restart", "-t", "0", "web")
    wait_until("server", lambda: hosts[0].ask(8206) == hosts[0].address)
    assert hosts[0].ask(8206, HOST_V6) == "refused"


def test_without_a_userland_proxy_nothing_is_relayed(tmp_path, rootfs_tar, server, hosts):
    (tmp_path / "daemon.json").write_text('{"userland-proxy": false}')
    with Engine(tmp_path, "--config-file", str(tmp_path / "daemon.json")) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        serve(engine, server, "web", "-p", "8207:80", "-p", "[::1]:8208:80")
        assert ports_of(engine, "web")["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8207"}]
        assert hosts[0].ask(8207) == hosts[0].address and hosts[0].ask(8207, HOST_V6) == "refused"
        assert ask_here(8208, "::1") == "refused"
        assert "port 80/tcp on [::1]:8208" in engine.log()
        added = engine.berth("port", "add", "web", "[::1]:8209:80", check=False)
        assert added.returncode == 1 and "none of its networks leads to the host's address" in added.stderr
        engine.berth("rm", "-f", "web")
        check_published_without_proxy(engine.docker)
        # Containers with IPv6 need none.
        engine.berth("network", "create", "--ipv6", "--subnet", "10.64.0.0/24", "--subnet", "fd64::/64", "both")
        engine.berth("run", "-d", "--name", "six", "--network", "both", "-p", "8210:80", *server)
        wait_until("server", lambda: hosts[0].ask(8210, HOST_V6) == hosts[0].address_v6)


def test_ports_are_relayed_until_the_container_has_ipv6(engine, server, hosts):
    engine.berth("network", "create", "--ipv6", "--subnet", "10.65.0.0/24", "--subnet", "fd65::/64", "both")
    engine.berth("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd66::/64", "six")
    serve(engine, server, "web", "-p", "8211:80", "-p", "81")
    try:
        both = [{"HostIp": "0.0.0.0", "HostPort": "8211"}, {"HostIp": "::", "HostPort": "8211"}]
        for network in ("both", "six"):
            assert hosts[0].ask(8211, HOST_V6) == own_address(engine)
            engine.berth("network", "connect", network, "web")
            assert hosts[0].ask(8211, HOST_V6) == hosts[0].address_v6, network
            assert hosts[0].ask(8211) == hosts[0].address
            assert ports_of(engine, "web")["80/tcp"] == both
            engine.berth("network", "disconnect", network, "web")
            assert hosts[0].ask(8211, HOST_V6) == own_address(engine), network
            assert hosts[0].ask(8211) == hosts[0].address
            assert ports_of(engine, "web")["80/tcp"] == both
            numbers = {binding["HostPort"] for binding in ports_of(engine, "web")["81/tcp"]}
            assert len(numbers) == 1 and len(ports_of(engine, "web")["81/tcp"]) == 2
        # IPv4 ports are not relayed, by Docker Engine neither.
        engine.berth("run", "-d", "--name", "only", "--network", "six", "-p", "8212:80", "-p", "127.0.0.1:8213:80", *server)
        assert ports_of(engine, "only")["80/tcp"] == [{"HostIp": "::", "HostPort": "8212"}]
        assert ask_here(8212) == ask_here(8213) == "refused"
    finally:
        engine.berth("rm", "-f", "web", "only")
        engine.berth("network", "rm", "both", "six")


def test_networks_that_are_kept_apart_stay_so(engine, server, hosts):
    """A relay is the host's: what the host may reach, and what no container reaches past the rules."""
    engine.berth("network", "create", "--internal", "--subnet", "10.67.0.0/24", "inner")
    engine.berth("network", "create", "--subnet", "10.68.0.0/24", "-o", "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected", "open")
    try:
        engine.berth("run", "-d", "--name", "hidden", "--network", "inner", "-p", "8214:80", *server)
        assert not ports_of(engine, "hidden").get("80/tcp") and ask_here(8214, "::1") == "refused"
        engine.berth("run", "-d", "--name", "open", "--network", "open", "-p", "8215:80", *server)
        wait_until("server", lambda: hosts[0].ask(8215, HOST_V6) == "10.68.0.1")
    finally:
        engine.berth("rm", "-f", "hidden", "open")
        engine.berth("network", "rm", "inner", "open")


def test_a_host_without_ipv6_publishes_none(engine, server):
    sh("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    try:
        serve(engine, server, "web", "-p", "8216:80")
        assert ports_of(engine, "web")["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8216"}]
    finally:
        sh("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")


def test_the_hosts_firewall_judges_relayed_ports_in_any_mode(engine, server, hosts):
    serve(engine, server, "web", "-p", "8217:80")
    one, two = hosts
    sh("nft", "add table inet host; add chain inet host input { type filter hook input priority 0; policy accept; };"
              f"add rule inet host input ip6 saddr {two.address_v6} tcp dport 8217 drop")
    try:
        assert one.ask(8217, HOST_V6) == own_address(engine) and two.ask(8217, HOST_V6, timeout=1) == "timeout"
    finally:
        sh("nft", "delete table inet host")
