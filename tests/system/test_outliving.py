"""The engine is killed, ended, replaced by another build and killed again and again under load: nobody who runs in a
container, is attached to one, follows a log or waits notices more than a pause.

BERTH_TEST_LONG=1 does it with 200 containers, 50 attached clients and 50 followed logs; BERTH_TEST_SEED says where the
crash loop kills.
"""
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading

import pytest

from engine import BIN, DEADLINE, Engine, is_connected, mounts_below, wait_until
from fleet import Fleet, Watcher, import_teller, said
from hostile import LONG
from killer import CHANGING, Killer

SIZES = {"containers": 200, "attached": 50, "followed": 50, "execs": 20, "pause": 250} if LONG else \
        {"containers": 14, "attached": 6, "followed": 6, "execs": 3, "pause": 40}
CRASHES = 12 if LONG else 3
SEED = os.environ.get("BERTH_TEST_SEED", "1")
PROGRAMS = ("berthd", "berth-front", "berth-monitor", "berth-init")


@pytest.fixture(scope="module")
def image_engine(tmp_path_factory, rootfs_tar):
    """Containers go on when it ends."""
    folder = tmp_path_factory.mktemp("outliving")
    with Engine(folder, "--live-restore") as engine:
        import_teller(engine, rootfs_tar, folder)
        yield engine


@pytest.fixture
def survivor(image_engine):
    yield image_engine
    if image_engine.process.poll() is not None:
        image_engine.start()
    image_engine.programs = BIN
    image_engine.remove_all()


def install(folder):
    """The programs in a folder of their own, where another build can take their place."""
    folder.mkdir()
    for name in PROGRAMS:
        shutil.copy(BIN / name, folder / name)
    return folder


def commit_of(engine):
    return engine.request("GET", "/version")[1]["GitCommit"]


def upgrade(engine, folder):
    """Another build takes the place of the one that runs, as a package does it: other bytes, and another commit."""
    before = commit_of(engine)
    after = "".join(reversed(before))
    for name in PROGRAMS:
        data = (folder / name).read_bytes()
        assert name != "berthd" or before.encode() in data
        (folder / "new").write_bytes(data.replace(before.encode(), after.encode()) + b"another build")
        (folder / "new").chmod(0o755)
        (folder / "new").rename(folder / name)
    engine.stop()
    engine.start()
    assert commit_of(engine) == after != before


