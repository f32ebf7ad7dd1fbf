"""Pulls, pushes and logins at registries that want credentials, certificates, mirrors and proxies: Debian's docker-registry, and
small servers of the test's own."""
import base64
import http.server
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import threading
import urllib.parse

import pytest

from engine import Engine, Registry, wait_until

ADDRESS = "10.77.0.1"  # not loopback, so nothing is trusted without being told


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **options).stdout


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class DockerRegistry:
    def __init__(self, folder, host="127.0.0.1", http="", auth=""):
        self.folder = pathlib.Path(folder)
        self.host = host
        self.port = free_port(host)
        self.address = f"{host}:{self.port}"
        config = self.folder / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                          f"http:\n  addr: {self.address}\n{http}{auth}")
        log = open(self.folder / "registry.log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def __enter__(self):
        wait_until("docker-registry", self.listens)
        return self

    def listens(self):
        assert self.process.poll() is None, (self.folder / "registry.log").read_text()
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def address():
    run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    yield ADDRESS
    run("ip", "address", "del", f"{ADDRESS}/32", "dev", "lo")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    """/etc with a layer of the test's own over it, in this run's mount namespace."""
    folder = tmp_path_factory.mktemp("etc")
    run("mount", "-t", "tmpfs", "tmpfs", folder)
    for name in ("upper", "work"):
        (folder / name).mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={folder}/upper,workdir={folder}/work", "/etc")
    yield pathlib.Path("/etc/berth/certs.d")
    run("umount", "-l", "/etc")
    run("umount", "-l", folder)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """Wants the user me with the password secret."""
    folder = tmp_path_factory.mktemp("secured")
    entry = run("perl", "-e", "print crypt('secret', '$2y$05$abcdefghijklmnopqrstuu')")
    (folder / "htpasswd").write_text(f"me:{entry}\n")
    with DockerRegistry(folder, auth=f"auth:\n  htpasswd: {{realm: test, path: {folder}/htpasswd}}\n") as running:
        yield running


def clients(engine, folder):
    """Each with a configuration of its own."""
    for name, client in (("berth", engine.berth), ("docker", engine.docker)):
        config = folder / name
        config.mkdir()
        yield name, config / "config.json", lambda *words, _client=client, _config=config, **options: _client(
            "--config", str(_config), *words, **options)


def test_login_push_pull_and_logout(engine, secured, tmp_path):
    image = f"{secured.address}/team/app:v1"
    engine.berth("tag", "busybox", image)
    written = {}
    for name, config, client in clients(engine, tmp_path):
        refused = client("login", "-u", "me", "--password-stdin", secured.address, input="guess\n", check=False)
        assert refused.returncode == 1 and "failed with status: 401 Unauthorized" in refused.stderr, refused.stderr
        assert not config.exists()
        assert client("push", image, check=False).returncode == 1
        done = client("login", "-u", "me", "--password-stdin", f"http://{secured.address}/v1/", input="secret\n")
        assert "Login Succeeded\n" in done.stdout
        assert "unencrypted" in done.stderr
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        written[name] = config.read_text()
        client("push", image)
        engine.berth("rmi", image)
        client("pull", image)
        again = client("login", secured.address)
        assert "Authenticating with existing credentials" in again.stderr + again.stdout
        assert client("logout", secured.address).stdout == f"Removing login credentials for {secured.address}\n"
        assert json.loads(config.read_text()) == {"auths": {}}
        refused = client("pull", image, check=False)
        assert refused.returncode == 1 and "unauthorized: authentication required" in refused.stderr, refused.stderr
    assert written["berth"] == written["docker"]
    assert json.loads(written["berth"]) == {"auths": {secured.address: {"auth": base64.b64encode(b"me:secret").decode()}}}


def test_login_needs_a_user_or_a_terminal(engine, secured):
    done = engine.berth("login", secured.address, check=False)
    assert done.returncode == 1 and "Cannot perform an interactive login from a non TTY device" in done.stderr
    done = engine.berth("login", "-p", "x", "--password-stdin", check=False)
    assert "--password and --password-stdin are mutually exclusive" in done.stderr


def test_a_build_sends_what_the_client_knows(engine, secured, tmp_path):
    image = f"{secured.address}/team/base:v1"
    engine.berth("tag", "busybox", image)
    folder = tmp_path / "config"
    folder.mkdir()
    # By a program that keeps the secret, as desktops do.
    helper = tmp_path / "docker-credential-test"
    helper.write_text("#!/bin/sh\ncase $1 in\nlist) echo '{\"%s\": \"me\"}' ;;\nget) read -r server\n"
                      "echo \"{\\\"ServerURL\\\": \\\"$server\\\", \\\"Username\\\": \\\"me\\\", \\\"Secret\\\": \\\"secret\\\"}\" ;;\n"
                      "esac\n" % secured.address)
    helper.chmod(0o755)
    (folder / "config.json").write_text('{"credsStore": "test"}')
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM {image}\n")
    path = engine.environment["PATH"]
    engine.environment["PATH"] = f"{tmp_path}:{path}"
    try:
        engine.berth("--config", folder, "push", image)
        engine.berth("rmi", image)
        assert engine.berth("build", tmp_path / "context", check=False).returncode == 1
        engine.berth("--config", folder, "build", tmp_path / "context")
    finally:
        engine.environment["PATH"] = path


class TokenRegistry(http.server.ThreadingHTTPServer):
    """A registry without images whose token server gives identity tokens."""

    def __init__(self):
        server = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body, **headers):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def do_GET(self):
                if self.path.startswith("/token"):
                    server.asked.append(("GET", urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)))
                    good = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
                    self.answer(200 if good else 401, {"token": "T", "refresh_token": "I"} if good else {"details": "no"})
                elif self.headers["Authorization"] != "Bearer T":
                    realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="test"'
                    self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "who"}]}, WWW_Authenticate=realm)
                else:
                    self.answer(200 if self.path == "/v2/" else 404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "none"}]})

            do_HEAD = do_GET

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                server.asked.append(("POST", form))
                self.answer(200, {"access_token": "T"})

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_an_identity_token_takes_the_passwords_place(engine, tmp_path):
    with TokenRegistry() as server:
        for _, config, client in clients(engine, tmp_path):
            client("login", "-u", "me", "--password-stdin", server.address, input="secret")
            entry = json.loads(config.read_text())["auths"][server.address]
            assert entry["identitytoken"] == "I" and b"secret" not in base64.b64decode(entry.get("auth", ""))
            assert server.asked[-1][1]["offline_token"] == ["true"]
            missing = client("pull", f"{server.address}/team/app:v1", check=False)
            assert "manifest unknown" in missing.stderr, missing.stderr
            method, form = server.asked[-1]
            assert method == "POST" and form["refresh_token"] == ["I"] and form["grant_type"] == ["refresh_token"]
            assert form["scope"] == ["repository:team/app:pull"]
        server.shutdown()


