"""Decompression bombs: refused while they are small, with a sentence, and nothing of them stays."""
import gzip
import json
import pathlib
import re
import subprocess
import tarfile

import pytest

from engine import Engine, file_list, wait_until
from registries import Client, LAYER, describe
from tars import tar_of

SIZE_WORDS = "uncompressed it has more than the 67108864 bytes that max-layer-size allows"
RATIO_WORDS = "gzip stream grows to more than 200 times its size, which max-layer-ratio does not allow above 1073741824 bytes"


def bomb(path, size):
    """A gzip file of a tar with one file of zeros: a thousandth of what it grows to."""
    entry = tarfile.TarInfo("zeros")
    entry.size = size
    with open(path, "wb") as file, subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=file) as packer:
        packer.stdin.write(entry.tobuf())
        block = bytes(1 << 20)
        for _ in range((size >> 20) + 1):
            packer.stdin.write(block)
        packer.stdin.close()
        assert packer.wait() == 0
    return path


def peak_memory(engine):
    """MiB"""
    status = pathlib.Path(f"/proc/{engine.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) >> 10


def image_of(layer):
    """(configuration, manifest) of an image that says it has this layer."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": describe("application/vnd.oci.image.config.v1+json", config),
                           "layers": [describe(LAYER, layer)]}).encode()
    return config, manifest


def archive_of(path, layer):
    """What docker load takes."""
    config, _ = image_of(layer)
    path.write_bytes(tar_of({
        "layer.tar": layer, "config.json": config,
        "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": ["bomb:1"], "Layers": ["layer.tar"]}])}))
    return path


@pytest.fixture
def small_engine(tmp_path, rootfs_tar):
    """An engine whose layers have at most 64 MiB."""
    with Engine(tmp_path, "--max-layer-size=64m", "--gc-unused-for=0s", "--gc-delay=0s") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


def refused(engine, words, *command):
    before = file_list(engine.data)
    memory = peak_memory(engine)
    done = engine.berth(*command, check=False)
    assert done.returncode != 0 and words in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert peak_memory(engine) - memory < 32
    wait_until("a clean disk", lambda: file_list(engine.data) == before)


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_bomb_is_refused_by_its_size(small_engine, registry, tmp_path, client):
    engine = small_engine
    packed = bomb(tmp_path / "bomb.tar.gz", 256 << 20)
    assert packed.stat().st_size < 2 << 20
    layer = packed.read_bytes()
    pushing = Client(registry.address)
    config, manifest = image_of(layer)
    for data in (layer, config):
        pushing.push_blob("bomb", data)
    pushing.push_manifest("bomb", "1", manifest)
    before = file_list(engine.data)
    memory = peak_memory(engine)
    commands = [
        ["pull", f"{registry.address}/bomb:1"],
        ["load", "-i", archive_of(tmp_path / "bomb.tar", layer)],
        ["load", "-i", archive_of(tmp_path / "bomb-plain.tar", gzip.decompress(layer))],
        ["import", packed],
    ]
    for command in commands:
        done = getattr(engine, client)(*command, check=False)
        assert done.returncode != 0 and SIZE_WORDS in done.stdout + done.stderr, (command, done.stdout, done.stderr)
    assert peak_memory(engine) - memory < 48
    wait_until("a clean disk", lambda: file_list(engine.data) == before)
    assert engine.berth("images", "-q").stdout.count("\n") == 1
    # What is no larger goes through.
    engine.berth("import", bomb(tmp_path / "small.tar.gz", 60 << 20), "small")


def test_a_build_refuses_bombs(small_engine, tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    bomb(context / "bomb.tar.gz", 256 << 20)
    (context / "Dockerfile").write_text("FROM busybox\nADD bomb.tar.gz /\n")
    refused(small_engine, SIZE_WORDS, "build", context)
    (context / "Dockerfile").write_text("FROM busybox\nCOPY bomb.tar.gz /\n")
    small_engine.berth("build", context)
    with subprocess.Popen(["cat", bomb(tmp_path / "context.tar.gz", 256 << 20)], stdout=subprocess.PIPE) as stream:
        done = subprocess.run([small_engine.environment["PATH"].split(":")[0] + "/berth", "build", "-"], stdin=stream.stdout,
                              env=small_engine.environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and SIZE_WORDS in done.stdout + done.stderr, done


def test_a_bomb_is_refused_by_its_ratio(fresh_engine, tmp_path):
    refused(fresh_engine, RATIO_WORDS, "import", bomb(tmp_path / "bomb.tar.gz", 3 << 30))

