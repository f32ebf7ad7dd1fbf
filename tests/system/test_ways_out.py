"""With what address containers' packets reach other machines, and that they do not where they must not: those are network
namespaces on a switch (tests/support/neighbors.py), which have a route back to each container, so that an address that is not
translated works, too, and shows."""
import json
import subprocess

import pytest

from engine import Engine, wait_until
from neighbors import HOST, HOST_V6, hosts, sh, who  # noqa: F401

IDLE = ("busybox", "sleep", "1000")
SUBNETS = ("--ipv6", "--subnet", "10.63.0.0/24", "--subnet", "fd63::/64")


@pytest.fixture
def other(hosts, who):
    """Another machine, whose port 80 tells who connects what address that comes from."""
    with hosts[1].telling(who):
        yield hosts[1]


@pytest.fixture(autouse=True)
def no_networks_left(request):
    yield
    if "engine" in request.fixturenames:
        running = request.getfixturevalue("engine")
        running.remove_all()
        running.berth("network", "prune", "-f")


def run(engine, name, *flags):
    engine.berth("run", "-d", "--name", name, *flags, *IDLE)


def addresses(engine, container):
    shown = next(iter(engine.inspect(container)["NetworkSettings"]["Networks"].values()))
    return shown["IPAddress"], shown["GlobalIPv6Address"]


def seen(engine, container, address):
    """What a machine says that a container's connection comes from; empty: there is none."""
    return engine.berth("exec", container, "nc", "-w", "2", address, "80", check=False).stdout.strip().removeprefix("::ffff:")


def seen_by(engine, container, machine):
    return seen(engine, container, machine.address), seen(engine, container, machine.address_v6)


# ---- masquerade ----

def test_masquerade_is_the_networks_choice(engine, other):
    engine.berth("network", "create", *SUBNETS, "translated")
    engine.berth("network", "create", "--ipv6", "--subnet", "10.64.0.0/24", "--subnet", "fd64::/64", "-o",
                 "com.docker.network.bridge.enable_ip_masquerade=false", "plain")
    run(engine, "inside", "--network", "translated")
    run(engine, "open", "--network", "plain")
    assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
    assert seen_by(engine, "open", other) == addresses(engine, "open")
    # The next engine writes the same rules.
    engine.kill()
    engine.start()
    assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
    assert seen_by(engine, "open", other) == addresses(engine, "open")


def test_masquerade_is_the_engines_choice_for_the_default_bridge(tmp_path, rootfs_tar, other):
    with Engine(tmp_path, "--ip-masq=false", "--ipv6", "--fixed-cidr-v6=fd65::/64") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        run(engine, "open")
        assert seen_by(engine, "open", other) == addresses(engine, "open")
        # As with dockerd, other networks have an option of their own.
        engine.berth("network", "create", *SUBNETS, "translated")
        run(engine, "inside", "--network", "translated")
        assert seen_by(engine, "inside", other) == (HOST, HOST_V6)
        engine.berth("rm", "-f", "inside", "open")
        engine.berth("network", "rm", "translated")
        engine.stop()
        engine.flags = [flag for flag in engine.flags if "ip-masq" not in flag]
        engine.start()
        run(engine, "inside")
        assert seen_by(engine, "inside", other) == (HOST, HOST_V6)


def test_masquerade_has_the_address_that_the_network_says(engine, other):
    sh("ip", "address", "add", "fd50::77/64", "dev", "switch0", "nodad")
    sh("ip", "address", "add", "10.50.0.77/24", "dev", "switch0")
    try:
        engine.berth("network", "create", *SUBNETS, "-o", "com.docker.network.host_ipv4=10.50.0.77", "-o",
                     "com.docker.network.host_ipv6=fd50::77", "named")
        run(engine, "inside", "--network", "named")
        assert seen_by(engine, "inside", other) == ("10.50.0.77", "fd50::77")
    finally:
        sh("ip", "address", "del", "fd50::77/64", "dev", "switch0")
        sh("ip", "address", "del", "10.50.0.77/24", "dev", "switch0")
