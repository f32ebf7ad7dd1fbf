"""Registries and archives that lie, through the whole engine: every byte that is not the one promised is refused by name, nothing
of it stays, memory stays bounded, and the true image comes afterwards."""
import base64
import gzip
import itertools
import json
import random
import time

import pytest

import hostile
from engine import SANITIZED, Engine, file_list, wait_until
from hostile import END, FlippingProxy, ImageServer, Server, docker_archive, entry, image_documents
from registries import CONFIG, LAYER, MANIFEST, Client, describe, digest

COUNTER = itertools.count()


def new_layers():
    """Of every image others, since a failed pull keeps what it has for the next one."""
    noise = random.Random(next(COUNTER)).randbytes(600_000)
    return [entry("a", noise) + END, entry("b", noise[:1000]) + END]


def new_image():
    return image_documents(new_layers())


# MiB of memory that any of this may cost the engine: 64 are an archive's documents.
MEMORY = 96


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    """An engine without any image, which gives up soon."""
    with Engine(tmp_path_factory.mktemp("lonely"), "--max-download-attempts=2") as running:
        yield running


def left(engine):
    """But blobs and whole layers: a pull that failed keeps what it has downloaded for the next one."""
    return [name for name in file_list(engine.data) if not name.startswith(("blobs/", "layers/"))]


def refuse(engine, words, *command):
    """The command fails with these words; nothing stays, and what the engine needed was little. Its output."""
    before = left(engine)
    memory = hostile.peak_memory(engine)
    begun = time.monotonic()
    done = engine.berth(*command, check=False)
    assert done.returncode == 1 and words in done.stderr, (done.stdout, done.stderr)
    assert SANITIZED or hostile.peak_memory(engine) - memory <= MEMORY
    assert engine.berth("images", "-q", "-a").stdout == ""
    engine.berth("system", "check", "--deep")
    wait_until("clean data root", lambda: left(engine) == before)
    print(f"refused in {time.monotonic() - begun:.1f} s: {done.stderr.strip()}")
    return done.stderr


def take(engine, image):
    """The true image comes and is whole."""
    engine.berth("pull", image)
    engine.berth("system", "check", "--deep")
    engine.berth("rmi", image)


def push(address, name, manifest, blobs):
    client = Client(address)
    for blob in blobs.values():
        client.push_blob(name, blob)
    client.push_manifest(name, "latest", manifest)


def test_a_bit_flipped_on_the_wire(lonely, registry):
    with FlippingProxy(registry.address) as proxy:
        for number, part in enumerate(["config", "first layer", "last layer", "manifest"]):
            manifest, blobs = new_image()
            push(registry.address, f"flip/image{number}", manifest, blobs)
            document = json.loads(manifest)
            flipped = {"config": document["config"], "first layer": document["layers"][0], "last layer": document["layers"][1]}
            image = f"{proxy.address}/flip/image{number}:latest"
            # A manifest by its tag is known by the digest in the registry's header.
            proxy.word = flipped[part]["digest"] if part in flipped else "/manifests/"
            words = refuse(lonely, "digest", "pull", image)
            assert part == "manifest" or flipped[part]["digest"] in words, words
            proxy.word = None
            take(lonely, image)
        assert proxy.flipped >= 4


def test_wrong_sizes(lonely):
    for wrong in (lambda size: size + 1, lambda size: size - 1, lambda size: 1 << 50, lambda size: 0):
        layers = new_layers()
        true = [len(gzip.compress(layer, 1, mtime=0)) for layer in layers]
        manifest, blobs = image_documents(layers, [wrong(true[0]), true[1]])
        with ImageServer(manifest, blobs) as server:
            refuse(lonely, "bytes", "pull", server.image)


def truncated(handler, body):
    """Half of what is announced, again and again, whatever is asked for."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def short(handler, body):
    """Less, and it says so."""
    handler.send(body[: len(body) // 2])


def endless(handler, body):
    """It never ends; the length is not told."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    block = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    handler.wfile.write(b"%x\r\n" % len(body) + body + b"\r\n")
    handler.server.poured = 0
    while handler.server.poured < 4 << 30:
        handler.wfile.write(block)
        handler.server.poured += 1 << 16


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
@pytest.mark.parametrize("twist", [truncated, short, endless])
def test_streams_that_end_early_or_never(lonely, part, twist):
    with ImageServer(*new_image(), **{part: twist}) as server:
        refuse(lonely, "", "pull", server.image)
        assert getattr(server, "poured", 0) < 256 << 20
        del server.twists[part]
        take(lonely, server.image)


