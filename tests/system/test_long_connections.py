"""A long transfer from another host to a published port, with the real engine: most of its packets pass the bridge by, and it goes on, whole,
when the engine is killed, stopped and started again. Only what the bridge carries tells which way packets go. The engine has a network namespace of its own: another one's rules are
rules of others, which must see all packets."""
import hashlib
import os
import signal
import subprocess
import time

import pytest

from engine import Engine, wait_until
from neighbors import enter, sh

HOST, FAR, WIRE = "10.51.0.1", "10.51.0.2", "wire0"
HOST_V6, FAR_V6 = "fd51::1", "fd51::2"
ALONE = ["ip", "netns", "exec", "alone"]

SERVER = """
import hashlib, socket
listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
connection, peer = listener.accept()
print(peer[0].replace("::ffff:", ""), flush=True)
sum = hashlib.sha1()
while block := connection.recv(1 << 20):
    sum.update(block)
print(sum.hexdigest(), flush=True)
"""
# Sends until its standard input ends.
CLIENT = """
import hashlib, itertools, select, socket, sys
block = bytes(range(256)) * 4096 + b"odd"
sum = hashlib.sha1()
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    while not select.select([sys.stdin], [], [], 0)[0]:
        connection.sendall(block)
        sum.update(block)
print(sum.hexdigest(), flush=True)
"""


def carried(interface, figure):
    return int(sh(*ALONE, "cat", f"/sys/class/net/{interface}/statistics/{figure}"))


class Transfer:
    """From a host to port 8080 of an address of the engine's host, which is a container's port 80."""

    def __init__(self, engine, host, address=HOST):
        self.bridge = f"brt{engine.number}"
        network = []
        if ":" in address:
            self.bridge, network = "brsix", ["--network", "six"]
            engine.berth("network", "create", "--ipv6", "-o", f"com.docker.network.bridge.name={self.bridge}", "six")
        engine.berth("run", "-d", "--name", "web", "-p", "8080:80", *network, "busybox", "sleep", "1000")
        self.server = subprocess.Popen([*enter(engine, "web"), "python3", "-c", SERVER], stdout=subprocess.PIPE, text=True)
        wait_until("listener", lambda: ":80 " in sh(*enter(engine, "web"), "ss", "-ltn"))
        self.client = subprocess.Popen(["ip", "netns", "exec", host, "python3", "-c", CLIENT, address, "8080"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peer = self.server.stdout.readline().strip()

    def ways(self):
        """Of a moment: bytes that came by the wire, and those that the bridge has handed on to containers."""
        before = carried(WIRE, "rx_bytes"), carried(self.bridge, "tx_bytes")
        time.sleep(0.2)  # rates are measured over a time
        return carried(WIRE, "rx_bytes") - before[0], carried(self.bridge, "tx_bytes") - before[1]

    def is_short(self):
        came, bridged = self.ways()
        return came > 1 << 20 and bridged < came / 10

    def is_ordinary(self):
        came, bridged = self.ways()
        return came > 1 << 20 and bridged > came / 2

    def end(self):
        """What was sent and what was received, as sums."""
        sent, _ = self.client.communicate()
        received, _ = self.server.communicate()
        return sent.strip(), received.strip()

    def kill(self):
        for process in (self.client, self.server):
            process.kill()
            process.wait()


@pytest.fixture
def far():
    """A host at the other end of a wire, and the engine's host at this one. With br_netfilter a switch would translate packets before they
    come in by it."""
    for name in ("alone", "far"):
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
    sh("ip", "-n", "alone", "link", "add", WIRE, "type", "veth", "peer", "name", "eth0", "netns", "far")
    sh("ip", "-n", "alone", "address", "add", f"{HOST}/24", "dev", WIRE)
    sh("ip", "-n", "alone", "address", "add", f"{HOST_V6}/64", "dev", WIRE, "nodad")
    sh("ip", "-n", "alone", "link", "set", WIRE, "up")
    sh("ip", "-n", "far", "address", "add", f"{FAR}/24", "dev", "eth0")
    sh("ip", "-n", "far", "address", "add", f"{FAR_V6}/64", "dev", "eth0", "nodad")
    sh("ip", "-n", "far", "link", "set", "eth0", "up")
    yield "far"
    for name in ("alone", "far"):
        sh("ip", "netns", "del", name)


@pytest.fixture
def lone_engine(tmp_path, rootfs_tar, far):
    engine = Engine(tmp_path)
    engine.enter = ["nsenter", "--net=/run/netns/alone"]
    with engine:
        engine.berth("import", str(rootfs_tar), "busybox:latest")
        yield engine


@pytest.fixture(params=[HOST, HOST_V6], ids=["v4", "v6"])
def transfer(request, lone_engine, far):
    running = Transfer(lone_engine, far, request.param)
    running.source = FAR_V6 if request.param == HOST_V6 else FAR
    yield running
    running.kill()


def test_a_long_transfer_passes_the_bridge_by_and_outlives_the_engine(lone_engine, transfer):
    assert transfer.peer == transfer.source
    wait_until("the short way", transfer.is_short)
    lone_engine.kill()
    wait_until("the ordinary way without an engine", transfer.is_ordinary)
    lone_engine.start()
    wait_until("the short way again", transfer.is_short)
    # It cannot say any more that all is as it was.
    process = lone_engine.process.pid
    os.kill(process, signal.SIGSTOP)
    wait_until("the ordinary way beside an engine that does nothing", transfer.is_ordinary)
    os.kill(process, signal.SIGCONT)
    wait_until("the short way once more", transfer.is_short)
    sent, received = transfer.end()
    assert sent == received and len(sent) == len(hashlib.sha1().hexdigest())


def test_a_rule_of_the_hosts_cuts_it_off(lone_engine, transfer):
    wait_until("the short way", transfer.is_short)
    sh(*ALONE, "nft", "add table inet cut; add chain inet cut judge { type filter hook forward priority 0; };"
       f" add rule inet cut judge {'ip6' if ':' in transfer.source else 'ip'} saddr {transfer.source} drop")
    try:
        wait_until("silence", lambda: transfer.ways()[0] < 1 << 20 and transfer.ways()[1] == 0)
    finally:
        sh(*ALONE, "nft", "delete table inet cut")
    wait_until("the short way again", transfer.is_short)
    sent, received = transfer.end()
    assert sent == received
