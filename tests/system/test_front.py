"""berth-front: attached sessions with TLS and over websockets outlive the engine, and what happens to the front itself."""
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import Authority
from crowds import assert_served, many_files, resident  # noqa: F401 (a fixture)
from debian_module import debian_module
from engine import BIN, DEADLINE, SANITIZED, Engine, Terminal, is_connected, wait_until
from remote import Remote, descriptors_of, free_port, front_of, fronts_of, is_running, tls_flags
from test_outliving import install, upgrade

CLIENTS = pytest.mark.parametrize("client", ["docker", "berth"])
STREAMS = "stream=1&stdin=1&stdout=1&stderr=1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def module_remote(tmp_path_factory, rootfs_tar, authority):
    port, server, client = free_port(), authority.server(), authority.client()
    with Engine(tmp_path_factory.mktemp("engine"), "--live-restore", *tls_flags(port, server)) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield Remote(engine, port, server, client)


@pytest.fixture
def remote(module_remote):
    engine = module_remote.engine
    yield module_remote
    if engine.process is None or engine.process.poll() is not None:
        engine.start()
    engine.programs = BIN
    engine.remove_all()


@pytest.fixture
def host(remote):
    remote.engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    return "host"


def killed(engine, _folder):
    engine.kill()
    yield
    engine.start()
    yield


def ended(engine, _folder):
    engine.process.terminate()  # and --live-restore
    engine.process.wait(DEADLINE)
    yield
    engine.start()
    yield


def upgraded(engine, folder):
    installed = install(folder / "installed")
    engine.stop()
    yield
    engine.programs = installed
    engine.start()
    upgrade(engine, installed)
    yield


ENDS = pytest.mark.parametrize("end", [killed, ended, upgraded])


class Typist:
    """Types into a shell and reads its answers, on a terminal."""

    def __init__(self, terminal):
        self.terminal, self.number = terminal, 0

    def ask(self):
        self.number += 1
        self.terminal.send(f"echo answer$((1000 + {self.number}))\n")
        self.terminal.expect(f"answer{1000 + self.number}")


@CLIENTS
@ENDS
def test_an_exec_on_a_terminal(remote, host, client, end, tmp_path):
    engine, front = remote.engine, front_of(remote.engine)
    terminal = Terminal(remote.command(client, "exec", "-it", host, "sh"), engine.environment)
    terminal.expect("# ")
    typist = Typist(terminal)
    typist.ask()
    steps = end(engine, tmp_path)
    next(steps)
    typist.ask()  # there is no engine
    next(steps)
    typist.ask()
    terminal.send("exit 7\n")
    assert terminal.wait() == 7
    assert front_of(engine) != front
    wait_until("end of the front", lambda: not is_running(front))


@CLIENTS
def test_a_run_on_a_terminal(remote, client):
    engine = remote.engine
    terminal = Terminal(remote.command(client, "run", "-it", "--name", "shell", "busybox", "sh"), engine.environment)
    terminal.expect("# ")
    typist = Typist(terminal)
    typist.ask()
    for _ in range(2):
        engine.kill()
        typist.ask()
        engine.start()
        typist.ask()
    terminal.send("exit 9\n")
    code = terminal.wait()
    assert client == "docker" or code == 9  # docker does not ask again what the container's exit code is
    assert wait_until("end", lambda: not engine.inspect("shell")["State"]["Running"])
    assert engine.inspect("shell")["State"]["ExitCode"] == 9


@CLIENTS
def test_an_attach_without_a_terminal(remote, client):
    engine = remote.engine
    engine.berth("run", "-di", "--name", "echoes", "busybox", "sh", "-c", "while read line; do echo out $line; echo err $line >&2; done")
    with subprocess.Popen(remote.command(client, "attach", "echoes"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=engine.environment) as attached:
        def ask(word):
            attached.stdin.write(word + b"\n")
            attached.stdin.flush()
            assert attached.stdout.readline() == b"out " + word + b"\n"
            assert b"err " + word + b"\n" == attached.stderr.readline()
        ask(b"first")
        engine.kill()
        os.kill(front_of_gone(engine), signal.SIGTERM)  # it is not for whoever ends the engine's processes by their group
        ask(b"second")
        large = b"x" * 3000
        for _ in range(100):
            ask(large)
        engine.start()
        ask(b"third")
        attached.kill()


def front_of_gone(engine):
    """Of an engine that was killed: its child is another's now."""
    return wait_until("front", lambda: [pid for pid in fronts_of(1) if is_running(pid)])[-1]


def connect(remote, kind, container):
    websocket = debian_module("python3-websocket", "websocket")
    target = f"/v1.51/containers/{container}/attach/ws?{STREAMS}"
    if kind == "wss":
        return websocket.create_connection(f"wss://localhost:{remote.port}{target}", timeout=DEADLINE, suppress_origin=True,
                                           sslopt=remote.ssl_options())
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(remote.engine.socket))
    return websocket.create_connection(f"ws://localhost{target}", socket=connection, timeout=DEADLINE, suppress_origin=True)


