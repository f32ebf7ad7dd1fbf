"""Clients that vanish and daemons that are killed in the middle of long work: after the next start nothing half-made
remains, and the same operation then succeeds."""
import contextlib
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading

import pytest

from engine import BIN, DEADLINE, file_list, mounts_below, wait_until
from tars import tar_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layer_of(size):
    return tar_of({"noise": random.Random(size).randbytes(size)})


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class StallingRegistry:
    """A registry with one image, halfway:latest, whose layer stops in the middle until it is told to go on."""

    def __init__(self):
        layer = layer_of(4 << 20)
        self.blob = gzip.compress(layer, 1)
        config = json.dumps({"architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"), "os": "linux",
                             "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(self.blob),
                        "size": len(self.blob)}]}).encode()
        self.answers = {"/v2/": (b"{}", "application/json")}
        for name in ("latest", digest(manifest)):
            self.answers[f"/v2/halfway/manifests/{name}"] = (manifest, MANIFEST)
        self.answers[f"/v2/halfway/blobs/{digest(config)}"] = (config, "application/octet-stream")
        self.stalled, self.go_on, self.hung_up = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self):
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def answer(self, with_body):
                if self.path == f"/v2/halfway/blobs/{digest(registry.blob)}":
                    return self.send_layer()
                body, kind = registry.answers.get(self.path, (None, None))
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", kind or "application/json")
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("Docker-Content-Digest", digest(body or b""))
                self.end_headers()
                if with_body and body:
                    self.wfile.write(body)

            def send_layer(self):
                blob = registry.blob
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(blob)))
                self.end_headers()
                self.wfile.write(blob[: len(blob) // 2])
                self.wfile.flush()
                if not registry.go_on.is_set():
                    registry.stalled.set()
                    # The engine says nothing more here: what can be read is its end.
                    with contextlib.suppress(ConnectionResetError):
                        self.connection.recv(1)
                    registry.hung_up.set()
                    self.close_connection = True
                    return
                self.wfile.write(blob[len(blob) // 2:])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.image = f"127.0.0.1:{self.server.server_address[1]}/halfway:latest"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(DEADLINE)


class RawRequest:
    """A request whose body is sent as far as the test wants it."""

    def __init__(self, engine, target, kind, length):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(engine.socket))
        self.socket.sendall(f"POST {target} HTTP/1.1\r\nHost: berth\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode())

    def send(self, data):
        self.socket.sendall(data)

    def vanish(self):
        self.socket.close()


def interrupt(engine, how, vanish):
    """The client vanishes, or the engine is killed first."""
    if how == "killed engine":
        engine.kill()
    vanish()


def without_blobs(names):
    return [name for name in names if not name.startswith(("blobs/partial/", "blobs/sha256/"))]


def check_clean(engine, how, before):
    """As it was before, after the next start. Downloads are kept on purpose: the next pull takes them up."""
    if how == "vanished client":
        assert engine.request("GET", "/_ping")[0] == 200
        engine.stop()
    engine.start()
    wait_until("clean data root", lambda: without_blobs(file_list(engine.data)) == without_blobs(before))
    assert mounts_below(engine.data) == []


both = pytest.mark.parametrize("how", ["vanished client", "killed engine"])


@both
def test_pull(fresh_engine, how):
    engine = fresh_engine
    with StallingRegistry() as registry:
        before = file_list(engine.data)
        client = subprocess.Popen([str(BIN / "berth"), "pull", registry.image], env=engine.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert registry.stalled.wait(DEADLINE)
        interrupt(engine, how, client.kill)
        client.wait(DEADLINE)
        assert registry.hung_up.wait(DEADLINE), "the engine goes on with a pull that nobody wants"
        check_clean(engine, how, before)
        assert engine.request("GET", f"/images/{registry.image}/json")[0] == 404
        registry.go_on.set()
        engine.berth("pull", registry.image)
        assert not [name for name in file_list(engine.data) if name.startswith("blobs/partial/")]


@both
@pytest.mark.parametrize("target", ["/images/load", "/images/create?fromSrc=-&repo=halfway"])
def test_load_and_import(fresh_engine, tmp_path, how, target):
    engine = fresh_engine
    if "load" in target:
        archive = tmp_path / "image.tar"
        engine.berth("tag", "busybox", "halfway")
        engine.berth("save", "-o", archive, "halfway")
        engine.berth("rmi", "halfway")
        data = archive.read_bytes()
    else:
        data = layer_of(4 << 20)
    engine.stop()
    engine.start()
    before = file_list(engine.data)
    request = RawRequest(engine, target, "application/x-tar", len(data))
    request.send(data[: len(data) // 2])
    # It has begun once something lies there that was not there before.
    wait_until("a half-made image", lambda: file_list(engine.data) != before)
    interrupt(engine, how, request.vanish)
    check_clean(engine, how, before)
    assert engine.request("GET", "/images/halfway/json")[0] == 404
    whole = RawRequest(engine, target, "application/x-tar", len(data))
    whole.send(data)
    wait_until("the image", lambda: engine.request("GET", "/images/halfway/json")[0] == 200)
    whole.vanish()


def processes_with(word):
    found = []
    for path in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and word in (path / "cmdline").read_bytes().split(b"\0"):
                found.append(path.name)
    return found


@both
def test_build_in_a_run_step(fresh_engine, how):
    engine = fresh_engine
    before = file_list(engine.data)
    context = tar_of({"Dockerfile": "FROM busybox\nRUN echo half > /made; sleep 98765\n"})
    request = RawRequest(engine, "/build?t=halfway", "application/x-tar", len(context))
    request.send(context)
    wait_until("running step", lambda: processes_with(b"98765"))
    interrupt(engine, how, request.vanish)
    if how == "vanished client":
        wait_until("end of the step", lambda: not processes_with(b"98765"))
    check_clean(engine, how, before)
    wait_until("end of the step", lambda: not processes_with(b"98765"))
    assert engine.request("GET", "/images/halfway/json")[0] == 404
    again = tar_of({"Dockerfile": "FROM busybox\nRUN test ! -e /made\n"})
    (engine.folder / "context.tar").write_bytes(again)
    engine.berth("build", "-t", "halfway", "-", input=again.decode("latin-1"))


@both
def test_build_in_its_context(fresh_engine, how):
    engine = fresh_engine
    before = file_list(engine.data)
    context = tar_of({"Dockerfile": "FROM busybox\nCOPY big /\n", "big": "x" * (2 << 20)})
    request = RawRequest(engine, "/build?t=halfway", "application/x-tar", len(context))
    request.send(context[: len(context) // 2])
    wait_until("a half-made context", lambda: file_list(engine.data) != before)
    interrupt(engine, how, request.vanish)
    check_clean(engine, how, before)
    assert engine.request("GET", "/images/halfway/json")[0] == 404


def test_create_with_half_a_body(engine):
    before = file_list(engine.data)
    body = json.dumps({"Image": "busybox", "Labels": {"x": "y" * 100}}).encode()
    request = RawRequest(engine, "/containers/create?name=halfway", "application/json", len(body))
    request.send(body[:50])
    request.vanish()
    assert engine.request("GET", "/containers/json?all=1") == (200, [])
    assert file_list(engine.data) == before
    # The name is free.
    assert engine.request("POST", "/containers/create?name=halfway", {"Image": "busybox"})[0] == 201


def test_attached_client_vanishes(engine):
    """The container goes on, is not stopped by a full pipe, and others can attach."""
    engine.berth("run", "-d", "-i", "--name", "talker", "busybox", "sh", "-c",
                 "while read line; do echo \"heard $line\"; done")
    client = subprocess.Popen([str(BIN / "berth"), "attach", "talker"], env=engine.environment, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    client.stdin.write(b"one\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"heard one\n"
    client.send_signal(signal.SIGKILL)
    client.wait(DEADLINE)
    client.stdin.close()
    client.stdout.close()
    other = engine.berth("exec", "talker", "echo", "still here")
    assert other.stdout == "still here\n"
    assert engine.inspect("talker")["State"]["Running"]
    engine.berth("kill", "talker")
    assert engine.berth("logs", "talker").stdout == "heard one\n"


def test_cache_and_images_outlive_the_sweep_behind_a_start(fresh_engine, tmp_path):
    engine = fresh_engine
    (tmp_path / "Dockerfile").write_text("FROM busybox AS one\nRUN echo built > /built\nFROM busybox\nCOPY --from=one /built /\n")
    engine.berth("build", "-t", "kept", tmp_path)
    engine.berth("run", "--name", "user", "kept", "cat", "/built")
    for _ in range(2):
        engine.stop()
        engine.start()
        (engine.folder / "other.tar").write_bytes(layer_of(1000))
        # A removal sweeps too, and waits for the sweep that is under way.
        engine.berth("import", engine.folder / "other.tar", "other")
        engine.berth("rmi", "other")
        assert engine.berth("start", "-a", "user").stdout == "built\n"
        done = engine.berth("build", tmp_path)
        assert done.stdout.count("Using cache") == 2, done.stdout
