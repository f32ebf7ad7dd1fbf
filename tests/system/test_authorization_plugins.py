"""Authorization plugins: what they are told, what they refuse, and that nothing goes past them."""
import base64
import json
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from certificates import Authority
from engine import BIN, DEADLINE, Engine, docker_client, wait_until

SOCKETS = pathlib.Path("/run/docker/plugins")  # /run is the testbed's own
PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "support" / "authorization_plugin.py"


class Plugin:
    def __init__(self, name, root):
        self.name = name
        self.root = root
        root.mkdir()
        self.start()

    def start(self):
        SOCKETS.mkdir(parents=True, exist_ok=True)
        socket_file = SOCKETS / f"{self.name}.sock"
        socket_file.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), str(socket_file), str(self.root)], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.process.stdout.close()
        (SOCKETS / f"{self.name}.sock").unlink(missing_ok=True)

    def refuse(self, *words):
        (self.root / "refused").write_text("\n".join(words))

    def calls(self):
        file = self.root / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def forget(self):
        (self.root / "calls").unlink(missing_ok=True)


@pytest.fixture
def plugins(tmp_path):
    made = [Plugin("first", tmp_path / "first"), Plugin("second", tmp_path / "second")]
    yield made
    for plugin in made:
        plugin.stop()


@pytest.fixture
def guarded(tmp_path, plugins, rootfs_tar):
    with Engine(tmp_path, "--authorization-plugin=first", "--authorization-plugin=second") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield engine
        for plugin in plugins:
            plugin.refuse()


def test_a_person_with_the_docker_command_notices_nothing_else(guarded, plugins):
    assert guarded.docker("run", "-i", "--rm", "busybox", "cat", input="typed\n").stdout == "typed\n"
    told = plugins[0].calls()
    create = next(asked for method, asked in told if method == "AuthZPlugin.AuthZReq" and "/containers/create" in asked["RequestUri"])
    assert create["RequestMethod"] == "POST" and create["RequestHeaders"]["Content-Type"] == "application/json"
    assert json.loads(base64.b64decode(create["RequestBody"]))["Image"] == "busybox"
    answer = next(asked for method, asked in told if method == "AuthZPlugin.AuthZRes" and "/containers/create" in asked["RequestUri"])
    assert answer["ResponseStatusCode"] == 201 and "Id" in json.loads(base64.b64decode(answer["ResponseBody"]))
    assert [call[0] for call in plugins[1].calls()] == [call[0] for call in told]


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_what_one_refuses_is_refused(guarded, plugins, client):
    plugins[1].refuse('"Privileged":true')
    run = getattr(guarded, client)
    done = run("run", "--rm", "--privileged", "busybox", "true", check=False)
    assert done.returncode in (1, 125) and 'authorization denied by plugin second: no "Privileged":true here' in done.stderr
    assert guarded.docker("ps", "-aq").stdout == ""
    run("run", "--rm", "busybox", "true")
    # Answers too, and what is streamed or taken over before its first byte.
    plugins[1].refuse("AuthZRes GET /v1.51/containers/json", "AuthZRes POST /v1.51/exec/", "AuthZRes GET /v1.51/events")
    assert guarded.request("GET", "/v1.51/containers/json")[0] == 403
    assert guarded.request("GET", "/v1.51/events?until=1")[0] == 403
    guarded.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    exec_id = guarded.request("POST", "/v1.51/containers/host/exec", {"Cmd": ["true"], "AttachStdout": True})[1]["Id"]
    status, body = guarded.request("POST", f"/v1.51/exec/{exec_id}/start", {})
    assert status == 403 and "second" in body["message"]


