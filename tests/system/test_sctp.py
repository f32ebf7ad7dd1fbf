"""Published ports of SCTP, with real associations. Many kernels speak none: the virtual machine's does (tests/vm/suite), which has no
compiler, so that programs are Python's here, the machine's own."""
import socket

import pytest

from engine import wait_until
from neighbors import HOST, HOST_V6, hosts, sh  # noqa: F401

SCTP = 132
SUBNETS = ("--ipv6", "--subnet", "10.68.0.0/24", "--subnet", "fd68::/64")
FOLDERS = [word for name in ("usr", "lib", "lib64") for word in ("-v", f"/{name}:/{name}:ro")]
# Answers each association's message with its client's address and the message, for both families.
SERVER = """
import socket, threading
def serve(family, address):
    listener = socket.socket(family, socket.SOCK_STREAM, 132)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((address, 9000))
    listener.listen()
    while True:
        connection, peer = listener.accept()
        with connection:
            connection.sendall(peer[0].encode() + b" " + connection.recv(1000))
            connection.recv(1)
threading.Thread(target=serve, args=(socket.AF_INET6, "::")).start()
serve(socket.AF_INET, "0.0.0.0")
"""
# Bound to one address of its own: else SCTP tells the server all that the machine has, loopback's, too, which the server's host takes
# for its own, and no translation of addresses knows of.
CLIENT = """
import socket, sys
own, address, port, message = sys.argv[1:]
connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 132)
connection.settimeout(10)
connection.bind((own, 0))
try:
    connection.connect((address, int(port)))
    connection.sendall(message.encode())
    print(connection.recv(1000).decode())
except TimeoutError:
    print("timeout")
except ConnectionRefusedError:
    print("refused")
"""


def speaks_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not speaks_sctp(), reason="this kernel has no SCTP: the virtual machine's has")


def ask(port, address, message, host=None):
    """What the server answers to another host, or to the host itself, from the same address."""
    own = address if host is None else host.address_v6 if ":" in address else host.address
    return (host.run if host else sh)("python3", "-c", CLIENT, own, address, str(port), message).strip()


@pytest.fixture
def port(engine):
    """The host's port of a server in the container "web"."""
    engine.berth("network", "create", *SUBNETS, "stream")
    engine.berth("run", "-d", "--name", "web", "--network", "stream", "-p", "0:9000/sctp", *FOLDERS, "busybox", "/usr/bin/python3", "-c", SERVER)
    bindings = engine.inspect("web")["NetworkSettings"]["Ports"]["9000/sctp"]
    assert len({binding["HostPort"] for binding in bindings}) == 1
    listening = ["nsenter", "-t", str(engine.inspect("web")["State"]["Pid"]), "-n", "cat", "/proc/net/sctp/eps"]
    wait_until("server", lambda: sh(*listening).count(" 9000 ") == 2)
    yield int(bindings[0]["HostPort"])
    engine.berth("rm", "-f", "web", check=False)
    engine.berth("network", "rm", "stream")


def test_associations_from_other_hosts_keep_their_addresses(engine, port, hosts):
    assert f":{port}->9000/sctp" in engine.berth("ps").stdout
    for host in hosts:
        assert ask(port, HOST, "one", host) == f"{host.address} one"
        assert ask(port, HOST_V6, "two", host) == f"{host.address_v6} two"
    # The same number of another protocol is nobody's, and the port goes with its container.
    assert hosts[0].ask(port) == "refused"
    engine.berth("rm", "-f", "web")
    assert ask(port, HOST, "late", hosts[0]) == "refused"


def test_associations_of_the_host_itself(engine, port, hosts):
    for address in (HOST, "127.0.0.1", HOST_V6, "::1"):
        peer, _, message = ask(port, address, "here").partition(" ")
        assert message == "here" and peer not in ("127.0.0.1", "::1"), (address, peer)


def test_another_program_cannot_have_the_port(engine, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP) as other:
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("0.0.0.0", port))
            other.listen()
    # Nor has the engine what another has.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP) as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        taken = other.getsockname()[1]
        done = engine.berth("run", "--rm", "-p", f"{taken}:9000/sctp", "busybox", "true", check=False)
        assert done.returncode == 125 and "address already in use" in done.stderr, done.stderr


def test_without_a_publication_there_is_no_association(engine, port, hosts):
    inside = engine.inspect("web")["NetworkSettings"]["Networks"]["stream"]["IPAddress"]
    assert ask(9000, inside, "hidden", hosts[0]) == "timeout"
