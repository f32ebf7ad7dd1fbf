"""The engine's TCP socket with TLS and client certificates: docker, berth and websockets over it."""
import hashlib
import json
import os
import subprocess

import pytest

from certificates import Authority
from debian_module import debian_module
from engine import BIN, DEADLINE, Engine, Terminal, docker_client, is_connected, wait_until
from remote import Remote, descriptors_of, free_port, front_of, tls_flags


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def remote(tmp_path_factory, rootfs_tar, authority):
    port, server, client = free_port(), authority.server(), authority.client()
    with Engine(tmp_path_factory.mktemp("engine"), *tls_flags(port, server)) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield Remote(engine, port, server, client)


@pytest.fixture(autouse=True)
def nothing_left(request):
    yield
    if "remote" in request.fixturenames:
        engine = request.getfixturevalue("remote").engine
        left = engine.berth("ps", "-aq").stdout.split()
        if left:
            engine.berth("rm", "-f", "-v", *left)


CLIENTS = pytest.mark.parametrize("client", ["docker", "berth"])


@CLIENTS
def test_runs_with_input_and_exit_code(remote, client):
    done = remote.run(client, "run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo error >&2; exit 7", input="typed\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "error\n")


@CLIENTS
def test_a_terminal(remote, client):
    program = docker_client() if client == "docker" else BIN / "berth"
    terminal = Terminal([program, *remote.flags(), "run", "-it", "--rm", "busybox", "sh"], remote.engine.environment)
    terminal.expect("# ")
    terminal.send("echo $((6 * 7)); stty size\n")
    terminal.expect("42")
    terminal.expect("40 132")
    rows = 20

    def resized():
        """docker may lose the first of them: it asks for the signal a moment after the program runs."""
        nonlocal rows
        rows += 1
        terminal.resize(rows, 70)
        terminal.send("stty size\n")
        try:
            terminal.expect(f"{rows} 70", deadline=2)
            return True
        except AssertionError:
            return False

    wait_until("new size", resized)
    terminal.send("exit 5\n")
    assert terminal.wait() == 5


@CLIENTS
def test_exec_gets_all_of_its_input_and_gives_all_of_its_output(remote, client):
    remote.engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    data = os.urandom(3_000_000)
    done = subprocess.run([docker_client() if client == "docker" else str(BIN / "berth"), *remote.flags(), "exec", "-i", "host", "cat"],
                          input=data, capture_output=True, env=remote.engine.environment, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    done = remote.run(client, "exec", "host", "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")


@CLIENTS
def test_follows_a_log(remote, client):
    remote.engine.berth("run", "-di", "--name", "talks", "busybox", "sh", "-c", "echo first; cat")
    program = docker_client() if client == "docker" else str(BIN / "berth")
    with subprocess.Popen([program, *remote.flags(), "logs", "-f", "talks"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          env=remote.engine.environment) as follower:
        assert follower.stdout.readline() == b"first\n"
        attached = subprocess.Popen([program, *remote.flags(), "attach", "talks"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                    env=remote.engine.environment)
        attached.stdin.write(b"second\n")
        attached.stdin.flush()
        assert follower.stdout.readline() == b"second\n"
        remote.engine.berth("kill", "talks")
        assert follower.stdout.read() == b""
        attached.communicate(timeout=DEADLINE)


@pytest.fixture
def clients(remote):
    """Starts clients over TLS that end with the test."""
    started = []

    def start(*words):
        started.append(subprocess.Popen([str(BIN / "berth"), *remote.flags(), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, env=remote.engine.environment, text=True))
        wait_until("connection", lambda: is_connected(started[-1].pid))
        return started[-1]
    yield start
    for client in started:
        client.kill()
        client.communicate()


def test_who_waits_and_follows_goes_on_with_the_next_engine(remote, clients):
    engine = remote.engine
    engine.berth("run", "-di", "--name", "talks", "busybox", "sh", "-c", "echo first; while read line; do echo $line; done")
    waits, events = clients("wait", "talks"), clients("events", "--filter", "event=die", "--format", "{{json .}}")
    logs = clients("logs", "-f", "talks")
    assert logs.stdout.readline() == "first\n"
    attached = subprocess.Popen([BIN / "berth", "attach", "talks"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=engine.environment)
    for word in ("second", "third", "fourth"):
        attached.stdin.write(f"{word}\n".encode())
        attached.stdin.flush()
        if word != "second":  # which shows that it is attached
            engine.start()
        assert logs.stdout.readline() == f"{word}\n"
        if word != "fourth":
            engine.kill()
    engine.berth("kill", "talks")
    attached.communicate(timeout=DEADLINE)
    assert attached.returncode == 137
    assert logs.stdout.read() == "" and logs.wait(DEADLINE) == 0
    assert waits.communicate(timeout=DEADLINE)[0] == "137\n"
    assert json.loads(events.stdout.readline())["Actor"]["ID"] == engine.inspect("talks")["Id"]


@CLIENTS
def test_builds_saves_and_loads(remote, client, tmp_path):
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM busybox\nCOPY large /large\nRUN wc -c /large > /size\n")
    (tmp_path / "context" / "large").write_bytes(os.urandom(2_000_000))
    remote.run(client, "build", "-t", f"built-{client}", str(tmp_path / "context"))
    assert remote.run(client, "run", "--rm", f"built-{client}", "cat", "/size").stdout == "2000000 /large\n"
    remote.run(client, "save", "-o", str(tmp_path / "image.tar"), f"built-{client}")
    remote.run(client, "rmi", f"built-{client}")
    remote.run(client, "load", "-i", str(tmp_path / "image.tar"))
    assert remote.run(client, "run", "--rm", f"built-{client}", "cat", "/size").stdout == "2000000 /large\n"


@CLIENTS
def test_the_environment_says_where_certificates_are(remote, client, monkeypatch):
    environment = dict(remote.engine.environment, DOCKER_HOST=remote.host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(remote.client))
    monkeypatch.setattr(remote.engine, "environment", environment)
    assert remote.engine.run(docker_client() if client == "docker" else BIN / "berth", "info", "--format", "{{.ServerVersion}}").stdout.strip()


@CLIENTS
def test_unknown_clients_and_servers_are_refused(remote, client, tmp_path):
    program = docker_client() if client == "docker" else BIN / "berth"
    stranger = Authority(tmp_path / "stranger", "stranger")
    outsider = stranger.client("outsider")
    (outsider / "ca.pem").write_text((remote.client / "ca.pem").read_text())
    done = remote.engine.run(program, *remote.flags(outsider), "ps", check=False)
    assert done.returncode == 1 and ("unknown ca" in done.stderr or "certificate" in done.stderr), done.stderr  # the server's alert
    (tmp_path / "empty").mkdir()
    done = remote.engine.run(program, "--config", str(tmp_path / "empty"), f"--host={remote.host}", "--tlsverify",
                             f"--tlscacert={remote.client}/ca.pem", "ps", check=False)
    assert done.returncode == 1 and "certificate required" in done.stderr, done.stderr
    distrusting = stranger.client("distrusting")
    (distrusting / "cert.pem").write_text((remote.client / "cert.pem").read_text())
    (distrusting / "key.pem").write_text((remote.client / "key.pem").read_text())
    done = remote.engine.run(program, *remote.flags(distrusting), "ps", check=False)
    assert done.returncode == 1 and "certificate" in done.stderr, done.stderr  # ours is not believed
    done = remote.engine.run(program, f"--host=tcp://127.0.0.2:{remote.port}", *remote.flags()[1:], "ps", check=False)
    assert done.returncode == 1, "a certificate of another name was taken"
    done = remote.engine.run(program, f"--host={remote.host}", "ps", check=False)
    assert done.returncode == 1 and "HTTP request to an HTTPS server" in done.stderr, done.stderr


def test_old_versions_are_refused(remote):
    connect = ["openssl", "s_client", "-connect", f"127.0.0.1:{remote.port}", "-cipher", "DEFAULT@SECLEVEL=0",
               "-cert", f"{remote.client}/cert.pem", "-key", f"{remote.client}/key.pem"]
    for version, accepted in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        done = subprocess.run([*connect, version], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        assert (done.returncode == 0) == accepted, done.stderr


def test_a_websocket(remote):
    websocket = debian_module("python3-websocket", "websocket")
    remote.engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    client = websocket.create_connection(
        f"wss://localhost:{remote.port}/v1.51/containers/shell/attach/ws?stream=1&stdin=1&stdout=1", timeout=DEADLINE,
        suppress_origin=True, sslopt=remote.ssl_options())
    client.send("echo $((6 * 7))\n")
    assert client.recv() == b"42\n"
    client.send("exit\n")
    assert client.recv_data()[0] == 8


def test_sessions_that_end_leave_nothing_in_the_engine(remote):
    def descriptors():
        return sum(len(descriptors_of(pid)) for pid in (remote.engine.process.pid, front_of(remote.engine)))

    remote.engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    remote.run("docker", "exec", "host", "true")
    before = descriptors()
    for _ in range(5):
        remote.run("docker", "exec", "-i", "host", "cat", input="text")
        with subprocess.Popen([docker_client(), *remote.flags(), "exec", "-i", "host", "sh", "-c", "echo up; cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=remote.engine.environment) as killed:
            assert killed.stdout.readline() == b"up\n"
            killed.kill()
    wait_until("end of all sessions", lambda: descriptors() <= before + 2)


def test_wrong_files_are_named_at_the_start(tmp_path, authority):
    server = authority.server("another-server")
    for flags, words in (
            (["--tlscert=/absent/cert.pem", f"--tlskey={server}/key.pem", f"--tlscacert={server}/ca.pem"], "/absent/cert.pem"),
            ([f"--tlscert={server}/cert.pem", "--tlskey=/absent/key.pem", f"--tlscacert={server}/ca.pem"], "/absent/key.pem"),
            ([f"--tlscert={server}/cert.pem", f"--tlskey={server}/key.pem", "--tlscacert=/absent/ca.pem"], "/absent/ca.pem")):
        done = subprocess.run([str(BIN / "berthd"), "--tlsverify", "--host=tcp://127.0.0.1:0", f"--data-root={tmp_path}/data",
                               "--exec-root=/run/berth-tls", "--bridge=none", *flags], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 1 and "invalid TLS configuration" in done.stderr and words in done.stderr, done.stderr


def test_without_verification_clients_need_no_certificate(tmp_path, authority):
    server, port = authority.server("open-server"), free_port()
    with Engine(tmp_path, f"--host=tcp://127.0.0.1:{port}", "--tlsverify=false", f"--tlscert={server}/cert.pem",
                f"--tlskey={server}/key.pem") as engine:
        done = engine.run(docker_client(), f"--host=tcp://localhost:{port}", "--tls", f"--tlscacert={server}/ca.pem", "info")
        assert f"API is accessible on https://127.0.0.1:{port} without TLS client verification" in done.stdout + done.stderr
        assert engine.berth(f"--host=tcp://localhost:{port}", "--tls", "--config", str(tmp_path), "ps").stdout.startswith("CONTAINER")
        assert "without --tlsverify is insecure" in engine.log()
