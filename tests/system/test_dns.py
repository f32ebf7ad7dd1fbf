"""The embedded DNS server: names in user-defined networks, and everything else through it."""
import contextlib
import os
import pathlib
import re
import subprocess

import pytest

from engine import wait_until
from nameserver import Nameserver

IDLE = ("busybox", "sleep", "3600")


def dig(engine, container, *words):
    """What a resolver in the container's network gets: dig's short answer, in order."""
    pid = engine.inspect(container)["State"]["Pid"]
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", "dig", "+short", "+tries=1", "+time=8", "@127.0.0.11", *words],
                          capture_output=True, text=True, timeout=60)
    return done.stdout.split()


def status(engine, container, *words):
    """The code of an answer, or "silence"."""
    pid = engine.inspect(container)["State"]["Pid"]
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", "dig", "+tries=1", "+time=8", "@127.0.0.11", *words],
                          capture_output=True, text=True, timeout=60)
    found = re.search(r"status: (\w+)", done.stdout)
    return found[1] if found else "silence"


def address(engine, container, network):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def resolv_conf(engine, container):
    return engine.berth("exec", container, "cat", "/etc/resolv.conf").stdout


def run(engine, name, *flags):
    engine.docker("run", "-d", "--name", name, *flags, *IDLE)


@pytest.fixture
def back(engine):
    """A network of its own for each test, removed with what is in it."""
    engine.docker("network", "create", "back")
    yield "back"
    remove(engine, "back")


def remove(engine, *networks):
    left = engine.docker("ps", "-aq").stdout.split()
    if left:
        engine.docker("rm", "-f", *left)
    engine.docker("network", "rm", *networks)


