"""Layers that come as tars and become directories: the tar is made again from the files and the frame beside them."""
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

import pytest

from engine import Engine, file_list


def odd_layer():
    """What nobody makes again from the files: unsorted, with names of owners, a name twice, and more behind its end."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in [("z", b"last comes first"), ("a/twice", b"the first one"), ("a/" + "n" * 150, b"long" * 5000),
                              ("a/twice", b"the second one"), (".wh.home", b""), ("big", bytes(range(256)) * 20_000)]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.gname = len(content), 1_600_000_000, "somebody", "everybody"
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("a/linked")
        link.type, link.linkname = tarfile.LNKTYPE, "z"
        tar.addfile(link)
    return data.getvalue() + b"behind the end"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def layers(rootfs_tar):
    return [pathlib.Path(rootfs_tar).read_bytes(), odd_layer()]


@pytest.fixture
def archive(tmp_path, layers):
    """As `docker save` of the classic store writes it: layers as tars."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]}}).encode()
    files = {f"blobs/sha256/{digest(data)}": data for data in [*layers, config]}
    names = list(files)
    files["manifest.json"] = json.dumps([{"Config": names[-1], "RepoTags": ["odd:latest"], "Layers": names[:-1]}]).encode()
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return tmp_path / "odd.tar"


@pytest.fixture
def directory_engine(tmp_path):
    with Engine(tmp_path, "--storage-opt=overlay2.layer_form=directory") as engine:
        yield engine


def layer_files(engine, name):
    return sorted((engine.data / "layers").glob(f"*/{name}"))


def check(engine, *flags):
    return engine.berth("system", "check", "--deep", *flags, check=False)


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_loaded_image_goes_out_as_it_came(directory_engine, archive, layers, tmp_path, registry, client):
    engine = directory_engine
    run = getattr(engine, client)
    run("load", "-i", archive)
    assert len(layer_files(engine, "tar.frame")) == 2 and layer_files(engine, "layer.erofs") == []
    assert sum(path.stat().st_size for path in (engine.data / "blobs").glob("sha256/*")) < 10_000
    seen = engine.berth("run", "--rm", "odd", "sh", "-c", "cat /a/twice /a/linked; ls -d /home", check=False)
    assert seen.stdout == "the second onelast comes first"
    assert check(engine).returncode == 0
    run("save", "-o", tmp_path / "saved.tar", "odd")
    with tarfile.open(tmp_path / "saved.tar") as saved:
        for layer in layers:
            assert saved.extractfile(f"blobs/sha256/{digest(layer)}").read() == layer
    identity = engine.inspect("odd")["Id"]
    name = f"{registry.address}/{client}/odd:1"
    engine.berth("tag", "odd", name)
    run("push", name)
    engine.berth("rmi", "odd", name)
    engine.berth("pull", name)
    assert engine.inspect(name)["Id"] == identity
    assert check(engine).returncode == 0


def test_the_frame_counts_and_goes_with_its_layer(directory_engine, archive):
    engine = directory_engine
    before = file_list(engine.data / "layers")
    engine.berth("load", "-i", archive)
    usage = engine.request("GET", "/system/df")[1]
    there = sum(int(subprocess.run(["du", "-s", "-x", "--block-size=1", engine.data / folder], capture_output=True, check=True)
                    .stdout.split()[0]) for folder in ("layers", "blobs"))
    assert abs(usage["LayersSize"] - there) <= 4096 * (len(file_list(engine.data / "layers")) + 1)
    engine.berth("rmi", "odd")
    assert file_list(engine.data / "layers") == before


def test_a_file_that_was_changed_is_named(directory_engine, archive, tmp_path, registry):
    engine = directory_engine
    engine.berth("load", "-i", archive)
    file = layer_files(engine, "diff/big")[0]
    content = file.read_bytes()
    file.write_bytes(b"x" + content[1:])
    found = check(engine)
    assert found.returncode == 1 and "of odd:latest" in found.stdout and "there is no blob" in found.stdout, found.stdout
    name = f"{registry.address}/changed/odd:1"
    engine.berth("tag", "odd", name)
    # Neither a registry nor an archive gets it.
    assert "bit for bit" in engine.berth("push", name, check=False).stderr
    assert engine.berth("save", "-o", tmp_path / "saved.tar", "odd", check=False).returncode == 1
    engine.berth("rmi", "odd", name)
    engine.berth("load", "-i", archive)
    assert check(engine).returncode == 0


@pytest.mark.parametrize("part", ["diff/big", "tar.frame"])
def test_a_layer_that_was_pushed_is_mended_with_its_frame(directory_engine, archive, layers, tmp_path, registry, part):
    engine = directory_engine
    engine.berth("load", "-i", archive)
    name = f"{registry.address}/mended/odd:1"
    engine.berth("tag", "odd", name)
    engine.berth("push", name)
    for file in layer_files(engine, part):
        content = file.read_bytes()
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:])
    assert check(engine).returncode == 1
    mended = check(engine, "--repair")
    assert mended.returncode == 0, mended.stdout
    assert check(engine).returncode == 0
    for blob in (engine.data / "blobs" / "sha256").iterdir():
        if blob.stat().st_size > 10_000:
            blob.unlink()  # the frame is enough
    engine.berth("save", "-o", tmp_path / "saved.tar", "odd")
    with tarfile.open(tmp_path / "saved.tar") as saved:
        assert saved.extractfile(f"blobs/sha256/{digest(layers[1])}").read() == layers[1]