def make_certificates(folder):
    """A CA, a server's and a client's certificate."""
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test CA", "-days", "2", "-keyout",
        folder / "ca.key", "-out", folder / "ca.crt")
    for name in ("server", "client"):
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out",
            folder / f"{name}.csr")
        extensions = folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:{ADDRESS}\n" if name == "server" else "extendedKeyUsage=clientAuth\n")
        run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", folder / f"{name}.crt")


def test_certificates_of_docker_and_containerd(engine, address, configuration, tmp_path):
    make_certificates(tmp_path)
    tls = f"  tls: {{certificate: {tmp_path}/server.crt, key: {tmp_path}/server.key, clientcas: [{tmp_path}/ca.crt]}}\n"
    with DockerRegistry(tmp_path, host=address, http=tls) as registry:
        image = f"{registry.address}/team/app:v1"
        engine.berth("tag", "busybox", image)
        unknown = engine.berth("push", image, check=False)
        assert "x509: certificate signed by unknown authority" in unknown.stderr, unknown.stderr
        docker = pathlib.Path("/etc/docker/certs.d") / registry.address
        docker.mkdir(parents=True)
        shutil.copy(tmp_path / "ca.crt", docker / "ca.crt")
        assert engine.berth("push", image, check=False).returncode == 1  # it wants to know who is there
        shutil.copy(tmp_path / "client.crt", docker / "client.cert")
        missing = engine.berth("push", image, check=False)
        assert "missing key client.key for client certificate client.cert" in missing.stderr
        shutil.copy(tmp_path / "client.key", docker / "client.key")
        engine.berth("push", image)
        engine.berth("rmi", image)
        shutil.rmtree(docker)
        own = configuration / registry.address
        own.mkdir(parents=True)
        (own / "hosts.toml").write_text(f'server = "https://{registry.address}"\nca = "{tmp_path}/ca.crt"\n'
                                        f'client = [["{tmp_path}/client.crt", "{tmp_path}/client.key"]]\n')
        engine.berth("pull", image)
        engine.berth("rmi", image)


def test_mirrors_of_any_registry(engine, configuration, tmp_path):
    with Registry(tmp_path) as registry:
        image = f"{registry.address}/team/app:v1"
        engine.berth("tag", "busybox", image)
        engine.berth("push", image)
        folder = configuration / "nowhere.invalid"
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text('[host."http://127.0.0.1:1"]\n' f'[host."http://{registry.address}"]\n'
                                           '  capabilities = ["pull", "resolve"]\n')
        engine.berth("pull", "nowhere.invalid/team/app:v1")
        missing = engine.berth("pull", "nowhere.invalid/team/other:v1", check=False)
        assert "lookup nowhere.invalid: no such host" in missing.stderr, missing.stderr
        (folder / "hosts.toml").write_text("host = 3\n")
        wrong = engine.berth("pull", "nowhere.invalid/team/app:v1", check=False)
        assert f"{folder}/hosts.toml: host must be a table" in wrong.stderr, wrong.stderr
        engine.berth("rmi", image, "nowhere.invalid/team/app:v1")


def test_a_proxy_of_the_configuration(tmp_path, address):
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://user:word@127.0.0.1:{proxy.server_port}"
        (tmp_path / "daemon.json").write_text(json.dumps({"proxies": {"http-proxy": url, "no-proxy": "10.78.0.0/16"},
                                                          "insecure-registries": ["10.0.0.0/8"]}))
        with Engine(tmp_path, f"--config-file={tmp_path}/daemon.json") as engine:
            missing = engine.berth("pull", "10.77.0.9:5000/team/app", check=False)
            assert "manifest unknown" in missing.stderr, missing.stderr
            info = engine.request("GET", "/v1.44/info")[1]
            assert info["HttpProxy"] == f"http://xxxxx:xxxxx@127.0.0.1:{proxy.server_port}"
            assert info["NoProxy"] == "10.78.0.0/16"
        proxy.shutdown()
    assert "http://10.77.0.9:5000/v2/team/app/manifests/latest" in asked, asked