@contextlib.contextmanager
def host_resolver(text):
    """The host's /etc/resolv.conf, for the testbed alone."""
    file = pathlib.Path(f"/run/resolv-{os.getpid()}.conf")
    file.write_text(text)
    pathlib.Path("/etc/resolv.conf").touch()
    subprocess.run(["mount", "--bind", file, "/etc/resolv.conf"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)
        file.unlink()


def test_containers_find_each_other(engine, back):
    run(engine, "web", "--network", back, "--network-alias", "App")
    run(engine, "asker", "--network", back)
    web = address(engine, "web", back)
    for name in ("web", "WEB", "app", "web.back", engine.inspect("web")["Id"][:12]):
        assert dig(engine, "asker", name) == [web], name
    assert dig(engine, "asker", "+tcp", "web") == [web]
    assert dig(engine, "asker", "-x", web) == ["web.back."]
    assert dig(engine, "asker", "web", "AAAA") == [] and status(engine, "asker", "web", "AAAA") == "NOERROR"
    # What a program in the container sees, by its own /etc/resolv.conf.
    assert web in engine.docker("exec", "asker", "nslookup", "web").stdout
    assert re.search(r"^nameserver 127\.0\.0\.11\n", resolv_conf(engine, "asker"), re.MULTILINE)
    assert re.search(r"^options .*ndots:0", resolv_conf(engine, "asker"), re.MULTILINE)


def test_several_containers_share_an_alias(engine, back):
    run(engine, "asker", "--network", back)
    addresses = set()
    for name in ("one", "two", "three"):
        run(engine, name, "--network", back, "--network-alias", "app")
        addresses.add(address(engine, name, back))
    orders = set()
    for _ in range(60):
        answer = dig(engine, "asker", "app")
        assert set(answer) == addresses
        orders.add(answer[0])
        if orders == addresses:
            break
    assert orders == addresses, "each comes first now and then"


def test_changes_are_seen_at_once(engine, back):
    run(engine, "asker", "--network", back)
    engine.docker("network", "create", "front")
    run(engine, "web", "--network", "front")
    try:
        for _ in range(5):
            assert dig(engine, "asker", "web") == []
            engine.docker("network", "connect", "--alias", "db", back, "web")
            web = address(engine, "web", back)
            assert dig(engine, "asker", "web") == [web] and dig(engine, "asker", "db") == [web]
            engine.docker("network", "disconnect", back, "web")
        # The one who asks moves.
        engine.docker("network", "connect", "front", "asker")
        assert dig(engine, "asker", "web") == [address(engine, "web", "front")]
        engine.docker("rename", "web", "renamed")
        assert dig(engine, "asker", "web") == [] and dig(engine, "asker", "renamed") != []
        engine.docker("stop", "-t", "0", "renamed")
        assert dig(engine, "asker", "renamed") == []
        engine.docker("start", "renamed")
        assert dig(engine, "asker", "renamed") == [address(engine, "renamed", "front")]
        engine.docker("rm", "-f", "renamed")
        assert dig(engine, "asker", "renamed") == []
    finally:
        engine.docker("rm", "-f", "asker", "web", "renamed", check=False)
        engine.docker("network", "rm", "front")


def test_links_are_private(engine, back):
    run(engine, "db", "--network", back)
    run(engine, "linked")
    engine.docker("network", "connect", "--link", "db:database", "--link", f"{engine.inspect('db')['Id']}:byid", back, "linked")
    run(engine, "other", "--network", back)
    for name in ("database", "byid", "db"):
        assert dig(engine, "linked", name) == [address(engine, "db", back)]
    assert dig(engine, "other", "database") == []


def test_the_default_bridge_keeps_the_hosts_resolvers(engine):
    run(engine, "plain", "--dns", "10.1.2.3")
    run(engine, "other")
    assert "nameserver 10.1.2.3\n" in resolv_conf(engine, "plain")
    assert "127.0.0.11" not in resolv_conf(engine, "plain") + resolv_conf(engine, "other")
    assert status(engine, "plain", "+time=1", "other") == "silence"


def test_a_container_of_the_default_bridge_gets_dns_with_its_first_network(engine, back):
    run(engine, "late")
    run(engine, "web", "--network", back)
    engine.docker("network", "connect", back, "late")
    assert dig(engine, "late", "web") == [address(engine, "web", back)]
    assert "nameserver 127.0.0.11\n" in resolv_conf(engine, "late")


def test_the_container_may_have_a_dns_server_of_its_own(engine, back):
    run(engine, "web", "--network", back)
    engine.docker("run", "-d", "--name", "server", "--network", back, "busybox", "udp-echo", "53")
    wait_until("server", lambda: "53" in engine.docker("exec", "server", "netstat", "-lnu").stdout)
    assert engine.inspect("server")["State"]["Running"]
    assert dig(engine, "server", "web") == [address(engine, "web", back)]


def test_other_names_go_to_the_hosts_resolvers(engine, back):
    with Nameserver("127.0.0.9") as outside, host_resolver("nameserver 127.0.0.9\nsearch home.example\n"):
        run(engine, "asker", "--network", back)
        assert "search home.example\n" in resolv_conf(engine, "asker")
        # The engine looks at the file once a second at most.
        wait_until("answer", lambda: dig(engine, "asker", "www.example") == ["9.8.7.6"])
        assert dig(engine, "asker", "www.example") == ["9.8.7.6"]
        assert outside.asked.count("www.example") == 1, "the answer is kept"
        assert len(dig(engine, "asker", "big.example")) == 60, "what UDP cuts short is asked by TCP"
        with Nameserver("127.0.0.10", "4.3.2.1"):
            pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.10\n")
            wait_until("other answer", lambda: dig(engine, "asker", "www.example") == ["4.3.2.1"])


def test_servers_and_search_lists_of_the_container(engine, back):
    gateway = engine.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", back).stdout.strip()
    with Nameserver(gateway, "7.7.7.7") as own, Nameserver("127.0.0.9") as hosts, host_resolver("nameserver 127.0.0.9\n"):
        run(engine, "asker", "--network", back, "--dns", gateway, "--dns-search", "corp.example", "--dns-option", "ndots:2")
        text = resolv_conf(engine, "asker")
        assert "nameserver 127.0.0.11\nsearch corp.example\noptions ndots:2\n" in text
        assert f"# ExtServers: [{gateway}]\n" in text
        assert dig(engine, "asker", "www.example") == ["7.7.7.7"]
        assert status(engine, "asker", "printer") == "NOERROR", "the client goes on with its search list"
        assert engine.docker("exec", "asker", "nslookup", "-type=a", "www").stdout.count("7.7.7.7") == 1
        assert "www.corp.example" in own.asked and "printer" not in own.asked
        assert hosts.asked == []


def test_nothing_leaks_from_internal_networks(engine):
    engine.docker("network", "create", "--internal", "inside")
    try:
        with Nameserver("127.0.0.9") as outside, host_resolver("nameserver 127.0.0.9\n"):
            run(engine, "web", "--network", "inside")
            run(engine, "asker", "--network", "inside")
            assert dig(engine, "asker", "web") == [address(engine, "web", "inside")]
            assert status(engine, "asker", "secret.example") == "SERVFAIL"
            assert status(engine, "asker", "+tcp", "secret.example") == "SERVFAIL"
            assert status(engine, "asker", "-x", "8.8.8.8") == "SERVFAIL"
            assert outside.asked == []
            # With a way out it may ask.
            engine.docker("network", "create", "outside")
            engine.docker("network", "connect", "outside", "asker")
            wait_until("answer", lambda: dig(engine, "asker", "www.example") == ["9.8.7.6"])
            engine.docker("network", "disconnect", "outside", "asker")
            assert status(engine, "asker", "other.example") == "SERVFAIL"
            assert "other.example" not in outside.asked
    finally:
        engine.docker("rm", "-f", "web", "asker", check=False)
        engine.docker("network", "rm", "inside", "outside", check=False)


def test_the_engine_may_die(fresh_engine):
    engine = fresh_engine
    engine.docker("network", "create", "back")
    run(engine, "web", "--network", "back", "--network-alias", "app")
    run(engine, "asker", "--network", "back")
    web = address(engine, "web", "back")
    for _ in range(2):
        assert dig(engine, "asker", "app") == [web]
        engine.kill()
        engine.start()
        wait_until("answer", lambda: dig(engine, "asker", "app") == [web])
        assert dig(engine, "asker", "+tcp", "web") == [web]
        run(engine, "late", "--network", "back")
        assert dig(engine, "asker", "late") == [address(engine, "late", "back")]
        assert dig(engine, "late", "asker") == [address(engine, "asker", "back")]
        engine.docker("rm", "-f", "late")
        assert dig(engine, "asker", "late") == []
    engine.docker("rm", "-f", "web", "asker")
    engine.docker("network", "rm", "back")


def test_a_shared_network_has_shared_dns(engine, back):
    run(engine, "web", "--network", back)
    run(engine, "owner", "--network", back)
    run(engine, "guest", "--network", "container:owner")
    assert "nameserver 127.0.0.11\n" in resolv_conf(engine, "guest")
    assert address(engine, "web", back) in engine.docker("exec", "guest", "nslookup", "web").stdout