def test_whole_bodies_go_to_the_plugin_however_they_are_sent(guarded, plugins):
    """CVE-2024-41110 and what it left: bodies that were announced as empty, chunked, or larger than 1 MiB."""
    plugins[0].refuse('"Privileged": true')
    body = {"Image": "busybox", "Labels": {"padding": "x" * (3 << 20)}, "HostConfig": {"Privileged": True}}
    text = json.dumps(body).encode()
    assert guarded.request("POST", "/containers/create", text, {"Content-Type": "application/json"})[0] == 403
    padded = text[:-1] + b" " * (9 << 20) + b"}"
    assert guarded.request("POST", "/containers/create", padded, {"Content-Type": "application/json"})[0] == 413
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    for heads in (b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                  b"Content-Length: 0\r\n", b"transfer-encoding: CHUNKED\r\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(str(guarded.socket))
            connection.sendall(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\n"
                               b"Connection: close\r\n" + heads + b"\r\n" + chunked)
            status = connection.recv(65536).split()[1]
            assert status in (b"400", b"403"), heads
    assert guarded.docker("ps", "-aq").stdout == ""


def test_secrets_stay_here(guarded, plugins):
    guarded.request("POST", "/auth", {"username": "me", "password": "secret", "serveraddress": "127.0.0.1:1"})
    guarded.request("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=1", headers={"X-Registry-Auth": base64.b64encode(b"secret").decode()})
    told = json.dumps(plugins[0].calls())
    assert "/auth" in told and "secret" not in told and base64.b64encode(b"secret").decode() not in told
    assert "RequestBody" not in next(asked for method, asked in plugins[0].calls() if asked["RequestUri"] == "/auth")


def test_no_plugin_no_request(guarded, plugins):
    guarded.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    plugins[1].stop()
    status, body = guarded.request("GET", "/containers/json")
    assert status == 500 and body["message"].startswith("plugin second failed with error: ")
    assert guarded.docker("stop", "host", check=False).returncode == 1
    plugins[1].start()
    wait_until("plugin", lambda: guarded.request("GET", "/containers/json")[0] == 200)
    assert guarded.inspect("host")["State"]["Running"]


def test_plugins_change_with_the_configuration(tmp_path, plugins, rootfs_tar):
    file = tmp_path / "daemon.json"
    file.write_text('{"authorization-plugins": ["first"]}')
    with Engine(tmp_path, f"--config-file={file}") as engine:
        engine.request("GET", "/containers/json")
        assert plugins[0].calls() and not plugins[1].calls()

        def reload(text):
            lines = engine.log().count("reconfiguring") + engine.log().count("Reloaded")
            file.write_text(text)
            engine.process.send_signal(signal.SIGHUP)
            wait_until("reload", lambda: engine.log().count("reconfiguring") + engine.log().count("Reloaded") > lines)

        reload('{"authorization-plugins": ["second"]}')
        plugins[0].forget()
        plugins[1].refuse("/containers/json")
        assert engine.request("GET", "/containers/json")[0] == 403 and not plugins[0].calls()
        reload('{"authorization-plugins": ["absent"]}')
        assert "plugin \\\"absent\\\" not found" in engine.log() or 'plugin "absent" not found' in engine.log()
        assert engine.request("GET", "/containers/json")[0] == 403  # the one before still is asked
        reload('{"authorization-plugins": []}')
        assert engine.request("GET", "/containers/json")[0] == 200


def test_the_start_fails_without_its_plugin(tmp_path):
    done = subprocess.run([str(BIN / "berthd"), "--authorization-plugin=absent", f"--host=unix://{tmp_path}/x.sock",
                           f"--data-root={tmp_path}/data", "--exec-root=/run/berth-authz", "--bridge=none"],
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and 'error validating authorization plugin "absent": plugin "absent" not found' in done.stderr


def test_the_certificate_says_who_asks(tmp_path, plugins):
    authority = Authority(tmp_path / "certificates")
    server, client = authority.server(), authority.client("Ada Lovelace")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Engine(tmp_path, f"--host=tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={server}/ca.pem", f"--tlscert={server}/cert.pem",
                f"--tlskey={server}/key.pem", "--authorization-plugin=first") as engine:
        plugins[0].forget()
        engine.run(docker_client(), f"--host=tcp://localhost:{port}", "--tlsverify", f"--tlscacert={client}/ca.pem",
                   f"--tlscert={client}/cert.pem", f"--tlskey={client}/key.pem", "ps")
        asked = plugins[0].calls()[-1][1]
        assert (asked["User"], asked["UserAuthNMethod"]) == ("Ada Lovelace", "TLS")
        assert base64.b64decode(asked["RequestPeerCertificates"][0]).decode() == (client / "cert.pem").read_text()
        plugins[0].forget()
        engine.request("GET", "/containers/json")
        assert "User" not in plugins[0].calls()[-1][1]
