"""A small ext4 that is full from the beginning, or fills up in the middle: the error names the disk, nothing half-made is left,
`system check` is clean, the engine goes on, and the same command succeeds once there is room. (test_full_disk.py does it on tmpfs,
whose full disk shows elsewhere.)"""
import contextlib
import random
import tarfile

import pytest

import disks
from engine import Engine, Registry, file_list, wait_until

CAUSE = "no space left on device"
FORMS = ["erofs", "directory"]
NOISE = 12 << 20


@pytest.fixture(scope="module")
def given(tmp_path_factory, rootfs_tar):
    """An image of a root file system and a large layer: in a registry and as an archive; and a context to build from."""
    folder = tmp_path_factory.mktemp("given")
    context = folder / "context"
    context.mkdir()
    (context / "noise").write_bytes(random.Random(1).randbytes(NOISE))
    with tarfile.open(folder / "noise.tar", "w") as tar:
        tar.add(context / "noise", "noise")
    (folder / "registry").mkdir()
    with Registry(folder / "registry") as registry, Engine(folder) as engine:
        image = f"{registry.address}/large/image:latest"
        (context / "Dockerfile").write_text("FROM busybox\nCOPY noise /noise\n")
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        engine.berth("build", "-t", image, context)
        engine.berth("save", "-o", folder / "tars.tar", image)  # its layers were never compressed so far
        engine.berth("push", image)
        engine.berth("save", "-o", folder / "image.tar", image)
        yield folder, image, rootfs_tar


@contextlib.contextmanager
def engine_on(folder, form, rootfs_tar, size=64 << 20):
    engine = Engine(folder, f"--storage-opt=overlay2.layer_form={form}")
    engine.data.mkdir()
    with disks.ext4(engine.data, folder / "disk", size):
        (engine.data / "lost+found").rmdir()
        with engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield engine


def commands(given):
    folder, image, _ = given
    return {"pull": ["pull", image], "load": ["load", "-i", folder / "image.tar"],
            "load of tars": ["load", "-i", folder / "tars.tar"], "import": ["import", folder / "noise.tar", "large"],
            "build": ["build", "-t", "large", folder / "context"]}


def unfinished(engine):
    """But what other threads of the same pull had downloaded: the next one goes on from there."""
    return [name for name in file_list(engine.data) if name.startswith("tmp/")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("room", [0, 4 << 20], ids=["full", "fills up"])
def test_long_operations(tmp_path, given, form, room):
    with engine_on(tmp_path, form, given[2]) as engine:
        filler = engine.data / "filler"
        for name, command in commands(given).items():
            wait_until("room of what was removed", lambda: unfinished(engine) == [])
            disks.fill(filler, room)
            done = engine.berth(*command, check=False)
            assert done.returncode == 1 and CAUSE in done.stderr.lower(), (name, done.stdout, done.stderr)
            # It is clean at once, and the engine serves on.
            engine.berth("system", "check")
            wait_until("clean data root", lambda: unfinished(engine) == [])
            assert engine.berth("images", "-q").stdout.count("\n") == 1
            filler.unlink()
            engine.berth(*command)
            engine.berth("system", "check", "--deep")
            frames = len(list((engine.data / "layers").glob("*/tar.frame")))
            # Of the image that is there always, and of what came as a tar; an image has none twice.
            assert frames == (0 if form == "erofs" else 2 if name in ("import", "load of tars") else 1), (name, frames)
            # And the next start finds nothing to complain about.
            engine.stop()
            engine.start()
            engine.berth("system", "check", "--deep")
            made = given[1] if name in ("pull", "load", "load of tars") else "large"
            engine.berth("rmi", made)


@pytest.mark.parametrize("form", FORMS)
def test_a_container_fills_it(tmp_path, given, form):
    with engine_on(tmp_path, form, given[2]) as engine:
        engine.berth("run", "-d", "--name", "neighbour", "busybox", "sleep", "1000")
        disks.fill(engine.data / "filler", 2 << 20)
        done = engine.berth("run", "--name", "writer", "busybox", "dd", "if=/dev/zero", "of=/zeros", "bs=1M", "count=8", check=False)
        assert done.returncode == 1 and CAUSE in done.stderr.lower(), done.stderr
        assert engine.berth("exec", "neighbour", "echo", "here").stdout == "here\n"
        engine.berth("system", "check")
        engine.berth("rm", "writer")
        engine.berth("rm", "-f", "neighbour")
        (engine.data / "filler").unlink()
        assert engine.berth("run", "--rm", "busybox", "echo", "again").stdout == "again\n"


def test_an_engine_starts_on_a_full_disk(tmp_path, given):
    """What is there can be looked at and removed, which makes room."""
    with engine_on(tmp_path, "auto", given[2]) as engine:
        engine.berth("load", "-i", given[0] / "image.tar")
        engine.berth("create", "--name", "old", "busybox")
        engine.stop()
        disks.fill(engine.data / "filler")
        engine.start()
        assert engine.berth("ps", "-a", "--format", "{{.Names}}").stdout == "old\n"
        refused = engine.berth("run", "busybox", "true", check=False)
        assert refused.returncode == 125 and CAUSE in refused.stderr.lower(), refused.stderr
        engine.berth("rmi", given[1])
        engine.berth("rm", "old")
        engine.berth("system", "check", "--deep")
        assert engine.berth("run", "--rm", "busybox", "echo", "room").stdout == "room\n"