class Load:
    """Starts, execs and logs from several sides, until it is told to stop."""

    def __init__(self, engine, container):
        self.engine, self.container = engine, container
        self.numbers = itertools.count()
        self.started, self.wrong = set(), []
        self.done = {"run": 0, "exec": 0, "logs": 0, "attached": 0}
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.ending.is_set():
            for step in (self.run, self.exec, self.attached, self.logs):
                step()

    def berth(self, *arguments):
        return subprocess.run([BIN / "berth", *map(str, arguments)], env=self.engine.environment, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=DEADLINE * 2)

    def expect(self, kind, done, right):
        """Either all of it or an error: nothing in between."""
        if right:
            self.done[kind] += 1
        elif done.returncode == 0 or not done.stderr:
            self.wrong.append((kind, done))

    def run(self):
        name = f"load{next(self.numbers)}"
        done = self.berth("run", "-d", "--name", name, "teller", "teller", 1, 0, 20)
        if done.returncode == 0:
            self.started.add(name)
        self.expect("run", done, done.returncode == 0)

    def exec(self):
        done = self.berth("exec", self.container, "teller", 1, 7, 20)
        self.expect("exec", done, (done.returncode, (done.stdout, done.stderr)) == (7, said(20, end=True)))

    def attached(self):
        done = self.berth("run", "--name", f"load{next(self.numbers)}", "teller", "teller", 1, 9, 20)
        self.expect("attached", done, (done.returncode, (done.stdout, done.stderr)) == (9, said(20, end=True)))

    def logs(self):
        done = self.berth("logs", "--tail", 3, self.container)
        self.expect("logs", done, done.returncode == 0 and b"line " in done.stdout)

    def finish(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong
        assert all(self.done.values()), self.done


def crash_loop(engine, load):
    chance = random.Random(SEED)
    for _ in range(CRASHES):
        with Killer(engine.process.pid, CHANGING, chance.randint(1, 600)) as killer:
            wait_until("kill", lambda: killer.killed)
        engine.process.wait()
        engine.start()
    load.finish()


def check_load(engine, load):
    """What was started has run; what was not came to an end, and everything can be removed."""
    def states():
        ids = engine.berth("ps", "-aq", "--no-trunc", "--filter", "name=load").stdout.split()
        return {item["Name"][1:]: item for item in json.loads(engine.berth("inspect", *ids).stdout)}
    wait_until("end of the load", lambda: not any(item["State"]["Running"] for item in states().values()))
    for name, item in states().items():
        assert name not in load.started or item["State"]["ExitCode"] == 0, item["State"]
    assert load.started <= states().keys()
    engine.berth("rm", "-f", *states())


def check_nothing_left(engine):
    engine.remove_all()
    wait_until("removal behind", lambda: os.listdir(engine.exec / "containers") == [])
    assert [name for name in os.listdir(engine.exec / "runtime") if not name.startswith(".")] == []  # but its caches
    wait_until("unmounts", lambda: mounts_below(engine.data) == [])
    own = os.environ["BERTH_TEST_CGROUP"].strip("/")
    groups = [path for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{own}/*") if re.fullmatch("[0-9a-f]{64}", path.name)]
    wait_until("removal of control groups", lambda: not any(path.exists() for path in groups))


def test_nobody_notices(survivor, tmp_path):
    engine = survivor
    installed = install(tmp_path / "installed")
    engine.stop()
    engine.programs = installed
    engine.start()
    fleet = Fleet(engine, tmp_path, **SIZES)
    try:
        engine.kill()
        fleet.signal_some(signal.SIGTERM, 2)
        fleet.signal_some(signal.SIGUSR1, 2)
        engine.start()
        fleet.check_alive()

        engine.stop()  # SIGTERM, and --live-restore
        fleet.signal_some(signal.SIGTERM, 1)
        engine.start()
        fleet.check_alive()

        upgrade(engine, installed)
        engine.berth("run", "-d", "--name", "newer", "teller", "teller", 10, 0)
        fleet.check_alive()
        upgrade(engine, installed)  # and back: the newer build's containers under the older one
        fleet.check_alive()
        engine.berth("rm", "-f", "newer")

        load = Load(engine, fleet.names[0])
        try:
            crash_loop(engine, load)
        finally:
            load.ending.set()
        check_load(engine, load)
        fleet.check_alive()
        fleet.finish()
    finally:
        fleet.close()
    check_nothing_left(engine)


def test_restart_policies_go_on(survivor):
    """By themselves: after an end that no engine saw, and in the middle of their restarts."""
    engine = survivor
    engine.berth("run", "-d", "--name", "always", "--restart", "always", "teller", "teller", "10", "3")
    engine.berth("run", "-d", "--name", "thrice", "--restart", "on-failure:3", "teller", "sh", "-c", "echo run; sleep 0.3; exit 4")
    engine.berth("run", "-d", "--name", "once", "teller", "teller", "10", "5")
    pids = {name: engine.inspect(name)["State"]["Pid"] for name in ("always", "once")}
    engine.kill()
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
        wait_until("end", lambda pid=pid: not os.path.exists(f"/proc/{pid}/exe"))
    engine.start()
    wait_until("restart", lambda: engine.inspect("always")["State"]["Pid"] not in (0, pids["always"]))
    assert engine.inspect("always")["RestartCount"] == 1
    assert engine.inspect("once")["State"]["ExitCode"] == 5 and not engine.inspect("once")["State"]["Running"]
    for _ in range(3):
        engine.kill()
        engine.start()

    def thrice():
        item = engine.inspect("thrice")
        return item["State"]["Status"] == "exited" and item
    item = wait_until("last run", thrice)
    assert (item["RestartCount"], item["State"]["ExitCode"]) == (3, 4)
    assert engine.berth("logs", "thrice").stdout == "run\n" * 4


def test_an_end_that_no_engine_saw_reaches_who_waits(survivor, tmp_path):
    """Also of a container that the next engine removes."""
    engine = survivor
    clients = {name: Watcher(engine, tmp_path, name, "run", *flags, "--name", name, "teller", "teller", "10", "21")
               for name, flags in (("kept", []), ("removed", ["--rm"]))}
    for name in clients:
        wait_until("container", lambda name=name: engine.berth("ps", "-q", "--filter", f"name={name}").stdout)
    waits = {name: Watcher(engine, tmp_path, f"wait-{name}", "wait", name) for name in clients}
    follows = {name: Watcher(engine, tmp_path, f"follow-{name}", "logs", "-f", name) for name in clients}
    for watcher in [*clients.values(), *follows.values()]:
        wait_until("line", lambda watcher=watcher: watcher.number() > 0)
    for watcher in waits.values():
        wait_until("connection", lambda watcher=watcher: is_connected(watcher.process.pid))
    pids = [engine.inspect(name)["State"]["Pid"] for name in clients]
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        wait_until("end", lambda pid=pid: not os.path.exists(f"/proc/{pid}/exe"))
    engine.start()
    for name, client in clients.items():
        assert client.wait() == 21
        assert waits[name].wait() == 0 and waits[name].output()[0] == b"21\n"
        assert follows[name].wait() == 0
        output = client.output()
        assert output == said(client.number(), end=True) == follows[name].output()
    wait_until("removal", lambda: engine.berth("ps", "-aq", "--filter", "name=removed").stdout == "")


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_a_followed_log_goes_on_through_rotations(survivor, tmp_path, driver):
    engine = survivor
    engine.berth("run", "-d", "--name", "fast", "--log-driver", driver, "--log-opt", "max-size=100k", "--log-opt", "max-file=9",
                 "teller", "teller", "1", "0", "3000")
    follow = Watcher(engine, tmp_path, "follow", "logs", "-f", "fast")
    tail = Watcher(engine, tmp_path, "tail", "logs", "-f", "--tail", "0", "fast")
    for count in range(1, 4):
        wait_until("lines", lambda: follow.number() > count * 400 and tail.number() > count * 400)
        engine.kill()
        engine.start()
    assert follow.wait() == 0 and follow.output() == said(3000, end=True)
    assert tail.wait() == 0
    whole = said(3000, end=True)
    for got, all_of_it in zip(tail.output(), whole):
        assert got and all_of_it.endswith(got)


def test_who_gives_up_waiting_says_so(survivor, tmp_path):
    engine = survivor
    engine.berth("run", "-d", "--name", "host", "teller", "teller", "10", "0")
    engine.environment["BERTH_RECONNECT_TIME"] = "1"
    try:
        follow = Watcher(engine, tmp_path, "follow", "logs", "-f", "host")
    finally:
        del engine.environment["BERTH_RECONNECT_TIME"]
    wait_until("line", lambda: follow.number() > 0)
    engine.kill()
    assert follow.wait() == 1
    assert b"the daemon went away and did not come back within 1 s" in follow.output()[1]
