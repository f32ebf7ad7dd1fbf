"""docker-py's images, networks and volumes."""
import contextlib
import gzip
import io
import json
import tarfile

import docker
import pytest
from docker.errors import APIError, BuildError, ImageLoadError, ImageNotFound, NotFound
from docker.types import IPAMConfig, IPAMPool

DOCKERFILE = """
FROM busybox AS base
ARG WORD=nothing
LABEL made.by=docker-py
COPY . /context
RUN echo "$WORD" > /word && ls /context > /listing
FROM base AS last
CMD ["cat", "/word", "/listing"]
"""


@pytest.fixture(scope="module")
def client(engine):
    with contextlib.closing(docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)) as made:
        yield made


def test_builds_a_folder(client, tmp_path):
    for name, text in (("Dockerfile", DOCKERFILE), (".dockerignore", "*.log\n!kept.log\n"), ("a.log", ""), ("kept.log", ""), ("b.txt", "")):
        (tmp_path / name).write_text(text)
    image, log = client.images.build(path=str(tmp_path), tag="built:v1", buildargs={"WORD": "given"}, target="last", labels={"more": "yes"}, rm=True)
    said = [line["stream"] for line in log if "stream" in line]
    assert any(line.startswith("Step 2/") for line in said) and said[-1] == "Successfully tagged built:v1\n"
    assert client.containers.run("built:v1", remove=True) == b"given\nb.txt\nDockerfile\nkept.log\n".replace(b"b.txt\nDockerfile", b"Dockerfile\nb.txt")
    assert image.labels == {"made.by": "docker-py", "more": "yes"} and image.tags == ["built:v1"]
    assert [layer["CreatedBy"] for layer in image.history()][1].endswith('CMD ["cat" "/word" "/listing"]')
    _, log = client.images.build(path=str(tmp_path), tag="built:v1", buildargs={"WORD": "given"}, target="last", labels={"more": "yes"}, rm=True)
    assert sum("Using cache" in line.get("stream", "") for line in log) >= 3
    client.images.remove("built:v1")


def test_builds_from_a_file_object_and_reports_failures(client):
    image, _ = client.images.build(fileobj=io.BytesIO(b"FROM busybox\nENTRYPOINT [\"echo\", \"built\"]\n"), tag="plain")
    assert client.containers.run(image, "more", remove=True) == b"built more\n"
    client.images.remove(image.id, force=True)
    with pytest.raises(BuildError, match="returned a non-zero code: 9") as failed:
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo before; exit 9\n"))
    assert any("before" in line.get("stream", "") for line in failed.value.build_log)
    with pytest.raises((BuildError, APIError), match="unknown instruction: FORM"):
        client.images.build(fileobj=io.BytesIO(b"FORM busybox\n"))


