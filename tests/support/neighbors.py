"""Other machines beside the engine's host: network namespaces on a bridge that is their switch. The engine's host has 10.50.0.1
and fd50::1 there and is their router, so that they have a way back to each container.

`from neighbors import hosts, server, who, …`: the fixtures."""
import contextlib
import subprocess

import pytest

from c_programs import compile_static
from engine import wait_until

HOST = "10.50.0.1"
HOST_V6 = "fd50::1"
# Answers each connection to port 80, or the one that is named, with the address that it came from.
WHO = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char** argv) {
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(argc > 1 ? atoi(argv[1]) : 80)}, peer;
    int on = 1, off = 0, s = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(s, (struct sockaddr*)&own, sizeof own) < 0 || listen(s, 16) < 0) return 1;
    for (;;) {
        socklen_t size = sizeof peer;
        int c = accept(s, (struct sockaddr*)&peer, &size);
        char text[64] = "";
        inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
        write(c, strcat(text, "\n"), strlen(text) + 1);
        close(c);
    }
}
"""
CLIENT = """
import socket, sys
try:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    print(connection.recv(100).decode().replace("::ffff:", ""))
except TimeoutError:
    print("timeout")
except ConnectionRefusedError:
    print("refused")
except OSError as error:
    print("unreachable", error)
"""


ECHO = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
    connection.settimeout(2)
    connection.connect((sys.argv[1], int(sys.argv[2])))
    try:
        connection.send(sys.argv[3].encode())
        print(connection.recv(2000).decode())
    except TimeoutError:
        print("timeout")
    except ConnectionRefusedError:
        print("refused")
"""
# Tells of each datagram the port, where it comes from, and what is in it.
COLLECTOR = """
import select, socket, sys
sockets = {}
for port in sys.argv[1:]:
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(("::", int(port)))
    sockets[one] = port
while True:
    for one in select.select(list(sockets), [], [])[0]:
        data, peer = one.recvfrom(2000)
        print(sockets[one], peer[0].replace("::ffff:", ""), data, flush=True)
"""
SEND = """
import socket, sys
for address in sys.argv[3:]:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(sys.argv[2].encode(), (address, int(sys.argv[1])))
        print("sent")
    except OSError as error:
        print(error.strerror)
"""


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout


class Host:
    """Another machine on the same switch."""

    def __init__(self, name, address):
        self.name, self.address, self.address_v6 = name, address, "fd50::" + address.rsplit(".", 1)[1]
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", f"sw-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", f"sw-{name}", "master", "switch0", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "address", "add", f"{self.address_v6}/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", HOST)
        self.run("ip", "-6", "route", "add", "default", "via", HOST_V6)

    def run(self, *command, **options):
        return sh("ip", "netns", "exec", self.name, *command, **options)

    def ask(self, port, address=HOST, timeout=5):
        return self.run("python3", "-c", CLIENT, address, str(port), str(timeout)).strip()

    def echo(self, port, text, address=HOST):
        """What comes back for a datagram."""
        return self.run("python3", "-c", ECHO, address, str(port), text).strip()

    @contextlib.contextmanager
    def telling(self, who):
        """Meanwhile its port 80 tells who connects what address that comes from."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name, str(who)])
        try:
            wait_until("listener", lambda: ":80 " in self.run("ss", "-ltn"))
            yield self
        finally:
            process.kill()
            process.wait()

    def collecting(self, *ports):
        return collecting(["ip", "netns", "exec", self.name], *ports)

    def remove(self):
        sh("ip", "netns", "del", self.name)


@contextlib.contextmanager
def collecting(enter, *ports):
    """Meanwhile datagrams are read where the words before a command lead: a stream of lines "PORT SOURCE DATA", as they arrive."""
    process = subprocess.Popen([*enter, "python3", "-c", COLLECTOR, *map(str, ports)], stdout=subprocess.PIPE, text=True)
    try:
        wait_until("collector", lambda: all(f":{port} " in sh(*enter, "ss", "-lun") for port in ports))
        yield process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def enter(engine, container):
    """The words before a command that has the container's network."""
    return ["nsenter", "-t", str(engine.inspect(container)["State"]["Pid"]), "-n"]


def in_container(engine, container, *command, **options):
    """A program of the host's in the container's network."""
    return sh(*enter(engine, container), *command, **options)


def send_from(engine, container, port, text, *addresses):
    """What became of a datagram to each of the addresses, as its sender knows it: "sent", or the system's error."""
    return in_container(engine, container, "python3", "-c", SEND, str(port), text, *addresses).splitlines()


def ask_here(port, address="127.0.0.1"):
    return sh("python3", "-c", CLIENT, address, str(port), "5").strip()


@pytest.fixture(scope="session")
def who(tmp_path_factory):
    """A program that answers each connection to its port 80 with the address that it came from."""
    return compile_static(WHO, tmp_path_factory.mktemp("who") / "who")


@pytest.fixture(scope="session")
def server(who):
    """What `run` gets to serve with: flags, and the command."""
    return ["-v", f"{who}:/who:ro", "busybox", "/who"]


@pytest.fixture(scope="module")
def hosts():
    sh("ip", "link", "add", "switch0", "type", "bridge")
    sh("ip", "address", "add", f"{HOST}/24", "dev", "switch0")
    sh("ip", "address", "add", f"{HOST_V6}/64", "dev", "switch0", "nodad")
    sh("ip", "link", "set", "switch0", "up")
    made = [Host("one", "10.50.0.11"), Host("two", "10.50.0.12")]
    yield made
    for host in made:
        host.remove()
    sh("ip", "link", "del", "switch0")
