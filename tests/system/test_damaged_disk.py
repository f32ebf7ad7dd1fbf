"""A bit that turned over on the disk: `system check` finds it, names what it hits and mends it from what else is there; and
whoever uses it before is told, so that no registry and no archive gets it."""
import pytest

from engine import Engine, Registry
from hostile import flip

FORMS = ["erofs", "directory"]


@pytest.fixture(params=FORMS)
def damaged(request, tmp_path, rootfs_tar):
    """An engine with a pulled image, and the registry that it came from."""
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as registry, \
            Engine(tmp_path, f"--storage-opt=overlay2.layer_form={request.param}") as engine:
        image = f"{registry.address}/some/image:latest"
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), image)
        engine.berth("push", image)
        engine.berth("rmi", image)
        engine.berth("pull", image)
        yield engine, registry, image


def layer_blob(engine):
    return max((engine.data / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)


def is_image(engine):
    return any((layer / "layer.erofs").exists() for layer in (engine.data / "layers").iterdir())


def damage(path, at=None):
    path.write_bytes(flip(path.read_bytes(), at))


def check(engine, *flags):
    return engine.berth("system", "check", *flags, check=False)


def test_a_blob(damaged, tmp_path):
    engine, _, image = damaged
    blob = layer_blob(engine)
    damage(blob)
    (tmp_path / "other").mkdir()
    with Registry(tmp_path / "other") as other:
        name = f"{other.address}/some/image:latest"
        engine.berth("tag", image, name)
        # No registry gets it.
        refused = engine.berth("push", name, check=False)
        assert refused.returncode == 1 and blob.name in refused.stderr, refused.stderr
        found = check(engine)
        assert found.returncode == 1 and blob.name in found.stdout, found.stdout
        assert image in found.stdout or name in found.stdout, found.stdout
        mended = check(engine, "--repair")
        if is_image(engine):  # it has the tar in it
            assert mended.returncode == 0, mended.stdout
        else:  # what cannot be mended is named, with the way out
            assert mended.returncode == 1 and "remove and pull" in mended.stdout, mended.stdout
            assert engine.berth("push", name, check=False).returncode == 1
            engine.berth("rmi", name)
            engine.berth("rmi", image)
            engine.berth("pull", image)
            engine.berth("tag", image, name)
        assert check(engine, "--deep").returncode == 0
        assert engine.berth("run", "--rm", image, "echo", "here").stdout == "here\n"
        engine.berth("push", name)
        engine.berth("rmi", image, name)
        engine.berth("pull", name)
        assert engine.berth("run", "--rm", name, "echo", "again").stdout == "again\n"


def test_a_blob_that_is_saved(damaged, tmp_path):
    """No archive is whole that has it in it."""
    engine, _, image = damaged
    blob = layer_blob(engine)
    damage(blob)
    for client in (engine.berth, engine.docker):
        assert client("save", "-o", tmp_path / "image.tar", image, check=False).returncode != 0
    assert f"blob sha256:{blob.name} is damaged on the disk" in engine.log()
    if check(engine, "--repair").returncode != 0:
        engine.berth("rmi", image)
        engine.berth("pull", image)
    engine.berth("save", "-o", tmp_path / "image.tar", image)
    (tmp_path / "second").mkdir()
    with Engine(tmp_path / "second") as second:
        second.berth("load", "-i", tmp_path / "image.tar")
        assert second.berth("run", "--rm", image, "echo", "loaded").stdout == "loaded\n"


def test_a_documents_blob(damaged):
    engine, _, image = damaged
    for blob in sorted((engine.data / "blobs" / "sha256").iterdir()):
        if blob.stat().st_size > 10_000:
            continue
        damage(blob)
        found = check(engine)
        assert found.returncode == 1 and blob.name in found.stdout and image in found.stdout, found.stdout
        assert check(engine, "--repair").returncode == 0
        assert check(engine, "--deep").returncode == 0
    engine.berth("run", "--rm", image, "true")
    engine.berth("push", image)


def test_a_layer(damaged):
    """Not the blob, but what containers see."""
    engine, _, image = damaged
    layer = next((engine.data / "layers").iterdir())
    file = layer / "layer.erofs"
    if file.exists():
        at = file.read_bytes().find(b"root:x:0:0:root:/root:/bin/sh")
    else:
        file, at = layer / "diff" / "etc" / "passwd", 0
    damage(file, at)
    found = check(engine, "--deep")
    assert found.returncode == 1 and layer.name in found.stdout and image in found.stdout, found.stdout
    assert check(engine, "--deep", "--repair").returncode == 0
    assert check(engine, "--deep").returncode == 0
    assert engine.berth("run", "--rm", image, "head", "-n1", "/etc/passwd").stdout == "root:x:0:0:root:/root:/bin/sh\n"


def test_the_metadata(damaged):
    """The database itself: a page that is not one any more is found, and the engine says so."""
    engine, _, image = damaged
    engine.stop()
    database = engine.data / "metadata.db"
    data = bytearray(database.read_bytes())
    at = data.rfind(image.encode())
    assert at > 0
    page = at // 4096 * 4096
    data[page:page + 8] = b"\xff" * 8
    database.write_bytes(data)
    try:
        engine.start()
    except AssertionError as ended:
        assert "database" in str(ended)
        return
    found = check(engine)
    assert found.returncode == 1 and "database" in found.stdout + found.stderr, found.stdout + found.stderr
