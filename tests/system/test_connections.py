"""Clients that are slow, silent, gone or too many: the engine's memory stays bounded and others notice nothing."""
import os
import pathlib
import signal
import socket
import subprocess

import pytest

from crowds import assert_served, many_files, resident  # noqa: F401 (a fixture)
from engine import BIN, DEADLINE, SANITIZED, Engine, wait_until

CREATE = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def connect(engine):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(engine.socket))  # waits for its turn, which one with a time limit does not
    connection.settimeout(DEADLINE)
    return connection


def assert_others_are_served(engine, count=20):
    assert_served(lambda: connect(engine), count)


def test_ten_thousand_connections(fresh_engine, many_files):
    engine = fresh_engine
    before = resident(engine.process.pid)
    silent = [connect(engine) for _ in range(10_000)]
    try:
        assert_others_are_served(engine)
        assert resident(engine.process.pid) < before + 64
        # Those that were given up, the longest idle, are closed; the last ones are not.
        silent[0].setblocking(False)
        assert silent[0].recv(1) == b""
        silent[-1].sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert silent[-1].recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        for connection in silent:
            connection.close()
    wait_until("end of the connections", lambda: len(os.listdir(f"/proc/{engine.process.pid}/fd")) < 500)
    assert_others_are_served(engine)


@pytest.mark.parametrize("part", [
    b"GE", b"GET /containers/json HTTP/1.1\r\nHost: x\r\n",
    CREATE + b"Content-Length: 100\r\n\r\n{\"Image\":",
    CREATE + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{\"Ima",
    b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + bytes(1000),
], ids=["method", "head", "body", "chunk", "upload"])
def test_half_requests(engine, part):
    before = resident(engine.process.pid)
    clients = [connect(engine) for _ in range(300)]
    for client in clients:
        client.sendall(part)
    assert_others_are_served(engine)
    assert resident(engine.process.pid) < before + 128
    for client in clients[:150]:
        client.close()
    assert_others_are_served(engine)
    for client in clients[150:]:
        client.close()


def test_header_floods(engine):
    before = resident(engine.process.pid)
    flood = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 200) for i in range(250))
    clients = [connect(engine) for _ in range(2_000 if os.environ.get("BERTH_BUILD", "").endswith("release") else 1_500)]
    for client in clients:
        client.setblocking(False)
        try:
            client.sendall(flood)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass  # refused already
    assert_others_are_served(engine)
    assert resident(engine.process.pid) < before + 200  # they sent 100 MiB
    for client in clients:
        client.close()
    for extra, status in ((b"X: " + b"y" * 70_000 + b"\r\n", b"431"), (b"".join(b"X-%d: y\r\n" % i for i in range(300)), b"431")):
        with connect(engine) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + extra + b"\r\n")
            assert client.recv(100).split()[1] == status


def test_readers_that_stop(engine):
    """Events and logs for clients that do not read them."""
    engine.berth("run", "-d", "--name", "talks", "busybox", "sh", "-c", "while true; do echo 0123456789012345678901234567890123456789; done")
    before = resident(engine.process.pid)
    clients = []
    for target in ("/events", "/containers/talks/logs?follow=1&stdout=1", "/containers/talks/stats"):
        for _ in range(20):
            client = connect(engine)
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            clients.append(client)
    for _ in range(20):
        engine.berth("create", "--name", "comes-and-goes", "busybox")
        engine.berth("rm", "comes-and-goes")
    assert_others_are_served(engine)
    kept_by_the_checker = 300 if SANITIZED else 0  # of what was freed
    assert resident(engine.process.pid) < before + 150 + kept_by_the_checker
    for client in clients:
        client.close()


def test_clients_that_vanish_in_the_middle(engine):
    engine.berth("create", "--name", "kept", "busybox")
    for target, method in (("/containers/kept/export", b"GET"), ("/images/busybox/get", b"GET"), ("/containers/kept/wait", b"POST"),
                           ("/events", b"GET")):
        for _ in range(50):
            client = connect(engine)
            client.sendall(method + b" " + target.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            client.close()
    assert_others_are_served(engine)
    wait_until("end of the requests", lambda: len(os.listdir(f"/proc/{engine.process.pid}/fd")) < 200)


def test_no_request_from_a_container(fresh_engine):
    """The engine listens on nothing that a container's network reaches: no abstract socket, no address."""
    engine = fresh_engine
    inodes = set()
    for fd in pathlib.Path(f"/proc/{engine.process.pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for line in pathlib.Path(f"/proc/{engine.process.pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        listens = fields[3] == "00010000"
        assert not (listens and fields[6] in inodes and len(fields) > 7 and fields[7].startswith("@")), line
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{engine.process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            assert not (fields[3] == "0A" and fields[9] in inodes), line


def test_addresses_that_containers_reach_are_warned_of(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Engine(tmp_path, f"--host=tcp://0.0.0.0:{port}", "--tls=false") as engine:
        assert "without --tlsverify is insecure" in engine.log()
        assert "containers reach this address too" in engine.log()
        warnings = engine.request("GET", "/info")[1]["Warnings"]
        assert any(f"API is accessible on http://0.0.0.0:{port} without encryption" in warning for warning in warnings)


def test_sockets_that_were_passed(tmp_path):
    """As systemd passes them (fd://): a unix socket, and one of TCP."""
    passed = socket.socket(socket.AF_UNIX)
    path = tmp_path / "passed.sock"
    passed.bind(str(path))
    passed.listen()
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify.sock"))
        notified.settimeout(DEADLINE)
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        base = Engine(tmp_path)
        flags = [flag for flag in base.flags if not flag.startswith("--host")]
        # The shell's own number is the one that LISTEN_PID must have.
        command = 'export LISTEN_PID=$$ LISTEN_FDS=2; exec 3<&"$0" 4<&"$1"; shift; exec "$@"'
        with open(tmp_path / "berthd.log", "ab") as log, subprocess.Popen(
                ["bash", "-c", command, str(passed.fileno()), str(tcp.fileno()), str(BIN / "berthd"), "--host=fd://", "--tls=false", *flags],
                pass_fds=[passed.fileno(), tcp.fileno()], env=dict(base.environment, NOTIFY_SOCKET=str(tmp_path / "notify.sock")), stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            try:
                base.process, base.socket = process, path
                assert notified.recv(100) == b"READY=1"  # systemd's Type=notify
                assert base.answers()
                with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
                    client.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
                process.send_signal(signal.SIGHUP)
                assert notified.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert notified.recv(100) == b"READY=1"
                process.terminate()
                assert notified.recv(100) == b"STOPPING=1"
                assert process.wait(DEADLINE) == 0
            finally:
                process.kill()
    assert path.exists()  # it is systemd's
    passed.close()
    done = subprocess.run([str(BIN / "berthd"), "--host=fd://", *flags], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and "no sockets found via socket activation" in done.stderr, done.stderr
