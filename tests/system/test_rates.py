"""Rates of containers, by what passes: a token bucket lets at most rate * time + burst through in any time, however busy the machine is.
Each exchange is measured from before its first byte until after its last one, and one without a limit is the control."""
import subprocess

import pytest

from neighbors import sh

RATE, BURST = 1_000_000, 16 << 10  # bytes (a second); the burst is that of slow rates (src/kernel/netlink_queue.cpp)
LIMIT = "8mbit"
AMOUNT = 1_500_000
RECEIVE = """
import socket, sys, time
listener = socket.create_server((sys.argv[1], 7777))
begin = time.monotonic()
print("ready", flush=True)
connection, _ = listener.accept()
count = 0
while data := connection.recv(65536):
    count += len(data)
print(count, time.monotonic() - begin)
"""
SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 7777), timeout=60) as connection:
    connection.sendall(bytes(int(sys.argv[2])))
"""


@pytest.fixture(autouse=True)
def nothing_stays(engine):
    yield
    engine.remove_all()
    engine.berth("network", "prune", "-f")


def run(engine, name, *flags):
    engine.berth("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def limited(network, *directions):
    return ",".join([f"name={network}", *(f"driver-opt=com.berth.rate.{direction}={LIMIT}" for direction in directions)])


class Place:
    """A container, or the host, as an end of an exchange in a network."""

    def __init__(self, engine, name, network):
        shown = engine.inspect(name) if name else engine.request("GET", f"/networks/{network}")[1]
        self.enter = ["nsenter", "-t", str(shown["State"]["Pid"]), "-n"] if name else []
        self.address = shown["NetworkSettings"]["Networks"][network]["IPAddress"] if name else shown["IPAM"]["Config"][0]["Gateway"]


def exceeds(sender, receiver, rate=RATE):
    """Whether more has passed than the rate allows. All of it arrives in any case."""
    receiving = subprocess.Popen([*receiver.enter, "python3", "-c", RECEIVE, receiver.address], stdout=subprocess.PIPE, text=True)
    try:
        assert receiving.stdout.readline() == "ready\n"
        sh(*sender.enter, "python3", "-c", SEND, receiver.address, str(AMOUNT))
        count, seconds = receiving.communicate(timeout=60)[0].split()
    finally:
        receiving.kill()
        receiving.wait()
    assert int(count) == AMOUNT
    return AMOUNT > rate * float(seconds) + BURST


def directions(engine, name, network, other):
    """Whether the container exceeds the rate: what it sends, and what it receives."""
    own, other = Place(engine, name, network), Place(engine, other, network)
    return exceeds(own, other), exceeds(other, own)


@pytest.mark.parametrize("other", [None, "peer"], ids=["host", "container"])
def test_a_containers_rate_is_what_was_asked_for(engine, other):
    """With containers, too: frames among them go a shorter way (docs/decisions/0026), where nothing has a limit."""
    engine.berth("network", "create", "net")
    run(engine, "peer", "--network", "net")
    run(engine, "free", "--network", "net")
    run(engine, "sends", "--network", limited("net", "egress"))
    run(engine, "receives", "--network", limited("net", "ingress"))
    run(engine, "both", "--network", limited("net", "egress", "ingress"))
    assert directions(engine, "free", "net", other) == (True, True)
    assert directions(engine, "sends", "net", other) == (False, True)
    assert directions(engine, "receives", "net", other) == (True, False)
    assert directions(engine, "both", "net", other) == (False, False)
    # A run of its own is a bucket of its own, as slow.
    engine.berth("restart", "-t", "0", "both")
    assert directions(engine, "both", "net", other) == (False, False)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_a_connected_network_has_a_rate_of_its_own(engine, client):
    engine.berth("network", "create", "home")
    engine.berth("network", "create", "away")
    run(engine, "one", "--network", "home")
    run_client = engine.docker if client == "docker" else engine.berth
    run_client("network", "connect", "--driver-opt", f"com.berth.rate.egress={LIMIT}", "--driver-opt", f"com.berth.rate.ingress={LIMIT}",
               "away", "one")
    assert directions(engine, "one", "away", None) == (False, False)
    assert directions(engine, "one", "home", None) == (True, True)
    run_client("network", "disconnect", "away", "one")
    run_client("network", "connect", "away", "one")
    assert directions(engine, "one", "away", None) == (True, True)


def test_a_networks_rate_is_each_of_its_containers_own(engine):
    engine.berth("network", "create", "-o", f"com.berth.rate.ingress={LIMIT}", "net")
    run(engine, "usual", "--network", "net")
    run(engine, "other", "--network", "name=net,driver-opt=com.berth.rate.ingress=80gbit")
    assert directions(engine, "usual", "net", None) == (True, False)
    assert directions(engine, "other", "net", None) == (True, True)
    engine.kill()
    engine.start()
    run(engine, "late", "--network", "net")
    for name in ("usual", "late"):
        assert directions(engine, name, "net", None) == (True, False)


def test_what_is_no_rate_is_refused(engine):
    bad = engine.berth("run", "--rm", "--network", "name=bridge,driver-opt=com.berth.rate.egress=fast", "busybox", "true", check=False)
    assert bad.returncode == 125 and 'com.berth.rate.egress: invalid rate "fast"' in bad.stderr
