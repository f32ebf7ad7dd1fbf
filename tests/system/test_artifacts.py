"""berth artifact: files in a registry, alone or about an image there; ORAS reads what Berth wrote and the other way round."""
import json
import os
import shutil
import subprocess

import pytest

from engine import DEADLINE
from registries import INDEX, MANIFEST, Client, describe

TYPE = "application/vnd.example.report"


def oras(*words, folder=None):
    program = shutil.which("oras")
    if program is None:
        pytest.skip("no oras here")
    return subprocess.run([program, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=True)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "report.json").write_text('{"a": 1}')
    (folder / "data").write_bytes(os.urandom(3_000_000))
    return folder


def manifest_of(registry, repository, reference):
    return Client(registry.address).ask("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": f"{MANIFEST}, {INDEX}"}).json()


def digest_in(text):
    return next(line for line in text.splitlines() if line.startswith("Digest: ")).removeprefix("Digest: ")


def test_files_go_and_come_back(engine, registry, files, tmp_path):
    name = f"{registry.address}/artifact/files:1"
    pushed = engine.berth("artifact", "push", "--artifact-type", TYPE, "-a", "org.example.by=me", name,
                          f"{files}/report.json:application/json", f"{files}/data").stdout
    assert "report.json: Pushed" in pushed
    manifest = manifest_of(registry, "artifact/files", "1")
    assert manifest["artifactType"] == TYPE and manifest["annotations"] == {"org.example.by": "me"}
    assert [(layer["mediaType"], layer["annotations"]["org.opencontainers.image.title"]) for layer in manifest["layers"]] == [
        ("application/json", "report.json"), ("application/octet-stream", "data")]
    again = engine.berth("artifact", "push", "--artifact-type", TYPE, "-a", "org.example.by=me", name,
                         f"{files}/report.json:application/json", f"{files}/data").stdout
    assert "data: Already exists" in again and digest_in(again) == digest_in(pushed)
    for reference in (name, f"{registry.address}/artifact/files@{digest_in(pushed)}"):
        folder = tmp_path / "out" / str(len(reference))
        listed = engine.berth("artifact", "pull", "-o", folder, reference).stdout
        assert listed == "report.json\ndata\n"
        assert sorted(os.listdir(folder)) == ["data", "report.json"]
        assert (folder / "data").read_bytes() == (files / "data").read_bytes()
    engine.berth("artifact", "push", "-q", name.replace(":1", ":2"))  # without any file
    assert manifest_of(registry, "artifact/files", "2")["artifactType"] == "application/vnd.unknown.artifact.v1"


def test_what_refers_to_an_image_is_listed(engine, registry, files):
    image = f"{registry.address}/artifact/image:1"
    engine.berth("tag", "busybox", image)
    engine.berth("push", "-q", image)
    assert engine.berth("artifact", "ls", image).stdout.split()[0] == "DIGEST" and \
        len(engine.berth("artifact", "ls", image).stdout.splitlines()) == 1
    digest = engine.berth("artifact", "push", "-q", "--artifact-type", TYPE, "-a", "k=v", "--subject", "1",
                          f"{registry.address}/artifact/image", files / "report.json").stdout.strip()
    engine.berth("artifact", "push", "-q", "--artifact-type", "application/vnd.other", "--subject", "1",
                 f"{registry.address}/artifact/image:signature", files / "report.json")
    rows = engine.berth("artifact", "ls", "--no-trunc", image).stdout.splitlines()[1:]
    assert len(rows) == 2
    only = engine.berth("artifact", "ls", "--no-trunc", "--artifact-type", TYPE, image).stdout.splitlines()[1:]
    assert len(only) == 1 and only[0].split()[:2] == [digest, TYPE] and only[0].endswith("k=v")
    subject = manifest_of(registry, "artifact/image", digest)["subject"]
    answer = Client(registry.address).ask("HEAD", "/v2/artifact/image/manifests/1", headers={
        "Accept": f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"})
    assert subject["digest"] == answer.headers["docker-content-digest"]
    assert "is not in" in engine.berth("artifact", "push", "--subject", "none", f"{registry.address}/artifact/image",
                                       files / "report.json", check=False).stderr


def test_oras_and_berth_read_each_other(engine, registry, files, tmp_path):
    ours, theirs = f"{registry.address}/artifact/oras:ours", f"{registry.address}/artifact/oras:theirs"
    engine.berth("artifact", "push", "-q", "--artifact-type", TYPE, ours, files / "data")
    oras("pull", "--plain-http", "-o", tmp_path / "theirs", ours)
    assert (tmp_path / "theirs" / "data").read_bytes() == (files / "data").read_bytes()
    oras("push", "--plain-http", "--artifact-type", TYPE, theirs, "report.json:application/json", folder=files)
    engine.berth("artifact", "pull", "-o", tmp_path / "ours", theirs)
    assert (tmp_path / "ours" / "report.json").read_text() == '{"a": 1}'


@pytest.mark.parametrize("title", ["../out", "/etc/out", "a/../../out", "", "a//b", ".", "a\nout", "\x1b[31mout", "out\x7f"])
def test_names_that_lead_out_are_refused(engine, registry, tmp_path, title):
    client = Client(registry.address)
    blobs = [b"{}", b"evil"]
    for blob in blobs:
        client.ask("POST", f"/v2/artifact/evil/blobs/uploads/?digest={describe('', blob)['digest']}", blob)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": TYPE,
                           "config": describe("application/vnd.oci.empty.v1+json", blobs[0]),
                           "layers": [describe("text/plain", blobs[1], annotations={"org.opencontainers.image.title": title})]}).encode()
    assert client.ask("PUT", "/v2/artifact/evil/manifests/1", manifest, {"Content-Type": MANIFEST}).status == 201
    (tmp_path / "in").mkdir()
    done = engine.berth("artifact", "pull", "-o", tmp_path / "in", f"{registry.address}/artifact/evil:1", check=False)
    assert done.returncode == 1 and "is no name for a file in a folder" in done.stderr
    assert not any(letter in done.stderr[:-1] for letter in "\n\x1b\x7f")
    assert [str(path) for path in tmp_path.rglob("out")] == []


def test_links_in_the_folder_are_not_followed(engine, registry, files, tmp_path):
    name = f"{registry.address}/artifact/links:1"
    engine.berth("artifact", "push", "-q", name, files / "report.json")
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "victim").write_text("mine")
    (folder / "report.json").symlink_to(tmp_path / "victim")
    engine.berth("artifact", "pull", "-o", folder, name)
    assert (tmp_path / "victim").read_text() == "mine" and not (folder / "report.json").is_symlink()


def test_errors(engine, registry, files):
    missing = engine.berth("artifact", "pull", f"{registry.address}/artifact/nothing:1", check=False)
    assert missing.returncode == 1 and "manifest unknown" in missing.stderr or "name unknown" in missing.stderr
    assert "no such file" in engine.berth("artifact", "push", f"{registry.address}/artifact/x:1", files / "absent", check=False).stderr
    assert "no plain file" in engine.berth("artifact", "push", f"{registry.address}/artifact/x:1", files, check=False).stderr
    status, answer = engine.request("GET", "/berth/artifacts/json")
    assert status == 400 and "parameter name is empty" in answer["message"]
