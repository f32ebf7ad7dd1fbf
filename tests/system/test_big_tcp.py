"""Packets of more than 64 KiB from the host to a container (docs/decisions/0043-large-packets-from-the-host.md): they arrive
intact, and they are that large. Which links allow them is src/network/big_tcp_test.cpp's."""
import hashlib
import json
import os
import socket
import subprocess

import pytest

from engine import wait_until

MEBIBYTE = 1 << 20
AMOUNT = 200 * MEBIBYTE
LARGEST_ORDINARY = 65536


def sh(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def kernel_has_them():
    release = os.uname().release.split(".")
    return (int(release[0]), int("".join(c for c in release[1] if c.isdigit()))) >= (6, 3)


pytestmark = pytest.mark.skipif(not kernel_has_them(), reason="the kernel has no gso_ipv4_max_size (before 6.3)")


def host_interface(engine, name):
    """The other end of the container's eth0."""
    index = int(engine.berth("exec", name, "cat", "/sys/class/net/eth0/iflink").stdout)
    return next(link["ifname"] for link in json.loads(sh("ip", "-j", "link")) if link["ifindex"] == index)


def send(address, port):
    """The digest of what is sent."""
    chunk, digest = os.urandom(MEBIBYTE), hashlib.sha256()
    with socket.create_connection((address, port), timeout=60) as connection:
        for number in range(AMOUNT // MEBIBYTE):
            piece = number.to_bytes(8, "big") + chunk[8:]
            connection.sendall(piece)
            digest.update(piece)
    return digest.hexdigest()


def bytes_in_large_packets(engine, name, address, port):
    """How much of what is sent to the container, where it arrives intact, goes there so. The average packet would tell less: its
    size is the receiver's speed, too."""
    wait_until("listener", lambda: ":80 " in engine.berth("exec", name, "netstat", "-ltn").stdout)
    container = next(iter(engine.inspect(name)["NetworkSettings"]["Networks"].values()))["IPAddress"]
    sh("nft", "add table ip large; add chain ip large sent { type filter hook postrouting priority 0; }; "
       f"add rule ip large sent ip daddr {container} tcp dport 80 meta length > {LARGEST_ORDINARY} counter")
    try:
        sent = send(address, port)
        wait_until("digest", lambda: sent in engine.berth("logs", name).stdout)
        rules = json.loads(sh("nft", "-j", "list", "table", "ip", "large"))["nftables"]
    finally:
        sh("nft", "delete", "table", "ip", "large")
    rule = next(entry["rule"] for entry in rules if "rule" in entry)
    return next(word["counter"]["bytes"] for word in rule["expr"] if "counter" in word)


@pytest.fixture
def receiver(engine):
    """Starts containers that tell the digest of what each connection sends them."""
    names = []

    def start(name, *flags):
        engine.berth("run", "-d", "--name", name, "-p", "127.0.0.1::80", *flags, "busybox", "sh", "-c",
                     "while true; do nc -l -p 80 | sha256sum; done")
        names.append(name)
        inspected = engine.inspect(name)["NetworkSettings"]
        address = next(iter(inspected["Networks"].values()))["IPAddress"]
        return address, int(inspected["Ports"]["80/tcp"][0]["HostPort"])

    yield start
    for name in names:
        engine.berth("rm", "-f", name)


def test_a_long_transfer_from_the_host_goes_in_large_packets_and_arrives(engine, receiver):
    address, published = receiver("large")
    for where, port in (("127.0.0.1", published), (address, 80)):
        assert bytes_in_large_packets(engine, "large", where, port) > AMOUNT // 4, where


def test_a_network_without_them_gets_ordinary_ones(engine, receiver):
    engine.berth("network", "create", "-o", "com.berth.bridge.big_tcp=false", "ordinary")
    try:
        address, _ = receiver("small", "--network", "ordinary")
        assert bytes_in_large_packets(engine, "small", address, 80) == 0
    finally:
        engine.berth("rm", "-f", "small")
        engine.berth("network", "rm", "ordinary")


def test_a_rate_loses_nothing_of_large_packets(engine, receiver):
    limits = "name=bridge,driver-opt=com.berth.rate.ingress=2gbit"
    address, _ = receiver("limited", "--network", limits)
    assert bytes_in_large_packets(engine, "limited", address, 80) > AMOUNT // 4
    queues = json.loads(sh("tc", "-s", "-j", "qdisc", "show", "dev", host_interface(engine, "limited")))
    queue = next(one for one in queues if one["kind"] == "tbf")
    assert queue["bytes"] > AMOUNT and queue["drops"] * 100 < queue["packets"]
