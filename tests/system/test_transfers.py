"""What pull, push, load and import tell while they work, and what pulling and pushing all tags does."""
import http.server
import json
import subprocess
import threading

import pytest

from engine import BIN, DEADLINE, docker_client
from transfers import Transfers, check_client, check_load, check_registry


@pytest.fixture
def transfers(fresh_engine, registry):
    return transfers_of(fresh_engine, registry, docker_client())


def transfers_of(engine, registry, program):
    def docker(*words, input=None, check=True):
        done = subprocess.run([program, *words], env=engine.environment, input=input, stdin=subprocess.DEVNULL if input is None else None,
                              capture_output=True, timeout=DEADLINE * 2)
        assert not check or done.returncode == 0, (words, done, engine.log()[-2000:])
        return done

    return Transfers(engine.socket, docker, registry.address)


def test_pushes_and_pulls(transfers):
    check_registry(transfers)


def test_load(transfers):
    check_load(transfers)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_the_clients_words(fresh_engine, registry, client):
    check_client(transfers_of(fresh_engine, registry, docker_client() if client == "docker" else BIN / "berth"))


def test_shared_sizes(fresh_engine):
    listed = {image["RepoTags"][0]: image for image in fresh_engine.request("GET", "/images/json?shared-size=1")[1]}
    assert listed["busybox:latest"]["SharedSize"] == 0
    assert fresh_engine.request("GET", "/images/json")[1][0]["SharedSize"] == -1
    fresh_engine.berth("create", "--name", "one", "busybox")
    fresh_engine.berth("commit", "one", "same:1")
    for image in fresh_engine.request("GET", "/images/json?shared-size=1&manifests=1")[1]:
        assert image["SharedSize"] == image["Size"] and len(image["Manifests"]) == 1


class Files(http.server.BaseHTTPRequestHandler):
    content = b""

    def do_GET(self):
        content = self.content
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/root.tar")
            self.end_headers()
            return
        if self.path == "/absent":
            return self.send_error(404, "none here")
        if self.path == "/garbage":
            content = b"garbage!!" * 100
        self.send_response(200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path == "/short" else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def files(rootfs_tar):
    handler = type("Content", (Files,), {"content": rootfs_tar.read_bytes()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def imported(engine, source):
    status, body = engine.request("POST", f"/images/create?fromSrc={source}&repo=imported&tag=1")
    text = body if isinstance(body, str) else json.dumps(body)
    return status, [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_import_from_an_address(fresh_engine, files, rootfs_tar, client):
    size = rootfs_tar.stat().st_size
    for path, total in (("/root.tar", size), ("/moved", size), ("/endless", -1)):
        status, messages = imported(fresh_engine, files + path)
        assert status == 200 and messages[0] == {"status": f"Downloading from {files}{path}"}
        assert {message["status"] for message in messages[1:-1]} == {"Importing"}
        assert messages[-2]["progressDetail"] == {"current": size, "total": total}
        image = fresh_engine.request("GET", "/images/imported:1/json")[1]
        assert messages[-1] == {"status": image["Id"]} and image["Comment"] == f"Imported from {files}{path}"
    assert imported(fresh_engine, files.removeprefix("http://") + "/root.tar")[0] == 200
    out = getattr(fresh_engine, client)("import", files + "/root.tar", "imported:2").stdout.splitlines()
    assert out[0] == f"Downloading from {files}/root.tar" and out[-1].startswith("sha256:")
    assert fresh_engine.berth("run", "--rm", "imported:2", "echo", "works").stdout == "works\n"


def test_import_from_a_bad_address(fresh_engine, files):
    status, (answer,) = imported(fresh_engine, files + "/absent")
    assert status == 404 and answer["message"].startswith(f"failed to GET {files}/absent with status 404 Not Found: ")
    assert imported(fresh_engine, files + "/garbage")[1][-1]["error"] == "archive/tar: invalid tar header"
    short = imported(fresh_engine, files + "/short")[1][-1]["error"]
    assert short, short
    assert imported(fresh_engine, "http://127.0.0.1:1/x") == (
        500, [{"message": 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'}])
    assert imported(fresh_engine, "ftp://127.0.0.1/x")[0] == 400
    assert fresh_engine.berth("images", "-q", "imported").stdout == ""
