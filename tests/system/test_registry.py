"""berth-registry with other people's clients: skopeo and curl."""
import gzip
import hashlib
import json
import os
import signal
import subprocess
import urllib.request

import pytest

from engine import Registry
from tars import tar_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def layout(tmp_path):
    """An OCI image layout with one image, oci:<path>:v1, and its documents."""
    tar = tar_of({"data": os.urandom(3_000_000)})
    layer = gzip.compress(tar, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}}).encode()

    def describe(kind, data):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe("config.v1+json", config),
                           "layers": [describe("layer.v1.tar+gzip", layer)]}).encode()
    folder = tmp_path / "layout"
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (layer, config, manifest):
        (blobs / digest(data)[7:]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = describe("manifest.v1+json", manifest) | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return {"path": folder, "layer": layer, "config": config, "manifest": manifest}


def skopeo(*arguments):
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def push(registry, layout, name="team/app", tag="v1"):
    skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout['path']}:v1",
           f"docker://{registry.address}/{name}:{tag}")


def get(registry, path):
    with urllib.request.urlopen(f"http://{registry.address}{path}", timeout=60) as answer:
        return answer.read()


def test_skopeo_pushes_and_pulls_bit_for_bit(registry, layout, tmp_path):
    push(registry, layout)
    assert get(registry, "/v2/team/app/manifests/v1") == layout["manifest"]
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{registry.address}/team/app:v1", f"oci:{tmp_path}/back:v1")
    for data in (layout["layer"], layout["config"], layout["manifest"]):
        assert (tmp_path / "back" / "blobs" / "sha256" / digest(data)[7:]).read_bytes() == data


def test_skopeo_lists_copies_and_deletes(registry, layout):
    push(registry, layout, "list/me", "a")
    source = f"docker://{registry.address}/list/me"
    skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", f"{source}:a", f"{source}:b")
    assert json.loads(skopeo("list-tags", "--tls-verify=false", source))["Tags"] == ["a", "b"]
    skopeo("delete", "--tls-verify=false", f"{source}:b")
    assert json.loads(get(registry, "/v2/list/me/tags/list"))["tags"] == []


def test_a_repository_on_disk_is_an_image_layout(registry, layout, tmp_path):
    push(registry, layout, "on/disk")
    folder = registry.folder / "data" / "repositories" / "on" / "disk" / "_layout"
    skopeo("copy", "-q", f"oci:{folder}:v1", f"dir:{tmp_path}/out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == layout["manifest"]


def test_curl_resumes_a_download(registry, layout, tmp_path):
    push(registry, layout)
    target = tmp_path / "layer"
    target.write_bytes(layout["layer"][:1_000_000])
    subprocess.run(["curl", "-sf", "-C", "-", "-o", str(target),
                    f"http://{registry.address}/v2/team/app/blobs/{digest(layout['layer'])}"], check=True, timeout=60)
    assert target.read_bytes() == layout["layer"]


def test_what_was_acknowledged_survives_sigkill(layout, tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    first = Registry(folder)
    first.__enter__()
    push(first, layout)
    (folder / "data" / "tmp" / "half").write_bytes(b"half a manifest")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(60)
    (folder / "address").unlink()
    with Registry(folder) as second:
        assert get(second, "/v2/team/app/manifests/v1") == layout["manifest"]
        assert get(second, f"/v2/team/app/blobs/{digest(layout['layer'])}") == layout["layer"]
        assert not list((folder / "data" / "tmp").iterdir())