def test_ten_thousand_layers(lonely, tmp_path):
    layer = entry("a") + END
    blob = gzip.compress(layer, mtime=0)
    config = hostile.config_of([layer] * 10_000)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config),
                           "layers": [describe(LAYER, blob)] * 10_000}).encode()
    with ImageServer(manifest, {digest(config): config, digest(blob): blob}) as server:
        refuse(lonely, "limit of 1024", "pull", server.image)
        assert not [path for path in server.asked if "/blobs/" in path]
    (tmp_path / "image.tar").write_bytes(docker_archive("many:latest", [layer], config, ["0/layer.tar"] * 10_000))
    refuse(lonely, "limit of 1024 layers", "load", "-i", tmp_path / "image.tar")
    # The other layout.
    index = json.dumps({"schemaVersion": 2, "manifests": [describe(MANIFEST, manifest)]}).encode()
    parts = [entry("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), entry("index.json", index)]
    parts += [entry("blobs/sha256/" + digest(data)[7:], data) for data in (manifest, config, blob)]
    (tmp_path / "layout.tar").write_bytes(b"".join(parts) + END)
    refuse(lonely, "limit of 1024", "load", "-i", tmp_path / "layout.tar")


def test_a_hundred_megabytes_of_json(lonely, tmp_path):
    text = b'{"schemaVersion": 2, "mediaType": "' + MANIFEST.encode() + b'", "annotations": {"a": "' + b"x" * (100 << 20) + b'"}}'

    def unannounced(handler, body):
        handler.send_response(200)
        handler.send_header("Content-Type", MANIFEST)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(body)

    with ImageServer(text, {}) as server:
        refuse(lonely, "limit of 4194304 bytes", "pull", server.image)
        server.twists["manifest"] = unannounced
        refuse(lonely, "limit of 4194304 bytes", "pull", server.image)
    config = b'{"architecture": "' + b"x" * (100 << 20) + b'"}'
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config), "layers": []}).encode()
    with ImageServer(manifest, {digest(config): config}) as server:
        refuse(lonely, "limit of 8388608 bytes", "pull", server.image)
    for name in ("manifest.json", "index.json"):
        (tmp_path / "image.tar").write_bytes(entry(name, text) + END)
        refuse(lonely, "limit", "load", "-i", tmp_path / "image.tar")
    # Many documents that are each small enough.
    part = b'{"a": "' + b"x" * (7 << 20) + b'"}'
    (tmp_path / "image.tar").write_bytes(b"".join(entry(f"{number}.json", part) for number in range(14)) + END)
    refuse(lonely, "too many documents", "load", "-i", tmp_path / "image.tar")
    deep = b"[" * 100_000
    (tmp_path / "image.tar").write_bytes(entry("manifest.json", deep) + END)
    refuse(lonely, "manifest.json", "load", "-i", tmp_path / "image.tar")


def test_redirects_in_a_circle(lonely):
    def around(handler, _):
        handler.send(b"", status=307, Location=handler.path)

    for part in ("manifest", "config", "layer"):
        with ImageServer(*new_image(), **{part: around}) as server:
            refuse(lonely, "stopped after 10 redirects", "pull", server.image)
            assert len(server.asked) < 100


def test_another_hosts_token_realm(lonely, tmp_path):
    """The secret is for the registry; a token server elsewhere that has no TLS may get it only from a registry that has none
    either, and what is behind a redirect never."""
    stolen = []

    def steal(handler):
        stolen.append((handler.path, handler.headers.get("Authorization")))
        handler.send(b'{"token": "T"}', "application/json")

    def elsewhere(handler, _):
        handler.send(b"", status=307, Location=f"http://localhost:{thief.server_port}/blob")

    def wants_secret(handler, body):
        expected = "Basic " + base64.b64encode(b"me:secret").decode()
        if handler.headers.get("Authorization") == expected:
            return handler.send(body, "application/json")
        return handler.send(b"{}", "application/json", 401, WWW_Authenticate='Basic realm="here"')

    config = tmp_path / "config"
    config.mkdir()
    with Server(steal) as thief, ImageServer(*new_image(), ping=wants_secret, layer=elsewhere) as server:
        auth = base64.b64encode(b"me:secret").decode()
        (config / "config.json").write_text(json.dumps({"auths": {server.address: {"auth": auth}}}))
        refuse(lonely, "", "--config", config, "pull", server.image)
        assert stolen and all(header is None for _, header in stolen), stolen


def test_slow_but_steady(lonely):
    """What comes in small pieces comes."""
    def dribble(handler, body):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for at in range(0, len(body), 50_000):
            handler.wfile.write(body[at:at + 50_000])
            handler.wfile.flush()
            time.sleep(0.05)

    with ImageServer(*new_image(), layer=dribble) as server:
        take(lonely, server.image)


def test_never_an_answer(tmp_path):
    """A registry that takes connections and says nothing is given up, and named, while others are served."""
    def silent(handler):
        handler.server.asked += 1
        handler.connection.recv(1)  # until the engine hangs up

    with Server(silent) as server, Engine(tmp_path, "--max-download-attempts=1") as engine:
        server.asked = 0
        begun = time.monotonic()
        refuse(engine, server.address, "pull", f"{server.address}/bad/image:latest")
        assert server.asked > 0 and time.monotonic() - begun < 60
