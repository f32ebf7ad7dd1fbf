"""kill -9 of the engine at many points of what it does to networks: create, connect, disconnect, remove, publish and
withdraw ports, start and remove containers with both. Afterwards, each time, the books and the kernel say the same, the same command can be given again, and in the end nothing is left."""
import errno
import json
import os
import platform
import random
import re
import socket
import subprocess

import pytest

from engine import wait_until
from hostile import LONG
from killer import CHANGING, Killer

ROUNDS = int(os.environ.get("BERTH_TEST_ROUNDS", "30" if LONG else "4"))
SEED = os.environ.get("BERTH_TEST_SEED", "1")
# What talks to the kernel about networks, beside what changes files.
SENDING = {"x86_64": {44, 46}, "aarch64": {206, 211}}[platform.machine()]
CALLS = CHANGING | SENDING
PORTS = (8098, 8099)


def host(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def labelled(default):
    """Interfaces for networks of the engine with this default bridge."""
    labels = {link["ifname"]: link.get("ifalias", "") for link in json.loads(host("ip", "-j", "-d", "link"))}
    own = labels.get(default, "no such bridge")
    return sorted(name for name, label in labels.items() if label == own or label.startswith(own + "/"))


def veths_on(bridge):
    return len(re.findall(r"^\d+: veth", host("ip", "-o", "link", "show", "master", bridge), re.M))


def networks(engine):
    return {entry["Name"]: "br-" + entry["Id"][:12] for entry in engine.request("GET", "/networks")[1]
            if entry["Name"] not in ("bridge", "host", "none")}


def check(engine):
    """The books agree with the kernel, once what was left is swept."""
    known = networks(engine)
    default = f"brt{engine.number}"
    wait_until("swept bridges", lambda: labelled(default) == sorted([default, *known.values()]), deadline=20)
    for name, bridge in known.items():
        inspected = json.loads(engine.berth("network", "inspect", name).stdout)[0]
        wait_until("swept veths", lambda: veths_on(bridge) == len(inspected["Containers"]), deadline=20)
    shown = engine.inspect("guest")["NetworkSettings"]["Networks"]
    addresses = engine.berth("exec", "guest", "ip", "-4", "-o", "address").stdout
    for name, settings in shown.items():
        assert f" {settings['IPAddress']}/" in addresses, (name, settings, addresses)
    assert addresses.count("inet ") == len(shown) + 1
    check_ports(engine)


def check_ports(engine):
    """The ports that the books have lead somewhere, and no others; who else wants one of those can have it."""
    known = {port["PublicPort"] for container in engine.request("GET", "/containers/json")[1] for port in container["Ports"]
             if "PublicPort" in port}
    for port in PORTS:
        wait_until("agreement about ports", lambda: (port in known) == bool(re.search(rf"\b{port}\b", host("nft", "list", "ruleset"))),
                   deadline=20)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            assert (other.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED) or port in known
        if port not in known:
            with socket.socket() as other:
                other.bind(("0.0.0.0", port))


KNOWN = "already exists|not found|is not connected|already in use|already allocated|No public port|No such container|is already published"
RUN = ["run", "-d", "--name", "web", "--network", "n", "-p", "8098:80", "busybox", "sleep", "10000"]


def operations():
    return {
        "create": (lambda e: None, ["network", "create", "--ipv6", "--subnet", "10.66.0.0/24", "n"],
                   lambda e: e.berth("network", "rm", "n")),
        "remove": (lambda e: e.berth("network", "create", "--subnet", "10.66.0.0/24", "n"), ["network", "rm", "n"],
                   lambda e: None),
        "connect": (lambda e: e.berth("network", "create", "--subnet", "10.66.0.0/24", "n"),
                    ["network", "connect", "--ip", "10.66.0.9", "n", "guest"],
                    lambda e: (e.berth("network", "disconnect", "n", "guest"), e.berth("network", "rm", "n"))),
        "disconnect": (lambda e: (e.berth("network", "create", "--subnet", "10.66.0.0/24", "n"),
                                  e.berth("network", "connect", "n", "guest")),
                       ["network", "disconnect", "n", "guest"], lambda e: e.berth("network", "rm", "n")),
        "publish": (lambda e: None, ["port", "add", "guest", "8099:80"], lambda e: e.berth("port", "rm", "guest", "8099:80")),
        "withdraw": (lambda e: e.berth("port", "add", "guest", "8099:80"), ["port", "rm", "guest", "8099:80"], lambda e: None),
        "run": (lambda e: e.berth("network", "create", "--subnet", "10.66.0.0/24", "n"), RUN,
                lambda e: (e.berth("rm", "-f", "web"), e.berth("network", "rm", "n"))),
        "rm": (lambda e: (e.berth("network", "create", "--subnet", "10.66.0.0/24", "n"), e.berth(*RUN)), ["rm", "-f", "web"],
               lambda e: e.berth("network", "rm", "n")),
    }


@pytest.mark.parametrize("name", list(operations()))
def test_killed(fresh_engine, name):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "guest", "busybox", "sleep", "10000")
    prepare, command, undo = operations()[name]
    chance = random.Random(f"{SEED} {name}")
    count = 0
    for number in range(ROUNDS + 1):
        prepare(engine)
        at = chance.randint(1, count) if number else 0
        with Killer(engine.process.pid, CALLS, at) as killer:
            done = engine.berth(*command, check=False)
            if not killer.killed:
                assert done.returncode == 0, done.stderr
        print(name, "at", at, "of", killer.count)
        if killer.killed:
            engine.process.wait()
            engine.start()
        elif not number:
            count = killer.count
        check(engine)
        # Done already, or not at all: once more it is done either way.
        done = engine.berth(*command, check=False)
        assert done.returncode == 0 or re.search(KNOWN, done.stderr), done.stderr
        check(engine)
        undo(engine)
        check(engine)
