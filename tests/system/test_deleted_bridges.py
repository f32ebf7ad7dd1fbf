"""Bridges that somebody deletes below running containers: each container has its traffic, its published ports and its open connections
back at once, and nobody waits for it by the clock: the kernel tells of the interfaces that come back."""
import contextlib
import json
import select
import socket
import subprocess
import time

import pytest

from engine import DEADLINE, wait_until

IDLE = ["busybox", "sleep", "1000"]
RTMGRP_LINK = 1


def ip(*command, check=True):
    return subprocess.run(["ip", *command], capture_output=True, text=True, check=check).stdout


def link(name):
    found = ip("-j", "link", "show", name, check=False)
    return json.loads(found)[0] if found.strip() else None


class LinkEvents:
    """Looks again with each change of the host's interfaces since it was made."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.bind((0, RTMGRP_LINK))

    def wait_until(self, what, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            assert select.select([self.socket], [], [], max(0, end - time.monotonic()))[0] or condition(), f"no {what}"
            with contextlib.suppress(OSError):  # ENOBUFS: there was more
                self.socket.recv(1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def address_of(engine, container, network):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def reaches(engine, container, address):
    return engine.berth("exec", container, "ping", "-c", "1", "-W", "2", address, check=False).returncode == 0


def fetch(engine, container, address, port="80"):
    """What a server says; busybox's wget, static, looks up no names and no addresses."""
    asked = engine.berth("exec", "-i", container, "nc", "-w", "5", address, port, input="GET /hostname HTTP/1.0\r\n\r\n", check=False)
    return asked.stdout.rstrip().rpartition("\n")[2].strip()


def ports_of(bridge):
    return {port["ifname"] for port in json.loads(ip("-j", "link", "show", "master", bridge, check=False) or "[]")
            if port["ifname"].startswith("veth")}


def bridge_of(engine, network):
    info = json.loads(engine.berth("network", "inspect", network).stdout)[0]
    return info["Options"].get("com.docker.network.bridge.name", "br-" + info["Id"][:12])


def echo(connection, text):
    connection.sendall(text)
    return connection.recv(100)


@pytest.mark.parametrize("network", ["bridge", "front"])
def test_running_containers_are_back_with_all_they_had(fresh_engine, network):
    engine = fresh_engine
    if network != "bridge":
        engine.berth("network", "create", network)
    engine.berth("network", "create", "aside")
    engine.berth("run", "-d", "--name", "web", "--network", network, "-p", "8090:80", "-p", "8091:81", "busybox", "sh", "-c",
                 "echo web >/tmp/hostname; nc -ll -p 81 -e cat & exec httpd -f -p 80 -h /tmp")
    engine.berth("run", "-d", "--name", "other", "--network", network, *IDLE)
    engine.berth("run", "-d", "--name", "far", "--network", "aside", *IDLE)
    web, bridge = address_of(engine, "web", network), bridge_of(engine, network)
    gateway = engine.inspect("web")["NetworkSettings"]["Networks"][network]["Gateway"]

    def check_traffic():
        assert fetch(engine, "other", web) == "web"
        assert fetch(engine, "other", gateway, "8090") == "web"
        assert fetch(engine, "far", gateway, "8090") == "web"
        assert reaches(engine, "web", gateway) and reaches(engine, "web", address_of(engine, "other", network))

    wait_until("server", lambda: engine.berth("exec", "other", "nc", "-w", "1", web, "80", check=False, input="").returncode == 0)
    wait_until("echo server", lambda: engine.berth("exec", "other", "nc", "-w", "1", web, "81", check=False, input="").returncode == 0)
    check_traffic()
    before = ports_of(bridge)
    with LinkEvents() as events, socket.create_connection(("127.0.0.1", 8091), timeout=DEADLINE) as connection:
        assert echo(connection, b"before") == b"before"
        index = link(bridge)["ifindex"]
        ip("link", "delete", bridge)
        held = {port for port in before if link(port)}  # of the containers; what was made ready for others goes
        events.wait_until("bridge with its ports", lambda: link(bridge) and held & ports_of(bridge) == {port for port in held if link(port)}
                          and len(held & ports_of(bridge)) >= 2)
        assert link(bridge)["ifindex"] != index
        check_traffic()
        assert echo(connection, b"after") == b"after"
    assert "somebody deleted a bridge of a network, made it again" in engine.log()
    # Who comes later finds nothing different.
    engine.berth("run", "-d", "--name", "late", "--network", network, *IDLE)
    assert fetch(engine, "late", web) == "web"
    engine.berth("network", "connect", network, "far")
    assert fetch(engine, "far", web) == "web"
    engine.berth("rm", "-f", "web", "other", "late", "far")
    engine.berth("network", "rm", *(["front"] if network == "front" else []), "aside")
    if network == "front":
        wait_until("removed bridge", lambda: not link(bridge))


