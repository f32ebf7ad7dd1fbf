"""Logging drivers that hand lines on to other programs: what these get, and what an engine's death costs (nothing)."""
import pathlib
import re
import socket

import pytest

from engine import wait_until
from log_receivers import Fluentd, Gelf, Receiver, Syslog, journald, rsyslogd, server_context

TWO_LINES = "echo to-out; echo to-err >&2"


def run(engine, driver, *options, script=TWO_LINES, name="talker", flags=("-d",)):
    words = [word for option in options for word in ("--log-opt", option)]
    return engine.berth("run", *flags, "--name", name, "--log-driver", driver, *words, "busybox", "sh", "-c", script)


def short_id(engine, name="talker"):
    return engine.inspect(name)["Id"][:12]


# ---- syslog ----

@pytest.mark.parametrize("kind", ["udp", "tcp", "unix", "unixgram"])
def test_syslog_in_its_own_form(engine, tmp_path, kind):
    path = pathlib.Path(f"/run/{kind}.sock") if kind.startswith("unix") else None
    with Syslog(kind, path) as server:
        address = f"{kind}://{path}" if path else f"{kind}://127.0.0.1:{server.port}"
        run(engine, "syslog", f"syslog-address={address}", "tag={{.Name}}/{{.ImageName}}")
        messages = [message.rstrip(b"\n").decode() for message in server.wait(2)]
        # What went away can be read here all the same.
        read = engine.berth("logs", "talker")
        assert sorted(read.stdout.split() + read.stderr.split()) == ["to-err", "to-out"]
    stamp = r"[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"<30>{stamp} talker/busybox\[\d+\]: to-out", next(m for m in messages if "out" in m))
    assert re.fullmatch(rf"<27>{stamp} talker/busybox\[\d+\]: to-err", next(m for m in messages if "err" in m))


@pytest.mark.parametrize("form,pattern", [
    ("rfc3164", r"<134>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d berth-test ID\[\d+\]: to-out"),
    ("rfc5424", r"<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) berth-test ID \d+ ID - to-out"),
    ("rfc5424micro", r"<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d) berth-test ID \d+ ID - to-out"),
])
def test_syslog_by_the_standards(engine, form, pattern):
    with Syslog("tcp") as server:
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{server.port}", f"syslog-format={form}", "syslog-facility=local0")
        message = next(m.decode() for m in server.wait(2) if b"to-out" in m)
    assert re.fullmatch(pattern.replace("ID", short_id(engine)), message), message


def test_syslog_over_tls_proves_who_is_there(engine, tmp_path):
    context, authority = server_context(tmp_path)
    with Syslog("tls", tls=context) as server:
        address = f"syslog-address=tcp+tls://127.0.0.1:{server.port}"
        run(engine, "syslog", address, f"syslog-tls-ca-cert={authority}", "syslog-format=rfc5424")
        assert {m.rstrip(b"\n").split()[-1] for m in server.wait(2)} == {b"to-out", b"to-err"}
        refused = engine.berth("run", "--name", "stranger", "--log-driver", "syslog", "--log-opt", address, "busybox", "true", check=False)
        assert refused.returncode == 125 and "failed to initialize logging driver" in refused.stderr and "tls" in refused.stderr
        run(engine, "syslog", address, "syslog-tls-skip-verify=1", name="careless")
        server.wait(4)


def test_rsyslog_takes_it(engine, tmp_path):
    out = tmp_path / "messages"
    with rsyslogd(tmp_path, out) as port:
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{port}", "syslog-format=rfc5424", "syslog-facility=mail", "tag=app",
            script="for i in $(seq 1000); do echo line $i; done; echo bad >&2")
        wait_until("all lines", lambda: out.exists() and len(out.read_text().splitlines()) >= 1001)
    lines = [line.split("|") for line in out.read_text().splitlines()]
    assert [line[3].strip() for line in lines if line[:3] == ["app", "mail", "info"]] == [f"line {i}" for i in range(1, 1001)]
    assert [line[3].strip() for line in lines if line[:3] == ["app", "mail", "err"]] == ["bad"]


# ---- gelf ----