@pytest.mark.parametrize("kind", ["ws", "wss"])
@ENDS
def test_a_websocket(remote, kind, end, tmp_path):
    engine = remote.engine
    engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    client = connect(remote, kind, "shell")

    def ask(number):
        client.send(f"echo $((6 * {number}))\n")
        assert client.recv() == f"{6 * number}\n".encode()
    ask(7)
    steps = end(engine, tmp_path)
    next(steps)
    ask(8)
    client.ping("are you there")
    assert client.recv_data(control_frame=True) == (10, b"are you there")
    next(steps)
    ask(9)
    client.send("exit 4\n")
    code, reason = client.recv_data()
    assert code == 8 and struct.unpack("!H", reason[:2])[0] == 1000
    wait_until("end", lambda: not engine.inspect("shell")["State"]["Running"])
    assert engine.inspect("shell")["State"]["ExitCode"] == 4


def test_a_websocket_without_tls_starts_a_front(fresh_engine):
    """And without one there is none."""
    engine = fresh_engine
    engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    assert fronts_of(engine.process.pid) == []
    client = connect(Remote(engine, 0, None, None), "ws", "shell")
    front = front_of(engine)
    engine.kill()
    client.send("echo $((6 * 7))\n")
    assert client.recv() == b"42\n"
    client.close(timeout=DEADLINE)
    wait_until("end of the front", lambda: not is_running(front))
    engine.start()
    assert fronts_of(engine.process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_without_sessions_nothing_is_left_of_it(remote, number):
    engine = remote.engine
    remote.run("berth", "ps")
    front = front_of(engine)
    with socket.create_connection(("127.0.0.1", remote.port), DEADLINE) as silent, \
            subprocess.Popen(remote.command("berth", "events"), env=engine.environment) as waits:
        try:
            wait_until("connection", lambda: is_connected(waits.pid))
            engine.process.send_signal(number)
            engine.process.wait(DEADLINE)
            assert silent.recv(1) == b""
            wait_until("end of the front", lambda: not is_running(front), 5)
        finally:
            waits.kill()


def test_a_killed_front_is_replaced(remote, host):
    engine, front = remote.engine, front_of(remote.engine)
    with subprocess.Popen(remote.command("docker", "exec", "-i", host, "sh", "-c", "echo up; cat"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=engine.environment) as lost:
        assert lost.stdout.readline() == b"up\n"
        os.kill(front, signal.SIGKILL)
        assert lost.wait(DEADLINE) != 0 or lost.stdout.read() == b""
        lost.stdin.close()
    assert remote.run("docker", "exec", "-i", host, "cat", input="text").stdout == "text"
    assert remote.run("berth", "ps", "-q").stdout
    wait_until("one front", lambda: len(fronts_of(engine.process.pid)) == 1)
    assert front_of(engine) != front
    assert "berth-front has ended" in engine.log()
    # At once, too, and with every connection that comes then.
    for _ in range(3):
        os.kill(front_of(engine), signal.SIGKILL)
        wait_until("another", lambda: remote.run("berth", "ps", "-q", check=False).returncode == 0)
    wait_until("one front", lambda: len(fronts_of(engine.process.pid)) == 1)


def test_renewed_certificates(module_remote, authority, tmp_path, rootfs_tar):
    server, port = authority.server("renewed"), free_port()
    with Engine(tmp_path, *tls_flags(port, server)) as engine:
        def serial():
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", f"{module_remote.client}/cert.pem", "-key",
                                   f"{module_remote.client}/key.pem"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
            assert "-----BEGIN CERTIFICATE-----" in done.stdout, done.stderr
            return done.stdout.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
        before = serial()
        again = authority.server("renewed-again")
        (server / "cert.pem").write_text((again / "cert.pem").read_text())  # the key does not fit yet: the old pair stays
        time_of_half = time.monotonic()
        wait_until("look at the files", lambda: serial() == before and time.monotonic() - time_of_half > 1.5)
        (server / "key.pem").write_text((again / "key.pem").read_text())
        wait_until("new certificate", lambda: serial() != before)
        front = front_of(engine)
        os.kill(front, signal.SIGKILL)
        wait_until("another front", lambda: fronts_of(engine.process.pid) not in ([], [front]))
        assert serial() != before  # the next front has the new one, too


@pytest.mark.skipif(SANITIZED, reason="the sanitizers need calls that it gives up")
def test_it_has_no_privileges_and_nothing_of_the_engine(remote, host):
    engine, front = remote.engine, front_of(remote.engine)
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{front}/status").read_text().splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"], status["SigBlk"]) == ("1", "2", "0" * 16)
    for task in pathlib.Path(f"/proc/{front}/task").iterdir():
        assert "Seccomp:\t2" in (task / "status").read_text()
    assert os.getsid(front) == front and os.readlink(f"/proc/{front}/cwd") == "/"
    for number, target in descriptors_of(front).items():
        assert number > 2 or target == "/dev/null"
        assert number <= 2 or target.startswith(("socket:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]")), target
    listening = subprocess.run(["ss", "-lxtnpH"], capture_output=True, text=True).stdout
    assert "berth-front" not in listening


