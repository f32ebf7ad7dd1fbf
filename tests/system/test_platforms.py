"""Images for several platforms: pulled one by one, listed, saved, loaded, pushed and removed under one name."""
import json
import platform
import subprocess
import urllib.parse

import pytest

from engine import BIN, DEADLINE, Engine
from registries import INDEX, MANIFEST, Client, describe
from tars import tar_of

HOST = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHERS = ["s390x", "riscv64"]
INSTEAD = "Not all multiplatform-content is present and only the available single-platform image was pushed"


def query_of(architecture):
    return urllib.parse.quote(json.dumps({"os": "linux", "architecture": architecture}))


def publish(engine, registry, architectures, folder, name="multi"):
    """One image for each platform, and an index of them; its digest."""
    client = Client(registry.address)
    entries = []
    for architecture in architectures:
        tag = f"{registry.address}/{name}:{architecture}"
        archive = folder / "root.tar"
        archive.write_bytes(tar_of({"arch": architecture, "same": b"s" * 1000}))
        engine.berth("import", "--platform", f"linux/{architecture}", "-c", 'CMD ["/x"]', archive, tag)
        engine.berth("push", "-q", tag)
        engine.berth("rmi", tag)
        manifest = client.ask("GET", f"/v2/{name}/manifests/{architecture}", headers={
            "Accept": f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"})
        assert manifest.status == 200, manifest.body
        entries.append(describe(manifest.headers["content-type"], manifest.body,
                                platform={"os": "linux", "architecture": architecture}))
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    assert client.ask("PUT", f"/v2/{name}/manifests/1", index, {"Content-Type": INDEX}).status == 201
    return describe(INDEX, index)["digest"]


@pytest.fixture
def multi(fresh_engine, registry, tmp_path):
    digest = publish(fresh_engine, registry, [HOST, *OTHERS], tmp_path)
    return f"{registry.address}/multi:1", digest


def pull(engine, name, architectures):
    for architecture in architectures:
        engine.berth("pull", "-q", "--platform", f"linux/{architecture}", name)


def architecture_of(engine, name, *flags):
    return engine.berth("image", "inspect", *flags, "-f", "{{.Architecture}}", name).stdout.strip()


def manifests_of(engine, name):
    document = engine.request("GET", f"/v1.48/images/{name}/json?manifests=1")[1]
    return document["Descriptor"], {entry["ImageData"]["Platform"]["architecture"]: entry for entry in document["Manifests"]}


def test_platforms_gather_under_one_name(fresh_engine, multi):
    name, digest = multi
    pull(fresh_engine, name, OTHERS[:1])
    assert architecture_of(fresh_engine, name) == OTHERS[0]  # the only one that is here
    pull(fresh_engine, name, [HOST])
    assert architecture_of(fresh_engine, name) == HOST
    assert architecture_of(fresh_engine, name, "--platform", f"linux/{OTHERS[0]}") == OTHERS[0]
    assert f"does not match the specified platform (linux/{OTHERS[1]})" in fresh_engine.berth(
        "image", "inspect", "--platform", f"linux/{OTHERS[1]}", name, check=False).stderr
    again = fresh_engine.berth("pull", "--platform", f"linux/{OTHERS[0]}", name).stdout
    assert "Image is up to date" in again
    listed = [image for image in fresh_engine.request("GET", "/images/json?manifests=1")[1] if name in image["RepoTags"]]
    assert len(listed) == 1 and listed[0]["Descriptor"]["digest"] == digest and len(listed[0]["Manifests"]) == 3
    assert len(fresh_engine.berth("images", "-q").stdout.split()) == 2  # and busybox
    descriptor, manifests = manifests_of(fresh_engine, name)
    assert descriptor["digest"] == digest
    assert {key: entry["Available"] for key, entry in manifests.items()} == {HOST: True, OTHERS[0]: True, OTHERS[1]: False}
    assert manifests[HOST]["Kind"] == "image" and manifests[HOST]["ImageData"]["Size"]["Unpacked"] == 1000 + len(HOST)
    assert manifests[HOST]["Size"]["Total"] == manifests[HOST]["Size"]["Content"] + 1000 + len(HOST)
    container = fresh_engine.berth("create", "--platform", f"linux/{OTHERS[0]}", name).stdout.strip()
    assert manifests_of(fresh_engine, name)[1][OTHERS[0]]["ImageData"]["Containers"] == [container]
    tree = fresh_engine.berth("images", "--tree").stdout.splitlines()
    at = next(i for i, line in enumerate(tree) if line.startswith(name))
    assert tree[at].split()[-1] == "U" and tree[at + 1].startswith(f"├─ linux/{HOST} ") and "├─ linux/s390x" in tree[at + 2]
    assert tree[at + 3].startswith("└─ linux/riscv64") and "0B" in tree[at + 3]
    assert fresh_engine.berth("image", "prune", "-f").stdout.strip() == "Total reclaimed space: 0B"
    fresh_engine.berth("image", "prune", "-af")
    assert len(manifests_of(fresh_engine, name)[1]) == 3  # one of them is in use
    fresh_engine.berth("rm", container)
    fresh_engine.berth("image", "prune", "-af")
    assert fresh_engine.berth("images", "-aq").stdout == "" and not fresh_engine.berth("system", "check").stderr


def test_push_of_all_is_the_index_and_of_some_a_manifest(fresh_engine, registry, multi):
    name, digest = multi
    target = f"{registry.address}/copy/multi:2"
    pull(fresh_engine, name, [HOST, OTHERS[0]])
    fresh_engine.berth("tag", name, target)
    pushed = fresh_engine.berth("push", target).stdout
    assert INSTEAD in pushed and f"{digest} -> sha256:" in pushed and f"2: digest: {digest}" not in pushed
    client = Client(registry.address)
    accept = {"Accept": f"{INDEX}, {MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"}
    assert "manifests" not in client.ask("GET", "/v2/copy/multi/manifests/2", headers=accept).json()
    pull(fresh_engine, name, [OTHERS[1]])
    fresh_engine.berth("tag", name, target)
    pushed = fresh_engine.berth("push", target).stdout
    assert INSTEAD not in pushed and f"2: digest: {digest}" in pushed
    answer = client.ask("GET", "/v2/copy/multi/manifests/2", headers=accept)
    assert answer.headers["docker-content-digest"] == digest
    for entry in answer.json()["manifests"]:
        assert client.ask("HEAD", f"/v2/copy/multi/manifests/{entry['digest']}", headers=accept).status == 200
    fresh_engine.berth("push", "--platform", f"linux/{OTHERS[0]}", target)
    wanted = next(entry["digest"] for entry in answer.json()["manifests"] if entry["platform"]["architecture"] == OTHERS[0])
    assert client.ask("HEAD", "/v2/copy/multi/manifests/2", headers=accept).headers["docker-content-digest"] == wanted


def test_save_and_load(fresh_engine, multi, tmp_path_factory):
    name, digest = multi
    pull(fresh_engine, name, [HOST, *OTHERS])
    folder = tmp_path_factory.mktemp("archives")
    fresh_engine.berth("save", "-o", folder / "all.tar", name)
    fresh_engine.berth("save", "-o", folder / "two.tar", "--platform", f"linux/{HOST},linux/{OTHERS[0]}", name)
    with Engine(tmp_path_factory.mktemp("other")) as other:
        assert other.berth("load", "-i", folder / "all.tar").stdout == f"Loaded image: {name}\n"
        descriptor, manifests = manifests_of(other, name)
        assert descriptor["digest"] == digest and all(entry["Available"] for entry in manifests.values())
        other.berth("rmi", name)
        assert other.berth("images", "-aq").stdout == ""
        other.berth("load", "-i", folder / "two.tar")
        assert set(manifests_of(other, name)[1]) == {HOST, OTHERS[0]}
        other.berth("rmi", name)
        other.berth("load", "--platform", f"linux/{OTHERS[1]}", "-i", folder / "all.tar")
        assert architecture_of(other, name) == OTHERS[1]
        missing = other.berth("load", "--platform", "linux/mips64le", "-i", folder / "all.tar", check=False)
        assert missing.returncode == 1 and "no matching manifest for linux/mips64le" in missing.stderr
    # Others read it too: what skopeo takes from it is the index, bit for bit.
    copied = subprocess.run(["skopeo", "inspect", "--raw", f"oci-archive:{folder / 'all.tar'}:1"], capture_output=True, timeout=DEADLINE)
    assert copied.returncode == 0, copied.stderr
    assert describe(INDEX, copied.stdout)["digest"] == digest


def test_removal_of_one_platform(fresh_engine, multi):
    name, _ = multi
    pull(fresh_engine, name, [HOST, *OTHERS])
    gone = fresh_engine.berth("rmi", "--platform", f"linux/{OTHERS[0]}", name).stdout
    assert "Deleted: sha256:" in gone and f"Untagged: {name}\n" not in gone
    assert {key: entry["Available"] for key, entry in manifests_of(fresh_engine, name)[1].items()} == {
        HOST: True, OTHERS[0]: False, OTHERS[1]: True}
    assert "does not provide the specified platform" in fresh_engine.berth(
        "rmi", "--platform", f"linux/{OTHERS[0]}", name, check=False).stderr
    fresh_engine.berth("rmi", "--platform", f"linux/{HOST}", name)
    assert architecture_of(fresh_engine, name) == OTHERS[1]
    container = fresh_engine.berth("create", name).stdout.strip()
    assert "is using its referenced image" in fresh_engine.berth("rmi", name, check=False).stderr
    fresh_engine.berth("rm", container)
    status, lines = fresh_engine.request("DELETE", f"/v1.50/images/{name}?platforms={query_of(OTHERS[1])}")
    assert status == 200 and {"Untagged": name} in lines
    assert name not in fresh_engine.berth("images", "-a").stdout
    pull(fresh_engine, name, [HOST, OTHERS[0]])
    lines = fresh_engine.berth("rmi", name).stdout.splitlines()
    assert lines.count(f"Untagged: {name}") == 1 and len([line for line in lines if line.startswith("Deleted:")]) == 4
    assert fresh_engine.berth("system", "check").returncode == 0
    assert not [path for path in (fresh_engine.data / "blobs" / "sha256").iterdir()
                if path.name not in known_blobs(fresh_engine)]


def known_blobs(engine):
    """Those of busybox, the one image that is left."""
    image = engine.request("GET", "/images/busybox/json")[1]
    return {image["Id"].removeprefix("sha256:"), *(path.name for path in (engine.data / "blobs" / "sha256").iterdir()
                                                   if path.read_bytes()[:2] == b"\x1f\x8b")}


def test_a_build_takes_the_platform_that_it_asks_for(fresh_engine, multi, tmp_path):
    name, _ = multi
    pull(fresh_engine, name, [HOST, OTHERS[0]])
    (tmp_path / "Dockerfile").write_text(f"FROM --platform=linux/{OTHERS[0]} {name}\nLABEL a=b\n")
    fresh_engine.berth("build", "-q", "-t", "made", tmp_path)
    assert architecture_of(fresh_engine, "made") == OTHERS[0]