@pytest.mark.parametrize("compression", [None, "gzip", "zlib", "none"])
def test_gelf_in_datagrams(engine, compression):
    with Gelf("udp") as server:
        more = [f"gelf-compression-type={compression}"] if compression else []
        script = f"{TWO_LINES}; echo; head -c 5000 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo"
        engine.berth("run", "-d", "--name", "talker", "--label", "role=web", "--label", "_own=1", "-e", "TIER=a",
                     "--log-driver", "gelf", "--log-opt", f"gelf-address=udp://127.0.0.1:{server.port}", "--log-opt", "labels=role,_own",
                     "--log-opt", "env-regex=^TI", "--log-opt", "tag=t-{{.ID}}", *[w for o in more for w in ("--log-opt", o)],
                     "busybox", "sh", "-c", script)
        messages = {m["short_message"][:6]: m for m in server.wait(3) if len(m["short_message"]) < 100 or not m.update(long=True)}
        long = next(m for m in server.messages if m.get("long"))
    inspected = engine.inspect("talker")
    out = messages["to-out"]
    assert out["version"] == "1.1" and out["host"] == "berth-test" and out["level"] == 6 and messages["to-err"]["level"] == 3
    assert out["_container_id"] == inspected["Id"] and out["_container_name"] == "talker" and out["_image_name"] == "busybox"
    assert out["_image_id"] == inspected["Image"] and out["_tag"] == "t-" + inspected["Id"][:12] and out["_command"].startswith("sh -c echo")
    assert out["_role"] == "web" and out["_own"] == "1" and out["_TIER"] == "a" and isinstance(out["timestamp"], float)
    assert long["short_message"] in engine.berth("logs", "talker").stdout.split("\n") and len(long["short_message"]) == 10000
    assert max(server.sizes) <= 1420  # so it came in pieces
    assert len(server.messages) == 3  # the empty line is left out


def test_gelf_over_a_stream(engine):
    with Gelf("tcp") as server:
        run(engine, "gelf", f"gelf-address=tcp://127.0.0.1:{server.port}")
        assert {m["short_message"] for m in server.wait(2)} == {"to-out", "to-err"}


# ---- fluentd ----

@pytest.mark.parametrize("options", [(), ("fluentd-sub-second-precision=true",), ("fluentd-request-ack=true",)])
def test_fluentd(engine, options):
    with Fluentd("tcp") as server:
        run(engine, "fluentd", f"fluentd-address=127.0.0.1:{server.port}", "tag=docker.{{.Name}}", *options,
            script=f"{TWO_LINES}; head -c 20000 /dev/zero | tr '\\0' x; echo")
        events = server.wait(4)
        assert (len(server.seen) > 0) == ("fluentd-request-ack=true" in options)
    assert {event[0] for event in events} == {"docker.talker"}
    record = next(event[2] for event in events if event[2]["log"] == "to-err")
    assert record == {"container_id": engine.inspect("talker")["Id"], "container_name": "/talker", "source": "stderr", "log": "to-err"}
    assert all(isinstance(event[1], float) == ("fluentd-sub-second-precision=true" in options) for event in events)
    parts = [event[2] for event in events if "partial_id" in event[2]]
    assert [(len(p["log"]), p["partial_ordinal"], p["partial_last"]) for p in parts] == [(16384, "1", "false"), (3616, "2", "true")]
    assert len({p["partial_id"] for p in parts}) == 1


def test_fluentd_over_a_unix_socket_that_is_not_there_yet(engine):
    path = pathlib.Path("/run/fluent.sock")
    refused = engine.berth("run", "-d", "--name", "impatient", "--log-driver", "fluentd", "--log-opt", f"fluentd-address=unix://{path}",
                           "busybox", "true", check=False)
    assert refused.returncode == 125 and "failed to initialize logging driver: dial unix /run/fluent.sock" in refused.stderr
    run(engine, "fluentd", f"fluentd-address=unix://{path}", "fluentd-async=true", "fluentd-retry-wait=50ms")
    wait_until("end", lambda: not engine.inspect("talker")["State"]["Running"])
    with Fluentd("unix", path) as server:
        assert {event[2]["log"] for event in server.wait(2)} == {"to-out", "to-err"}


def test_an_entry_without_acknowledgement_comes_again_by_the_same_name(engine):
    with Fluentd("tcp", acknowledge=False) as server:
        run(engine, "fluentd", f"fluentd-address=tcp://127.0.0.1:{server.port}", "fluentd-request-ack=true", "fluentd-retry-wait=50ms")
        wait_until("an entry", lambda: server.seen)
        for connection in list(server.connections):
            connection.shutdown(socket.SHUT_RDWR)
        server.acknowledge = True
        assert sorted(event[2]["log"] for event in server.wait(2)) == ["to-err", "to-out"]
        assert len(server.seen) >= 2 and server.seen[0] == server.seen[1]


