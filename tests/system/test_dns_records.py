"""The embedded DNS server's records beyond addresses of names, and how large its answers may be."""
import re

import pytest

from engine import wait_until
from nameserver import Nameserver
from neighbors import in_container
from test_dns import address, back, dig, host_resolver, remove, run, status  # noqa: F401


class Answer:
    """What a resolver in the container's network gets in one datagram, whether it is cut short or not."""

    def __init__(self, engine, container, *words):
        text = in_container(engine, container, "dig", "+tries=1", "+time=8", "+ignore", "@127.0.0.11", *words)
        self.text = text
        self.records = re.findall(r"^[^;\s]\S*\s+\d+\s+IN\s+\S+\s+(.+)$", text, re.MULTILINE)
        self.is_cut = " tc" in re.search(r";; flags: ([^;]*);", text)[1]
        self.size = int(re.search(r"MSG SIZE  rcvd: (\d+)", text)[1])
        own = re.search(r"EDNS: version: 0, flags:[^;]*; udp: (\d+)", text)
        self.own_size = int(own[1]) if own else None


# ---- services ----

def test_exposed_ports_are_services(engine, back):
    run(engine, "web", "--network", back, "--network-alias", "app", "--expose", "80", "--expose", "5432/tcp", "--expose", "9999/udp", "--expose",
        "7000-7001")
    run(engine, "asker", "--network", back)
    for question, port in (("_80._tcp.web", 80), ("_http._tcp.web", 80), ("_http._tcp.app", 80), ("_HTTP._TCP.Web", 80), ("_http._tcp.web.back", 80),
                           ("_postgresql._tcp.web", 5432), ("_9999._udp.web", 9999), ("_7001._tcp.web", 7001)):
        answer = dig(engine, "asker", question, "SRV")
        assert len(answer) == 4 and answer[2] == str(port), (question, answer)
        # Where the record leads, the client finds the container.
        assert dig(engine, "asker", answer[3]) == [address(engine, "web", back)], (question, answer)
    for question in ("_443._tcp.web", "_http._udp.web", "_80._udp.web", "_9999._tcp.web", "_http._tcp.nobody"):
        assert dig(engine, "asker", question, "SRV") == [], question


def test_services_of_an_image_and_of_several_containers(engine, back, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nEXPOSE 443\n")
    engine.docker("build", "-q", "-t", "exposing", tmp_path)
    for name in ("one", "two"):
        engine.docker("run", "-d", "--name", name, "--network", back, "--network-alias", "shop", "exposing", "sleep", "3600")
    run(engine, "asker", "--network", back)
    answers = dig(engine, "asker", "_https._tcp.shop", "SRV")
    assert answers[2::4] == ["443", "443"]
    found = {at for target in answers[3::4] for at in dig(engine, "asker", target)}
    assert found == {address(engine, "one", back), address(engine, "two", back)}
    engine.docker("rm", "-f", "one")
    assert dig(engine, "asker", "_https._tcp.shop", "SRV")[2::4] == ["443"]


# ---- IPv6 ----

def test_names_in_a_network_of_ipv6_alone(engine):
    engine.berth("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd66::/64", "six")
    try:
        with Nameserver("127.0.0.9"), host_resolver("nameserver 127.0.0.9\n"):
            run(engine, "web", "--network", "six", "--network-alias", "app", "--expose", "80")
            run(engine, "asker", "--network", "six")
            web = engine.inspect("web")["NetworkSettings"]["Networks"]["six"]["GlobalIPv6Address"]
            for name in ("web", "app", "web.six"):
                assert dig(engine, "asker", name, "AAAA") == [web]
                assert dig(engine, "asker", name, "A") == [] and status(engine, "asker", name, "A") == "NOERROR"
            assert dig(engine, "asker", "-x", web) == ["web.six."]
            assert dig(engine, "asker", "_http._tcp.web", "SRV")[2] == "80"
            # As programs ask, and with what they do then.
            assert web in engine.berth("exec", "asker", "nslookup", "web").stdout
            assert engine.berth("exec", "asker", "ping", "-6", "-c", "1", "-W", "2", "app").returncode == 0
            # The host's resolver is reached although the container could not.
            wait_until("answer", lambda: dig(engine, "asker", "www.example") == ["9.8.7.6"])
    finally:
        remove(engine, "six")


# ---- sizes ----

RECORD, OPTION = 16, 11  # bytes of an address, and of EDNS


def check_sizes(ask, records):
    """Of an answer with so many addresses: its datagrams are as large as the client takes, to the last record."""
    reserve = RECORD + OPTION
    plain = ask("+noedns")
    assert plain.is_cut and 512 - reserve < plain.size <= 512 and plain.own_size is None and len(plain.records) < records
    # Less than 512 is nothing that a client may say.
    assert ask("+bufsize=100").size <= 512
    some = ask("+bufsize=700")
    assert some.is_cut and 700 - reserve < some.size <= 700 and len(plain.records) < len(some.records) < records
    whole = ask("+bufsize=4096")
    assert not whole.is_cut and whole.size > 700 and len(whole.records) == records
    by_tcp = ask("+noedns", "+tcp")
    assert not by_tcp.is_cut and sorted(by_tcp.records) == sorted(whole.records)
    return some.own_size, whole.own_size


def test_answers_of_names_are_as_large_as_the_client_takes(engine, back):
    run(engine, "asker", "--network", back)
    count = 45
    for number in range(count):
        engine.berth("run", "-d", "--name", f"n{number}", "--network", back, "--network-alias", "crowd", "busybox", "sleep", "3600")
    assert check_sizes(lambda *words: Answer(engine, "asker", *words, "crowd"), count) == (1232, 1232)


def test_answers_from_outside_are_as_large_as_the_client_takes(engine, back):
    with Nameserver("127.0.0.9"), host_resolver("nameserver 127.0.0.9\n"):
        run(engine, "asker", "--network", back)
        wait_until("answer", lambda: dig(engine, "asker", "www.example") == ["9.8.7.6"])
        check_sizes(lambda *words: Answer(engine, "asker", *words, "big.example"), 60)