def assert_others_are_served(remote, count=20):
    context = ssl.create_default_context(cafile=f"{remote.client}/ca.pem")
    context.load_cert_chain(f"{remote.client}/cert.pem", f"{remote.client}/key.pem")

    def connect():
        raw = socket.create_connection(("127.0.0.1", remote.port), DEADLINE)
        return context.wrap_socket(raw, server_hostname="localhost")

    assert_served(connect, count)


@pytest.mark.parametrize("words", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x00\x05hello"],
                         ids=["silent", "half-a-hello", "no-hello"])
def test_ten_thousand_that_never_shake_hands(many_files, module_remote, authority, tmp_path, rootfs_tar, words):
    server, port = module_remote.server, free_port()
    with Engine(tmp_path, *tls_flags(port, server)) as engine:
        remote = Remote(engine, port, server, module_remote.client)
        assert_others_are_served(remote, 3)
        before, front = resident(engine.process.pid), front_of(engine)
        clients = []
        try:
            for _ in range(10_000):
                clients.append(socket.create_connection(("127.0.0.1", port), DEADLINE))
                if words:
                    clients[-1].sendall(words)
            assert_others_are_served(remote)
            assert front_of(engine) == front
            assert resident(engine.process.pid) < before + 64
            # What OpenSSL holds once somebody has begun to speak is about 45 KiB.
            assert SANITIZED or resident(front) < (500 if words else 32)
            wait_until("room", lambda: len(descriptors_of(front)) < 2 * 8192 + 100)
            assert clients[0].recv(100)[:1] in (b"", b"\x15")  # closed, or told why
        finally:
            for client in clients:
                client.close()
        wait_until("end of the connections", lambda: len(descriptors_of(front)) < 50 and len(descriptors_of(engine.process.pid)) < 500)
        assert_others_are_served(remote)
        assert SANITIZED or resident(front) < 64


def test_clients_that_vanish_in_the_middle(remote):
    front = front_of(remote.engine)
    before = len(descriptors_of(front))
    context = ssl.create_default_context(cafile=f"{remote.client}/ca.pem")
    context.load_cert_chain(f"{remote.client}/cert.pem", f"{remote.client}/key.pem")
    for request in (b"", b"GE", b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000)):
        for reset in (False, True):
            for _ in range(20):
                client = context.wrap_socket(socket.create_connection(("127.0.0.1", remote.port), DEADLINE), server_hostname="localhost")
                client.sendall(request)
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
    wait_until("end of the connections", lambda: len(descriptors_of(front)) <= before + 2)
    assert_others_are_served(remote)