WAITING = "for i in $(seq 1000); do echo number $i; done; echo x > /tmp/done; while [ ! -e /tmp/go ]; do usleep 20000; done; echo after; sleep 1000"


def wait_for(engine, path):
    wait_until(path, lambda: engine.berth("exec", "talker", "test", "-e", path, check=False).returncode == 0)


def free_port():
    server = Receiver("tcp")
    server.close()
    return server.port


def test_a_fluentd_that_was_away_gets_no_more_than_the_buffer_holds(engine):
    port = free_port()
    run(engine, "fluentd", f"fluentd-address=127.0.0.1:{port}", "fluentd-async=true", "fluentd-buffer-limit=100", "fluentd-retry-wait=50ms",
        script=WAITING)
    wait_for(engine, "/tmp/done")
    with Fluentd("tcp", port=port) as server:
        server.wait(100)
        wait_until("word of what was lost", lambda: '"lines": "900"' in engine.log() or "lines=900" in engine.log())
        engine.berth("exec", "talker", "touch", "/tmp/go")
        lines = [event[2]["log"] for event in server.wait(101)]
    assert lines == [*(f"number {i}" for i in range(1, 101)), "after"]


def test_without_async_all_of_it_waits(engine):
    """As with Docker the limit is one of the background's."""
    with Fluentd("tcp") as server:
        port = server.port
        run(engine, "fluentd", f"fluentd-address=127.0.0.1:{port}", "fluentd-buffer-limit=100", "fluentd-retry-wait=50ms",
            script=f"echo first; while [ ! -e /tmp/start ]; do usleep 20000; done; {WAITING}")
        server.wait(1)
    engine.berth("exec", "talker", "touch", "/tmp/start", "/tmp/go")
    wait_for(engine, "/tmp/done")
    with Fluentd("tcp", port=port) as server:
        wait_until("the last line", lambda: server.messages and server.messages[-1][2]["log"] == "after")
        assert len({event[2]["log"] for event in server.messages}) == 1001


def test_a_container_does_not_wait_for_a_fluentd_in_the_background(engine):
    run(engine, "fluentd", f"fluentd-address=127.0.0.1:{free_port()}", "fluentd-async=true", "cache-max-size=100k", "cache-max-file=2",
        script="for i in $(seq 30000); do echo number $i; done; echo x > /tmp/done; sleep 1000")
    wait_for(engine, "/tmp/done")


def test_fluentd_is_connected_to_anew(engine):
    with Fluentd("tcp") as server:
        run(engine, "fluentd", f"fluentd-address=127.0.0.1:{server.port}", "fluentd-async=true", "fluentd-async-reconnect-interval=100ms",
            script="for i in 1 2 3; do echo $i; usleep 300000; done")
        assert [event[2]["log"] for event in server.wait(3)] == ["1", "2", "3"]
        assert len(server.connections) >= 3


def test_fluentd_has_so_long_to_acknowledge(engine):
    with Fluentd("tcp", acknowledge=False) as server:
        run(engine, "fluentd", f"fluentd-address=127.0.0.1:{server.port}", "fluentd-request-ack=true", "fluentd-read-timeout=100ms",
            "fluentd-retry-wait=50ms")
        wait_until("the entry again", lambda: len(server.seen) >= 2, 8)  # ten seconds without the option
        server.acknowledge = True
        server.wait(2)


# ---- journald ----

def test_journald(engine):
    path = pathlib.Path("/run/systemd/journal/socket")
    refused = engine.berth("run", "--name", "early", "--log-driver", "journald", "busybox", "true", check=False)
    assert refused.returncode == 125 and "journald is not enabled on this host" in refused.stderr
    path.parent.mkdir(parents=True, exist_ok=True)
    with Receiver("unixgram", path) as server:
        engine.berth("run", "-d", "--name", "talker", "--label", "com.example/role=web", "--log-driver", "journald",
                     "--log-opt", "labels=com.example/role", "busybox", "sh", "-c", TWO_LINES)
        entries = [dict(line.split("=", 1) for line in m.decode().splitlines()) for m in server.wait(2)]
    container = engine.inspect("talker")["Id"]
    out = next(entry for entry in entries if entry["MESSAGE"] == "to-out")
    assert out["PRIORITY"] == "6" and next(e for e in entries if e["MESSAGE"] == "to-err")["PRIORITY"] == "3"
    assert out["CONTAINER_ID_FULL"] == container and out["CONTAINER_ID"] == out["CONTAINER_TAG"] == out["SYSLOG_IDENTIFIER"] == container[:12]
    assert out["CONTAINER_NAME"] == "talker" and out["IMAGE_NAME"] == "busybox" and out["COM_EXAMPLE_ROLE"] == "web"


