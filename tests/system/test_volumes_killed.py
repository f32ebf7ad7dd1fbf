"""kill -9 of the engine at many points of what it does with volumes and mounts. Afterwards, each time: it starts, there is
the old state or the new one, the same command succeeds, and nothing is left that nobody knows of."""
import os
import pathlib
import random
import subprocess

import pytest

from engine import Engine, busybox_rootfs, mounts_below, wait_until
from hostile import LONG
from killer import CHANGING, NAMING, Killer
from volume_fixtures import plugin

ROUNDS = int(os.environ.get("BERTH_TEST_ROUNDS", "30" if LONG else "4"))
SEED = os.environ.get("BERTH_TEST_SEED", "1")

TMPFS = ["-o", "type=tmpfs", "-o", "device=tmpfs"]
ARCHIVE = "/run/volume.tar"  # the testbed's own /run


def nothing(engine):
    pass


def make_volume(engine):
    engine.berth("volume", "create", "vol")
    (engine.data / "volumes" / "vol" / "_data" / "file").write_text("x")


def make_archive(engine):
    make_volume(engine)
    engine.berth("volume", "export", "vol", "-o", ARCHIVE)


def make_two(engine):
    make_volume(engine)
    engine.berth("volume", "create", "-o", "size=4m", "limited")


def make_container(engine):
    engine.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")


def add_mount(engine):
    make_container(engine)
    engine.berth("mount", "add", "box", "vol:/data")


# name, command, what comes before it
OPERATIONS = {
    "create": (["volume", "create", "vol"], nothing),
    "create with a size": (["volume", "create", "-o", "size=4m", "vol"], nothing),
    "remove": (["volume", "rm", "-f", "vol"], make_volume),
    "run": (["run", "--name", "box", "-v", "vol:/data", "-v", "/anonymous", "content", "true"], nothing),
    "run on tmpfs": (["run", "--name", "box", "-v", "mem:/data", "content", "true"],
                     lambda engine: engine.berth("volume", "create", *TMPFS, "mem")),
    "run on a plugin": (["run", "--name", "box", "-v", "plug:/data", "busybox", "true"],
                        lambda engine: engine.berth("volume", "create", "-d", "testplugin", "plug")),
    "clone": (["volume", "clone", "vol", "vol2"], make_volume),
    "import": (["volume", "import", "vol2", ARCHIVE], make_archive),
    "import with a size": (["volume", "import", "-o", "size=4m", "vol2", ARCHIVE], make_archive),
    "prune": (["volume", "prune", "-a", "-f"], make_two),
    "mount add": (["mount", "add", "box", "vol:/data"], make_container),
    "mount rm": (["mount", "rm", "box", "/data"], add_mount),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    with plugin(tmp_path_factory.mktemp("plugin")), Engine(folder) as running:
        running.berth("import", "-c", 'CMD ["sh"]', busybox_rootfs(folder), "busybox:latest")
        running.docker("build", "-t", "content", "-", input=(
            "FROM busybox\nRUN mkdir /data && for i in 1 2 3 4 5 6 7 8 9; do echo $i > /data/$i; done\nVOLUME /image\n"))
        yield running


def volume_names(engine):
    return set(engine.berth("volume", "ls", "-q").stdout.split())


def settled(engine):
    """Directories, mounts and rows agree: every name has its directory, and no other is there."""
    volumes = engine.data / "volumes"

    def agree():
        named = {name for name in volume_names(engine) if name != "plug"}
        return {path.name for path in volumes.iterdir()} == named

    wait_until("agreement of rows and directories", agree)


def check(engine, name):
    settled(engine)
    wait_until("no anonymous volume without its container", lambda: not [
        volume for volume in engine.berth("volume", "ls", "-q", "-f", "dangling=true").stdout.split() if len(volume) == 64])
    if "vol2" in volume_names(engine):  # whole, or not at all
        assert engine.berth("run", "--rm", "-v", "vol2:/data", "busybox", "cat", "/data/file").stdout == "x"
    if "vol" in volume_names(engine) and name == "run":
        content = sorted(path.name for path in (engine.data / "volumes" / "vol" / "_data").iterdir())
        # Half of it would never be filled again: see the next use.
        assert engine.berth("run", "--rm", "-v", "vol:/data", "content", "ls", "/data").stdout.split() == list("123456789"), content
    if name.startswith("mount"):
        inside = " /data " in engine.berth("exec", "box", "cat", "/proc/mounts").stdout
        shown = [mount["Destination"] for mount in engine.inspect("box")["Mounts"]]
        assert shown == (["/data"] if inside else []), (shown, inside)


def clean(engine):
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", "-v", *left)
    for volume in volume_names(engine):
        engine.berth("volume", "rm", volume)
    wait_until("empty volumes", lambda: list((engine.data / "volumes").iterdir()) == [])
    wait_until("no mounts", lambda: mounts_below(engine.data / "volumes") == [])
    loops = subprocess.run(["losetup", "-l", "-O", "BACK-FILE"], capture_output=True, text=True).stdout
    assert str(engine.data) + "/volumes" not in loops


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed(engine, name):
    command, prepare = OPERATIONS[name]
    counts = {}
    chance = random.Random(f"{SEED} {name}")
    for number in range(ROUNDS + 2):
        calls = NAMING if number % 2 else CHANGING
        at = chance.randint(1, counts[calls == NAMING]) if number >= 2 and counts[calls == NAMING] else 0
        prepare(engine)
        with Killer(engine.process.pid, calls, at) as killer:
            done = engine.berth(*command, check=False)
            if not killer.killed:
                assert done.returncode == 0, done.stdout + done.stderr
        print(name, "at", at, "of", counts)
        if killer.killed:
            engine.process.wait()
            engine.start()
        else:
            counts[calls == NAMING] = killer.count
        wait_until("end of the run", lambda: "box" not in engine.berth("ps", "--format", "{{.Names}}").stdout.split()
                   or name.startswith("mount"))
        check(engine, name)
        again = engine.berth(*command, check=False)
        known = ("already in use", "there already", "Duplicate mount point", "has no mount at")
        assert again.returncode == 0 or any(words in again.stderr for words in known), again.stderr
        clean(engine)