def test_who_joins_right_after_makes_it_again(fresh_engine):
    engine = fresh_engine
    engine.berth("network", "create", "--internal", "back")
    engine.berth("run", "-d", "--name", "one", "--network", "back", *IDLE)
    engine.berth("run", "-d", "--name", "two", *IDLE)
    bridge = bridge_of(engine, "back")
    ip("link", "delete", bridge)
    engine.berth("network", "connect", "back", "two")
    assert reaches(engine, "two", address_of(engine, "one", "back"))
    ip("link", "delete", bridge)
    engine.berth("run", "--rm", "--network", "back", "busybox", "ping", "-c", "1", "-W", "2", address_of(engine, "one", "back"))


def test_an_interface_of_others_that_takes_the_name(fresh_engine):
    engine = fresh_engine
    engine.berth("network", "create", "front")
    engine.berth("run", "-d", "--name", "one", "--network", "front", *IDLE)
    engine.berth("run", "-d", "--name", "two", *IDLE)
    bridge = bridge_of(engine, "front")
    # Whoever deletes a bridge and takes its name may be slower than the engine: so the name goes first.
    ip("link", "add", "foreign", "type", "veth", "peer", "name", "far")
    ip("link", "set", bridge, "down")
    ip("link", "set", bridge, "name", "former")
    ip("link", "set", "foreign", "name", bridge)
    with LinkEvents() as events:
        try:
            ip("link", "delete", "former")
            words = f"it cannot be made again: interface {bridge} exists and is not a bridge"
            for command in (["run", "--name", "late", "--network", "front", "busybox", "true"], ["network", "connect", "front", "two"]):
                done = engine.berth(*command, check=False)
                assert done.returncode != 0 and f"bridge {bridge} of network front (" in done.stderr and words in done.stderr, done.stderr
            assert list(engine.inspect("two")["NetworkSettings"]["Networks"]) == ["bridge"]
            wait_until("word in the log", lambda: words in engine.log())
        finally:
            ip("link", "delete", bridge)
        events.wait_until("bridge with a port", lambda: ports_of(bridge))
    engine.berth("network", "connect", "front", "two")
    assert reaches(engine, "two", address_of(engine, "one", "front"))


def test_a_bridge_that_goes_while_there_is_no_engine(fresh_engine):
    engine = fresh_engine
    engine.berth("network", "create", "front")
    engine.berth("run", "-d", "--name", "web", "--network", "front", "-p", "8092:80", "busybox", "sh", "-c",
                 "echo web >/tmp/hostname; exec httpd -f -p 80 -h /tmp")
    engine.berth("run", "-d", "--name", "other", "--network", "front", *IDLE)
    bridge, started = bridge_of(engine, "front"), engine.inspect("web")["State"]["StartedAt"]
    engine.kill()
    ip("link", "delete", bridge)
    engine.start()
    assert fetch(engine, "other", address_of(engine, "web", "front")) == "web"
    assert fetch(engine, "other", bridge_gateway(engine), "8092") == "web"
    assert engine.inspect("web")["State"]["StartedAt"] == started


def bridge_gateway(engine):
    return engine.inspect("other")["NetworkSettings"]["Networks"]["front"]["Gateway"]