def test_builds_a_custom_context(client):
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w:gz") as tar:
        for name, data in (("build/File", b"FROM busybox\nCOPY data /data\nCMD [\"cat\", \"/data\"]\n"), ("data", b"packed")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    context.seek(0)
    image, _ = client.images.build(fileobj=context, custom_context=True, encoding="gzip", dockerfile="build/File", tag="packed", nocache=True)
    assert client.containers.run("packed", remove=True) == b"packed"
    client.images.remove("packed")


def test_saves_and_loads(client):
    image = client.images.get("busybox")
    assert image.tag("saved", "one") is True
    data = b"".join(client.images.get("saved:one").save(named="saved:one"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert json.load(tar.extractfile("manifest.json"))[0]["RepoTags"] == ["saved:one"]
    client.images.remove("saved:one")
    with pytest.raises(ImageNotFound):
        client.images.get("saved:one")
    loaded = client.images.load(data)
    assert [one.tags for one in loaded] == [sorted(client.images.get(image.id).tags)] and loaded[0].id == image.id
    client.images.remove("saved:one")
    assert client.images.load(gzip.compress(data))[0].id == image.id
    client.images.remove("saved:one")
    assert client.images.list(filters={"reference": "saved"}) == []
    with pytest.raises(ImageLoadError):
        client.images.load(b"no archive at all")


def test_pushes_and_pulls(client, registry):
    name = f"{registry.address}/team/box"
    image = client.images.get("busybox")
    for tag in ("v1", "v2"):
        image.tag(name, tag)
    log = list(client.images.push(name, "v1", stream=True, decode=True))
    digest = next(line["aux"]["Digest"] for line in log if "aux" in line)
    assert log[0]["status"] == f"The push refers to repository [{name}]" and {line.get("status") for line in log} >= {"Pushed"}
    assert "error" not in client.images.push(name)
    for tag in ("v1", "v2"):
        client.images.remove(f"{name}:{tag}")
    pulled = client.images.pull(name, "v1")
    assert pulled.tags and f"{name}:v1" in pulled.tags and f"{name}@{digest}" in pulled.attrs["RepoDigests"]
    assert {f"{name}:v1", f"{name}:v2"} <= {tag for one in client.images.pull(name, all_tags=True) for tag in one.tags}
    data = client.images.get_registry_data(f"{name}:v1")
    assert data.id == digest and data.has_platform("linux/amd64")
    lines = list(client.api.pull(f"{name}@{digest}", stream=True, decode=True))
    assert lines[-1]["status"].startswith("Status: ")
    with pytest.raises((NotFound, APIError), match="manifest unknown|not found"):
        client.images.pull(f"{registry.address}/team/absent", "v1")
    for reference in (f"{name}:v1", f"{name}:v2", f"{name}@{digest}"):
        try:
            client.images.remove(reference)
        except ImageNotFound:
            pass  # the digest goes with the last tag


def test_imports(client):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("only"))
    answer = client.api.import_image_from_data(made.getvalue(), repository="imported", tag="x", changes=["CMD only"])
    digest = json.loads(answer.strip().splitlines()[-1])["status"]
    assert client.images.get("imported:x").id == digest
    assert client.images.get("imported:x").attrs["Config"]["Cmd"] == ["/bin/sh", "-c", "only"]
    client.images.remove("imported:x")


def test_networks(client):
    ranges = IPAMConfig(pool_configs=[IPAMPool(subnet="10.99.7.0/24", gateway="10.99.7.1", iprange="10.99.7.128/25")])
    network = client.networks.create("net", ipam=ranges, labels={"a": "b"}, check_duplicate=True, options={"com.docker.network.bridge.name": "brpy"})
    server = client.containers.run("busybox", ["cat"], stdin_open=True, detach=True, name="server")
    network.connect(server, aliases=["alias"], ipv4_address="10.99.7.200")
    asked = client.containers.run("busybox", ["nslookup", "alias"], network="net", remove=True)
    assert b"10.99.7.200" in asked
    server.reload()
    assert server.attrs["NetworkSettings"]["Networks"]["net"]["Gateway"] == "10.99.7.1"
    network.reload()
    assert [one.name for one in network.containers] == ["server"]
    assert network.attrs["IPAM"]["Config"] == [{"Subnet": "10.99.7.0/24", "Gateway": "10.99.7.1", "IPRange": "10.99.7.128/25"}]
    assert client.networks.list(names=["net"], filters={"label": "a=b"}, greedy=True)[0].containers == [server]
    with pytest.raises(APIError, match="has active endpoints"):
        network.remove()
    network.disconnect(server, force=True)
    network.reload()
    assert network.containers == []
    assert client.networks.prune()["NetworksDeleted"] == ["net"]
    with pytest.raises(NotFound, match="network net not found"):
        client.networks.get("net")


def test_volumes(client):
    volume = client.volumes.create("data", driver="local", labels={"keep": "no"})
    client.containers.run("busybox", ["sh", "-c", "echo kept > /data/file"], volumes={"data": {"bind": "/data", "mode": "rw"}}, remove=True)
    said = client.containers.run("busybox", ["sh", "-c", "cat /data/file; touch /data/x 2>/dev/null || echo closed"], volumes=["data:/data:ro"], remove=True)
    assert said == b"kept\nclosed\n"
    holder = client.containers.create("busybox", volumes={"data": {"bind": "/data"}})
    with pytest.raises(APIError) as used:
        volume.remove()
    assert used.value.status_code == 409 and "volume is in use" in used.value.explanation
    assert client.volumes.list(filters={"dangling": True}) == []
    holder.remove()
    assert client.volumes.list(filters={"label": "keep"}) == [volume] and volume.attrs["Scope"] == "local"
    pruned = client.volumes.prune(filters={"all": True})
    assert pruned["VolumesDeleted"] == ["data"] and pruned["SpaceReclaimed"] >= 5
    with pytest.raises(NotFound):
        client.volumes.get("data")
