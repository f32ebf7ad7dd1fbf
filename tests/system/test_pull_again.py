"""A pull fetches what is missing, and no more, so that what was pulled can be pushed on bit for bit."""
import gzip
import hashlib
import json

import pytest

from registries import CONFIG, LAYER, MANIFEST, Client, describe
from tars import tar_of

ROOT = tar_of({"file": b"some content " * 5000})


@pytest.fixture
def published(registry):
    """An image whose layer is compressed as nobody here would do it: its name, and the layer's blob."""
    client = Client(registry.address)
    layer = gzip.compress(ROOT, 1, mtime=7)
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(ROOT).hexdigest()]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config),
                           "layers": [describe(LAYER, layer)]}).encode()
    for blob in (layer, config):
        answer = client.ask("POST", f"/v2/again/blobs/uploads/?digest={describe('', blob)['digest']}", blob)
        assert answer.status == 201, answer.body
    assert client.ask("PUT", "/v2/again/manifests/1", manifest, {"Content-Type": MANIFEST}).status == 201
    return f"{registry.address}/again:1", describe(LAYER, layer)["digest"].removeprefix("sha256:"), describe("", manifest)["digest"]


def pushed_digest(engine, registry, name):
    target = f"{registry.address}/onward:1"
    engine.berth("tag", name, target)
    engine.berth("push", target)
    answer = Client(registry.address).ask("HEAD", "/v2/onward/manifests/1", headers={
        "Accept": f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"})
    return answer.headers["docker-content-digest"]


def test_a_blob_that_is_gone(fresh_engine, registry, published):
    name, layer, digest = published
    fresh_engine.berth("pull", "-q", name)
    blob = fresh_engine.data / "blobs" / "sha256" / layer
    content = blob.read_bytes()
    blob.unlink()
    again = fresh_engine.berth("pull", name).stdout
    assert "Download complete" in again and "Image is up to date" in again
    assert blob.read_bytes() == content
    assert "Download complete" not in fresh_engine.berth("pull", name).stdout
    assert pushed_digest(fresh_engine, registry, name) == digest
    assert fresh_engine.berth("system", "check").returncode == 0


def test_a_layer_that_is_here_already(fresh_engine, registry, published, tmp_path):
    name, layer, digest = published
    (tmp_path / "root.tar").write_bytes(ROOT)
    fresh_engine.berth("import", tmp_path / "root.tar", "mine")
    layers = sorted((fresh_engine.data / "layers").iterdir())
    fresh_engine.berth("pull", name)
    assert sorted((fresh_engine.data / "layers").iterdir()) == layers
    assert (fresh_engine.data / "blobs" / "sha256" / layer).exists()
    assert pushed_digest(fresh_engine, registry, name) == digest


def test_a_blob_that_is_not_the_layer(fresh_engine, registry, published, tmp_path):
    """What a manifest promises of a layer that is here is looked at."""
    name, _, _ = published
    client = Client(registry.address)
    manifest = client.ask("GET", "/v2/again/manifests/1", headers={"Accept": MANIFEST}).json()
    other = gzip.compress(tar_of({"file": b"something else"}))
    client.ask("POST", f"/v2/again/blobs/uploads/?digest={describe('', other)['digest']}", other)
    manifest["layers"] = [describe(LAYER, other)]
    client.ask("PUT", "/v2/again/manifests/2", json.dumps(manifest).encode(), {"Content-Type": MANIFEST})
    fresh_engine.berth("pull", "-q", name)
    refused = fresh_engine.berth("pull", name.replace(":1", ":2"), check=False)
    assert refused.returncode == 1 and "does not match digest" in refused.stderr