def test_journald_itself(engine):
    with journald() as entries:
        run(engine, "journald", script="for i in $(seq 1000); do echo line $i; done; head -c 20000 /dev/zero | tr '\\0' x; echo; echo bad >&2", name="recorded")
        wait_until("all lines", lambda: len(entries("CONTAINER_NAME=recorded")) >= 1003)
        found = entries("CONTAINER_NAME=recorded")
    assert [e["MESSAGE"] for e in found if e["PRIORITY"] == "6"][:1000] == [f"line {i}" for i in range(1, 1001)]
    assert [e["MESSAGE"] for e in found if e["PRIORITY"] == "3"] == ["bad"]
    assert [len(e["MESSAGE"]) for e in found if "CONTAINER_PARTIAL_MESSAGE" in e] == [16384]
    assert {e["CONTAINER_ID_FULL"] for e in found} == {engine.inspect("recorded")["Id"]} and {e["SYSLOG_IDENTIFIER"] for e in found} == {short_id(engine, "recorded")}


# ---- what can go wrong ----

@pytest.mark.parametrize("driver,options,message", [
    ("syslog", ["syslog-address=localhost:514"], "unsupported scheme: 'localhost'"),
    ("syslog", ["syslog-facility=nowhere"], "invalid syslog facility"),
    ("syslog", ["syslog-format=xml"], "Invalid syslog format"),
    ("syslog", ["max-size=1m"], "unknown log opt 'max-size' for syslog log driver"),
    ("gelf", [], "gelf-address is a required parameter"),
    ("gelf", ["gelf-address=http://x:1"], "gelf: endpoint needs to be TCP or UDP"),
    ("gelf", ["gelf-address=udp://x"], "gelf: please provide gelf-address as proto://host:port"),
    ("gelf", ["gelf-address=udp://x:1", "gelf-compression-level=11"], 'unknown value "11" for log opt "gelf-compression-level" for gelf log driver'),
    ("gelf", ["gelf-address=tcp://x:1", "gelf-compression-type=gzip"], "compression is only supported on UDP"),
    ("fluentd", ["fluentd-async-connect=true"], "unknown log opt 'fluentd-async-connect' for fluentd log driver"),
    ("fluentd", ["fluentd-retry-wait=x"], "x"),
    ("fluentd", ["fluentd-address=ftp://x"], "unsupported scheme"),
    ("fluentd", ["fluentd-buffer-limit=much"], "invalid size: 'much'"),
    ("fluentd", ["fluentd-async-reconnect-interval=1m"], "must be between 100ms and 10s"),
    ("fluentd", ["fluentd-write-timeout=-1s"], "negative"),
    ("journald", ["a=b"], "unknown log opt 'a' for journald log driver"),
    ("json-file", ["mode=never"], "logger: logging mode not supported: never"),
    ("json-file", ["max-buffer-size=1m"], "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
    ("local", ["what=1"], "unknown log opt 'what' for log driver local"),
])
def test_options_are_refused_by_their_names(engine, driver, options, message):
    words = [word for option in options for word in ("--log-opt", option)]
    done = engine.berth("create", "--log-driver", driver, *words, "busybox", check=False)
    assert done.returncode != 0 and message in done.stderr, done.stderr


@pytest.mark.parametrize("driver,options,message", [
    ("json-file", ["max-file=0"], "max-file cannot be less than 1"),
    ("json-file", ["compress=true"], "compress cannot be true when max-file is less than 2 or max-size is not set"),
    ("json-file", ["tag={{.Nothing}}"], '".Nothing" is not known in a log tag'),
    ("json-file", ["labels-regex=("], "error parsing regexp"),
    ("awslogs", [], "the log driver 'awslogs' is not part of this engine"),
    ("splunk", [], "the log driver 'splunk' is not part of this engine"),
])
def test_what_dockerd_refuses_only_at_the_start_is_refused_at_once(engine, driver, options, message):
    test_options_are_refused_by_their_names(engine, driver, options, message)


def test_a_server_that_goes_away_gets_the_rest_when_it_is_back(engine):
    with Syslog("tcp") as server:
        port = server.port
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{port}",
            script="echo first; while [ ! -e /tmp/go ]; do usleep 20000; done; for i in $(seq 500); do echo n$i; done; sleep 1000")
        server.wait(1)
    engine.berth("exec", "talker", "touch", "/tmp/go")
    wait_until("output", lambda: "n500\n" in engine.berth("logs", "talker").stdout)
    with Syslog("tcp", port=port) as server:
        messages = server.wait(500)
    assert [m.split()[-1].decode() for m in messages] == [f"n{i}" for i in range(1, 501)]


