"""kill -9 of the engine at many points of its long operations. Afterwards, each time: it starts, `system check` finds
nothing, the same command succeeds and downloads only what was missing, and nothing is left once the image is gone.

BERTH_TEST_ROUNDS says how many points each operation is killed at (a few by default), BERTH_TEST_SEED where.
"""
import dataclasses
import json
import os
import pathlib
import random
import tarfile
import typing
import urllib.request

import pytest

from engine import Engine, Registry, busybox_rootfs, file_list, mounts_below, wait_until
from hostile import LONG
from killer import CHANGING, NAMING, Killer

ROUNDS = int(os.environ.get("BERTH_TEST_ROUNDS", "30" if LONG else "2"))
SEED = os.environ.get("BERTH_TEST_SEED", "1")
FORMS = ["erofs", "directory"]
# Manifests, configurations and answers to questions: not layers.
DOCUMENTS_SIZE = 64 << 10


@dataclasses.dataclass
class Given:
    """What the operations work on: one image of three layers, in a registry and as an archive."""
    registry: Registry
    image: str
    archive: pathlib.Path
    tars: pathlib.Path  # the same with layers that are not compressed
    rootfs: pathlib.Path
    context: pathlib.Path


def nothing(engine, given):
    pass


@dataclasses.dataclass
class Operation:
    """Something that is killed: what comes before it, the command, and whether the image is there afterwards."""
    name: str
    command: typing.Callable[[Given], list]
    prepare: typing.Callable[[Engine, Given], None] = nothing
    makes: str = ""  # the image that it makes; none: it removes all
    downloads: bool = False
    frames: int = 0  # of tars that become directories


def load(engine, given):
    engine.berth("load", "-i", given.archive)


def load_and_untag(engine, given):
    load(engine, given)
    engine.berth("build", "-q", "-t", "other", given.context)
    (given.context / "Dockerfile").write_text((given.context / "Dockerfile").read_text() + "LABEL again=1\n")
    engine.berth("build", "-q", "-t", "other", given.context)


def build_and_remove(engine, given):
    """Only the build cache has it then."""
    load(engine, given)
    engine.berth("build", "-q", "-t", "other", given.context)
    engine.berth("rmi", "other", given.image)


OPERATIONS = [
    Operation("pull", lambda given: ["pull", given.image], makes="image", downloads=True),
    Operation("load", lambda given: ["load", "-i", given.archive], makes="image"),
    Operation("load of tars", lambda given: ["load", "-i", given.tars], makes="image", frames=3),
    Operation("import", lambda given: ["import", given.rootfs, "imported"], makes="imported", frames=1),
    Operation("build", lambda given: ["build", "-t", "built", given.context], makes="built", prepare=load),
    Operation("squash", lambda given: ["build", "--squash", "-t", "squashed", given.context], makes="squashed", prepare=load),
    Operation("rmi", lambda given: ["rmi", given.image], prepare=load),
    Operation("image prune", lambda given: ["image", "prune", "-a", "-f"], prepare=load_and_untag),
    Operation("builder prune", lambda given: ["builder", "prune", "-a", "-f"], prepare=build_and_remove),
    Operation("system prune", lambda given: ["system", "prune", "-a", "-f"], prepare=load_and_untag),
]


def make_image(folder, address):
    """Three layers: a root file system, many small files, and changes of the second."""
    context = folder / "context"
    context.mkdir()
    noise = random.Random(4)
    for name in ("one", "two"):
        (context / name).mkdir()
        for number in range(60):
            (context / name / f"file{number}").write_bytes(noise.randbytes(number * 300))
    (context / "Dockerfile").write_text(
        "FROM base\nCOPY one /data\nCOPY two /more\n")
    image = f"{address}/killed/image:latest"
    with Engine(folder) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', folder / "busybox.tar", "base")
        engine.berth("build", "-t", image, context)
        engine.berth("save", "-o", folder / "tars.tar", image)
        engine.berth("push", image)
        engine.berth("save", "-o", folder / "image.tar", image)
    return image


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    rootfs = busybox_rootfs(folder)
    (folder / "registry").mkdir()
    with Registry(folder / "registry", "--metrics", "127.0.0.1:0") as registry:
        image = make_image(folder, registry.address)
        context = folder / "build"
        context.mkdir()
        (context / "new").write_bytes(random.Random(5).randbytes(300_000))
        yield Given(registry, image, folder / "image.tar", folder / "tars.tar", rootfs, context)


def metric(registry, name):
    text = urllib.request.urlopen(f"http://{registry.metrics}/metrics", timeout=10).read().decode()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(f"berth_registry_{name} ")))


def served(registry):
    """Bytes that the registry has sent, once it sends no more."""
    wait_until("idle registry", lambda: metric(registry, "requests_in_flight") == 0)
    return metric(registry, "sent_bytes_total")


def blobs(engine):
    """What lies there for the next pull, by digest, and how much of it."""
    sizes = {}
    for folder in ("partial", "sha256"):
        for path in (engine.data / "blobs" / folder).iterdir():
            sizes[path.name] = path.stat().st_size
    return sizes


