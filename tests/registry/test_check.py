"""berth-registry check: what is damaged or missing in a root is told, and repaired where the root itself can tell what is right."""
import json
import os
import subprocess

import pytest

from engine import BIN, Registry
from registries import INDEX, MANIFEST, Client, describe, digest


def check(root, *flags, code=0):
    done = subprocess.run([str(BIN / "berth-registry"), "check", "--root", str(root), *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def words(report):
    return sorted((problem["where"].rsplit("/", 1)[-1], problem["what"], problem["repaired"]) for problem in report["problems"])


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.fixture
def filled(tmp_path):
    """A root with images in two repositories, a referrer, and an upload that goes on."""
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        for name in ("a", "team/b"):
            for number in range(3):
                client.push_image(name, f"v{number}", b"layer %d" % number)
        subject = client.get("/v2/a/manifests/v0").body
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "a/sig", "manifests": [],
                           "subject": describe(MANIFEST, subject)}).encode()
        client.push_manifest("a", digest(body), body, INDEX)
        client.ask("PATCH", client.begin("a"), b"half")
    return tmp_path


@pytest.mark.parametrize("served", (False, True))
def test_a_whole_root_is_clean(filled, served):
    root = filled / "data"
    if served:
        with Registry(filled):
            report = check(root)
    else:
        report = check(root)
    assert report["problems"] == [] and report["unrepaired"] == 0
    assert (report["repositories"], report["manifests"]) == (2, 7)
    pool = list((root / "blobs" / "sha256").iterdir())
    assert report["blobs"] == len(pool) and report["bytes"] == sum(path.stat().st_size for path in pool)


@pytest.mark.parametrize("served", (False, True))
def test_a_damaged_blob_is_taken_away_and_comes_with_the_next_push(filled, served):
    root = filled / "data"
    name = digest(b"layer 1")[7:]
    flip(root / "blobs" / "sha256" / name)
    registry = Registry(filled)
    if served:
        registry.start()
    found = check(root, code=1)
    assert found["unrepaired"] == 2 and found["repaired"] == 0  # a link in each repository
    assert (root / "blobs" / "sha256" / name).exists()
    repaired = check(root, "--repair", code=1)  # the images lack a layer now: that cannot be repaired here
    assert (name, True) in {(where, done) for where, _, done in words(repaired)}
    assert not (root / "blobs" / "sha256" / name).exists()
    missing = [problem for problem in repaired["problems"] if not problem["repaired"]]
    assert {problem["what"] for problem in missing} == {f"refers to sha256:{name}, which is not there"} and len(missing) == 2
    if not served:
        registry.start()
    client = Client(registry.address)
    assert client.ask("HEAD", f"/v2/a/blobs/sha256:{name}").status == 404  # so no client skips it
    for repository in ("a", "team/b"):
        client.push_image(repository, "v1", b"layer 1")
    registry.process.terminate()
    assert registry.process.wait(60) == 0
    assert check(root)["problems"] == []


def test_a_manifest_that_is_damaged_or_missing_is_forgotten_with_its_tags(filled):
    root = filled / "data"
    layout = root / "repositories" / "a" / "_layout"
    tags = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
            for entry in json.loads((layout / "index.json").read_text())["manifests"]
            if "org.opencontainers.image.ref.name" in entry["annotations"]}
    for tag, spoil in (("v1", flip), ("v2", os.unlink)):
        path = layout / "blobs" / "sha256" / tags[tag][7:]
        data = path.read_bytes()
        path.unlink()  # of this repository alone
        path.write_bytes(data)
        spoil(path)
    report = check(root, "--repair")
    told = {problem["where"]: problem["what"] for problem in report["problems"]}
    assert told[f"a@{tags['v2']}"] == "is listed, but not there; its tags: v2"
    assert told[f"a@{tags['v1']}"] == "is listed, but not there; its tags: v1"  # its damaged bytes were taken away before
    with Registry(filled) as registry:
        client = Client(registry.address)
        assert client.get("/v2/a/tags/list").json()["tags"] == ["v0"]
        assert client.get("/v2/team/b/tags/list").json()["tags"] == ["v0", "v1", "v2"]
        assert client.get(f"/v2/a/manifests/{tags['v1']}").status == 404
    assert check(root)["problems"] == []


def test_links_to_the_pool_are_made_again(filled):
    root = filled / "data"
    name = digest(b"layer 0")[7:]
    (root / "blobs" / "sha256" / name).unlink()  # as a power failure may leave it
    copy = root / "repositories" / "a" / "_layout" / "blobs" / "sha256" / digest(b"layer 2")[7:]
    data = copy.read_bytes()
    copy.unlink()
    copy.write_bytes(data)
    assert {what for _, what, _ in words(check(root, code=1))} == {"is not in the pool", "is kept twice"}
    assert {(what, done) for _, what, done in words(check(root, "--repair"))} == {("is not in the pool", True), ("is kept twice", True)}
    assert check(root)["problems"] == []
    assert (root / "blobs" / "sha256" / name).stat().st_nlink == 3
    assert copy.stat().st_nlink == 3


def test_referrers_that_another_program_left_out_of_the_index_are_found(filled):
    root = filled / "data"
    path = root / "repositories" / "a" / "_layout" / "index.json"
    index = json.loads(path.read_text())
    for entry in index["manifests"]:
        entry.get("annotations", {}).pop("io.berth.registry.subject", None)
        entry["size"] += 0
    index["manifests"][0]["size"] += 1
    path.write_text(json.dumps(index))
    report = check(root, "--repair")
    assert [what for _, what, _ in words(report)] == ["is listed with another size or subject"] * 2
    with Registry(filled) as registry:
        client = Client(registry.address)
        subject = digest(client.get("/v2/a/manifests/v0").body)
        assert len(client.get(f"/v2/a/referrers/{subject}").json()["manifests"]) == 1


def test_what_cannot_be_repaired_is_named(filled):
    root = filled / "data"
    stray = root / "repositories" / "a" / "_layout" / "blobs" / "sha256" / "stray"
    stray.write_text("x")
    (root / "repositories" / "a" / "_uploads" / "mine").write_text("x")
    (root / "repositories" / "team" / "b" / "_layout" / "index.json").write_text("{")
    report = check(root, "--repair", code=1)
    found = {where: what for where, what, _ in words(report)}
    assert found["stray"] == "is no blob by its name" and found["mine"] == "is no upload by its name"
    assert found["b"].startswith("index of repository team/b: invalid JSON")
    assert report["unrepaired"] == 3
    assert stray.exists()


def test_repair_is_for_check_alone(tmp_path):
    done = subprocess.run([str(BIN / "berth-registry"), "gc", "--root", str(tmp_path), "--repair"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--repair is for check" in done.stderr