def test_cache_disabled(engine):
    with Syslog("tcp") as server:
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{server.port}", "cache-disabled=true")
        server.wait(2)
        refused = engine.berth("logs", "talker", check=False)
    assert refused.returncode != 0 and "configured logging driver does not support reading" in refused.stderr


def test_killed_engines_lose_and_double_nothing_that_was_acknowledged(fresh_engine):
    engine, count = fresh_engine, 60000
    with Fluentd("tcp") as server:
        run(engine, "fluentd", f"fluentd-address=127.0.0.1:{server.port}", "fluentd-request-ack=true", "fluentd-retry-wait=50ms", "tag=t",
            script=f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; done")
        for part in (1, 2, 3, 4):
            wait_until("lines", lambda: len(server.messages) > count * part // 6, 120)
            engine.kill()
            engine.start()
        wait_until("the last line", lambda: server.messages[-1][2]["log"] == f"line {count}", 240)
    seen = [event[2]["log"] for event in server.messages]
    numbers = [int(line.split()[1]) for line in seen]
    assert sorted(set(numbers)) == list(range(1, count + 1))
    # Only a batch whose acknowledgement the killed engine did not note may come twice: one for each kill.
    again = [b for a, b in zip(numbers, numbers[1:]) if b != a + 1]
    assert len(again) <= 4 and len(numbers) - count <= 4 * 50000


def test_the_last_lines_of_a_container_that_removes_itself(engine):
    with Syslog("tcp") as server:
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{server.port}", name="brief", flags=("-d", "--rm"),
            script="for i in $(seq 2000); do echo n$i; done; printf end")
        messages = server.wait(2001)
    assert messages[-1].endswith(b": end") and len(messages) == 2001


def test_blocking_waits_for_the_server_and_loses_nothing(engine):
    """So much is written that it does not fit into the files that are kept: the container waits."""
    server = Receiver("tcp")
    port = server.port
    server.close()
    options = [f"syslog-address=tcp://127.0.0.1:{port}", "cache-max-size=100k", "cache-max-file=2"]
    with Syslog("tcp", port=port) as server:
        run(engine, "syslog", *options,
            script="echo first; while [ ! -e /tmp/go ]; do usleep 20000; done; for i in $(seq 30000); do echo number $i; done; echo last >/tmp/done; sleep 1000")
        server.wait(1)
    engine.berth("exec", "talker", "touch", "/tmp/go")
    folder = pathlib.Path(engine.inspect("talker")["LogPath"])
    sizes = lambda: sum(path.stat().st_size for path in folder.glob("log.*"))  # noqa: E731
    wait_until("full files", lambda: sizes() > 100_000)
    done = lambda: engine.berth("exec", "talker", "test", "-e", "/tmp/done", check=False).returncode == 0  # noqa: E731
    assert not done() and sizes() < 400_000
    with Syslog("tcp", port=port) as server:
        messages = server.wait(30000, 120)
        wait_until("end", done)
    assert [int(m.split()[-1]) for m in messages[:30000]] == list(range(1, 30001))


def test_non_blocking_drops_the_oldest(engine):
    with Syslog("tcp") as server:
        port = server.port
        run(engine, "syslog", f"syslog-address=tcp://127.0.0.1:{port}", "cache-max-size=100k", "cache-max-file=2", "mode=non-blocking",
            script="echo first; while [ ! -e /tmp/go ]; do usleep 20000; done; for i in $(seq 30000); do echo number $i; done; echo x > /tmp/done; sleep 1000")
        server.wait(1)
    engine.berth("exec", "talker", "touch", "/tmp/go")
    wait_until("end", lambda: engine.berth("exec", "talker", "test", "-e", "/tmp/done", check=False).returncode == 0)
    with Syslog("tcp", port=port) as server:
        wait_until("the last line", lambda: server.messages and server.messages[-1].endswith(b"number 30000"))
        numbers = [int(m.split()[-1]) for m in server.messages]
    # What was read for the server already comes first, then what is left.
    assert numbers == sorted(set(numbers)) and numbers[0] == 1 and numbers[-1] == 30000 and len(numbers) < 30000
    assert "log lines were dropped" in engine.log()