def check(engine):
    done = engine.berth("system", "check", "--deep", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write_dockerfile(given):
    (given.context / "Dockerfile").write_text(
        f"FROM {given.image}\nRUN rm -r /data/file1 && echo made > /data/made\nCOPY new /\n")


def run_killed(engine, given, operation, calls, at):
    """(the number of calls when it was not killed, what lay there then); the operation has been done once or has died."""
    with Killer(engine.process.pid, calls, at) as killer:
        done = engine.berth(*operation.command(given), check=False)
        if not killer.killed:
            assert done.returncode == 0, done.stdout + done.stderr
    if not killer.killed:
        return killer.count, blobs(engine)
    engine.process.wait()
    there = blobs(engine)
    engine.start()
    return None, there


def check_result(engine, given, operation, layers, there):
    """Once more, as if nothing had been."""
    sent = served(given.registry)
    done = engine.berth(*operation.command(given), check=False)
    if operation.makes:
        assert done.returncode == 0, done.stdout + done.stderr
        name = given.image if operation.makes == "image" else operation.makes
        assert engine.berth("run", "--rm", name, "ls", "/bin/busybox").stdout == "/bin/busybox\n"
        is_directory = "--storage-opt=overlay2.layer_form=directory" in engine.flags
        if operation.frames and is_directory:
            assert len(list((engine.data / "layers").glob("*/tar.frame"))) == operation.frames
    else:
        assert done.returncode == 0 or "No such image" in done.stderr, done.stderr
        # Either it had not been removed, or it was removed whole.
        assert engine.berth("images", "-q", "-a").stdout == ""
    if operation.downloads:
        missing = sum(size - there.get(name, 0) for name, size in layers.items())
        came = served(given.registry) - sent
        assert came <= missing + DOCUMENTS_SIZE, (came, missing, there)
    check(engine)


def remove_all(engine, given, before):
    """And then nothing is left of it, neither now nor of what the killed engine was at. Something must go for that: a prune
    that removes no image collects nothing."""
    load(engine, given)
    engine.berth("system", "prune", "-a", "-f")
    for path in (engine.data / "blobs" / "partial").iterdir():
        path.unlink()
    wait_until("clean data root", lambda: file_list(engine.data) == before)
    assert mounts_below(engine.data) == []


@pytest.fixture(params=FORMS)
def formed_engine(request, tmp_path):
    with Engine(tmp_path, f"--storage-opt=overlay2.layer_form={request.param}") as running:
        yield running


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_killed(formed_engine, given, operation):
    engine = formed_engine
    engine.berth("pull", given.image)
    layers = {path.name: path.stat().st_size for path in (engine.data / "blobs" / "sha256").iterdir()
              if path.stat().st_size > 10_000}
    assert len(layers) == 3
    engine.berth("rmi", given.image)
    engine.stop()
    engine.start()
    before = file_list(engine.data)
    counts = {}
    chance = random.Random(f"{SEED} {operation.name}")
    for number in range(ROUNDS + 2):
        calls = NAMING if number % 2 else CHANGING
        # First without a kill, to know how many points there are.
        at = chance.randint(1, counts[calls == NAMING]) if number >= 2 else 0
        write_dockerfile(given)
        operation.prepare(engine, given)
        count, there = run_killed(engine, given, operation, calls, at)
        if number < 2:
            counts[calls == NAMING] = count
        print(operation.name, "at", at, "of", counts)
        check(engine)
        check_result(engine, given, operation, layers, there)
        remove_all(engine, given, before)


@pytest.mark.parametrize("form", FORMS)
def test_killed_collection_of_the_build_cache(tmp_path, given, form):
    """The one that comes by itself, here a second after the build: the engine dies in it, and the next one ends it."""
    (tmp_path / "daemon.json").write_text(json.dumps(
        {"builder": {"gc": {"policy": [{"all": True, "filter": ["unused-for=0s"], "keepStorage": "0"}]}}}))
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {given.image}\nRUN head -c 300000 /dev/urandom >/a\nRUN rm -r /data\nRUN false\n")
    with Engine(tmp_path, f"--storage-opt=overlay2.layer_form={form}", f"--config-file={tmp_path / 'daemon.json'}",
                "--gc-interval=0s", "--gc-unused-for=0s", "--gc-delay=1s") as engine:
        load(engine, given)
        before = file_list(engine.data)
        counts = {}
        chance = random.Random(f"{SEED} collection")

        def is_over():  # seen without asking the engine: a question would be calls, too
            return file_list(engine.data) == before

        for number in range(ROUNDS + 2):
            calls = NAMING if number % 2 else CHANGING
            at = chance.randint(1, counts[calls == NAMING]) if number >= 2 else 0
            assert engine.berth("build", context, check=False).returncode == 1
            with Killer(engine.process.pid, calls, at) as killer:
                wait_until("its end", lambda: killer.killed or is_over())
            if number < 2:
                counts[calls == NAMING] = killer.count
            elif killer.killed:
                engine.process.wait()
                engine.start()
            check(engine)
            wait_until("a clean data root", is_over)
            assert not engine.request("GET", "/system/df?type=build-cache")[1]["BuildCache"]
            check(engine)
