"""An image whose blobs have SHA-512 digests is pulled, run, saved, loaded and pushed on as it was."""
import gzip
import json
import shutil
import tarfile

from engine import Registry
from registries import CONFIG, LAYER, MANIFEST, Client, digest


def push_image(client, rootfs_tar, folder):
    own = folder / "rootfs.tar"  # no layer that the engine has already
    shutil.copy(rootfs_tar, own)
    with tarfile.open(own, "a") as archive:
        archive.addfile(tarfile.TarInfo("marker"))
    tar = own.read_bytes()
    layer = gzip.compress(tar, 1)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["echo", "long digests"], "Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}}).encode()
    parts = [{"mediaType": kind, "digest": digest(data, "sha512"), "size": len(data)} for kind, data in ((CONFIG, config), (LAYER, layer))]
    for part, data in zip(parts, (config, layer)):
        client.push_blob("long", data, part["digest"])
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    return client.push_manifest("long", "v1", document)


def test_images_with_sha512(engine, rootfs_tar, tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        manifest = push_image(client, rootfs_tar, tmp_path)
        source, archive = f"{registry.address}/long:v1", tmp_path / "long.tar"
        engine.berth("pull", source)
        assert engine.berth("run", "--rm", source).stdout == "long digests\n"
        assert engine.berth("system", "check", "--deep").returncode == 0
        engine.berth("save", "-o", str(archive), source)
        engine.berth("rmi", source)
        assert not list((engine.data / "blobs/sha512").iterdir())
        engine.berth("load", "-i", str(archive))
        assert engine.berth("run", "--rm", source).stdout == "long digests\n"
        copy = f"{registry.address}/copy:v2"
        engine.berth("tag", source, copy)
        engine.berth("push", copy)
        assert client.get("/v2/copy/manifests/v2").body == manifest
