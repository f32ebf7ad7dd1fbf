"""Images as files: archives with several images, compressed or not, and folders with an image layout."""
import json
import subprocess
import tarfile

import pytest


@pytest.fixture
def images(engine, tmp_path):
    """Two images on one base, and an archive with both."""
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM busybox\nRUN echo {name} > /name\n")
        engine.berth("build", "-q", "-t", name, folder)
    archive = tmp_path / "both.tar"
    engine.berth("save", "-o", archive, "first", "second")
    identities = {name: engine.inspect(name)["Id"] for name in ("first", "second")}
    engine.berth("rmi", "first", "second")
    yield archive, identities
    engine.berth("rmi", "-f", *identities, check=False)


def check_loaded(engine, identities):
    assert {name: engine.inspect(name)["Id"] for name in identities} == identities
    for name in identities:
        assert engine.berth("run", "--rm", name, "cat", "/name").stdout == f"{name}\n"
        assert f"echo {name} > /name" in engine.berth("history", "--no-trunc", name).stdout


def without_docker_manifest(archive):
    """The archive as a folder, with nothing in it but the OCI layout."""
    folder = archive.parent / "layout"
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    (folder / "manifest.json").unlink()
    (folder / "repositories").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("client", ["berth", "docker"])
@pytest.mark.parametrize("compressor", [None, "gzip", "zstd"])
def test_several_images_in_one_archive(engine, images, client, compressor):
    archive, identities = images
    if compressor:
        packed = archive.with_suffix("." + compressor)
        with open(packed, "wb") as out:
            subprocess.run([compressor, "-c", archive], stdout=out, check=True)
        archive = packed
    done = getattr(engine, client)("load", "-i", archive)
    assert sorted(done.stdout.splitlines()) == ["Loaded image: first:latest", "Loaded image: second:latest"]
    check_loaded(engine, identities)


def test_a_folder_with_an_oci_layout(engine, images):
    archive, identities = images
    folder = without_docker_manifest(archive)
    done = engine.berth("load", "-i", folder)
    assert sorted(done.stdout.splitlines()) == ["Loaded image: first:latest", "Loaded image: second:latest"]
    check_loaded(engine, identities)


def test_a_folder_with_an_index_of_several_platforms(engine, images):
    archive, identities = images
    folder = without_docker_manifest(archive)
    index = json.loads((folder / "index.json").read_text())
    mine = next(entry for entry in index["manifests"] if "first" in json.dumps(entry.get("annotations", {})))
    annotations = mine.pop("annotations")
    architecture = engine.inspect("busybox:latest")["Architecture"]
    other = dict(mine, digest="sha256:" + "0" * 64, platform={"os": "linux", "architecture": "s390x"})
    inner = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                        "manifests": [other, dict(mine, platform={"os": "linux", "architecture": architecture})]})
    digest = subprocess.run(["sha256sum"], input=inner, capture_output=True, text=True, check=True).stdout.split()[0]
    (folder / "blobs" / "sha256" / digest).write_text(inner)
    index["manifests"] = [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}",
                           "size": len(inner), "annotations": annotations}]
    (folder / "index.json").write_text(json.dumps(index))
    engine.berth("load", "-i", folder)
    check_loaded(engine, {"first": identities["first"]})


def test_a_folder_without_an_image(engine, tmp_path):
    done = engine.berth("load", "-i", tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr == f"berth: {tmp_path} is no image: it has neither an oci-layout nor a manifest.json\n"
