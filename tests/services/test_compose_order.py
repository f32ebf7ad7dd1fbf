"""docker compose starts in the order of health and of tasks that ended, scales, follows logs, executes, and takes all away."""
import json
import pathlib
import shutil
import threading

import pytest
from engine import DEADLINE, wait_until

FILE = "ordered.yaml"


class Application:
    def __init__(self, engine):
        self.engine = engine

    def compose(self, *arguments, **options):
        return self.engine.compose(*arguments, file=FILE, **options)

    def begin(self, *arguments):
        return self.engine.begin_compose(*arguments, file=FILE)

    def containers(self, service):
        """By their numbers."""
        found = self.engine.berth("ps", "-aq", "--no-trunc", "--filter", f"label=com.docker.compose.service={service}").stdout.split()
        return sorted((self.engine.inspect(one) for one in found), key=lambda one: one["Name"])

    def states(self):
        rows = self.compose("ps", "-a", "--format", "json").stdout.splitlines()
        return {row["Name"].removeprefix("ordered-"): row["State"] for row in map(json.loads, rows)}

    def allow(self):
        """The store may begin."""
        self.engine.berth("exec", "ordered-store-1", "touch", "/ready/go")


def line(process, wanted):
    """Reads on to it; what does not come is the end of the process."""
    late = threading.Timer(DEADLINE, process.kill)
    late.start()
    try:
        for text in process.stdout:
            if wanted in text:
                return text
    finally:
        late.cancel()
    raise AssertionError(f"no {wanted!r}: {process.stderr.read()}")


@pytest.fixture
def application(engine):
    shutil.copy(pathlib.Path(__file__).resolve().parent / FILE, engine.folder / FILE)
    for name in ("ready", "outside"):
        engine.berth("volume", "create", name)
    made = Application(engine)
    yield made
    made.compose("--profile", "broken", "down", "-v", "--remove-orphans", "-t", "0")
    engine.berth("volume", "rm", "ready", "outside")


@pytest.fixture
def started(application):
    up = application.begin("up", "-d")
    wait_until("start of the store", lambda: "running" in [one["State"]["Status"] for one in application.containers("store")])
    application.allow()
    _, errors = up.communicate(timeout=DEADLINE * 2)
    assert up.returncode == 0, errors
    return application


def test_starts_in_order(application):
    up = application.begin("up", "-d")
    try:
        wait_until("start of the store", lambda: application.states().get("store-1") == "running")
        assert application.states() == {"store-1": "running", "prepare-1": "created", "worker-1": "created"}
        application.allow()
        assert up.wait(DEADLINE * 2) == 0, up.stderr.read()
    finally:
        up.kill()
    (store,), (prepare,), (worker,) = (application.containers(name) for name in ("store", "prepare", "worker"))
    assert store["State"]["Health"]["Status"] == "healthy"
    healthy = next(probe["End"] for probe in store["State"]["Health"]["Log"] if probe["ExitCode"] == 0)
    assert prepare["State"]["ExitCode"] == 0 and prepare["State"]["StartedAt"] < prepare["State"]["FinishedAt"] < worker["State"]["StartedAt"]
    assert len(store["State"]["Health"]["Log"]) == 5 or healthy[:19] <= prepare["State"]["StartedAt"][:19]  # the last five are kept
    assert "prepared: ready" in application.engine.berth("logs", worker["Id"]).stdout


def test_does_not_start_what_needs_a_failure(application):
    done = application.compose("up", "-d", "after_failure", check=False)
    assert done.returncode != 0 and "service \"failure\" didn't complete successfully: exit 4" in done.stderr
    assert [one["State"]["Status"] for one in application.containers("after_failure")] == ["created"]
    done = application.compose("up", "-d", "after_sickness", check=False)
    assert done.returncode != 0 and "dependency failed to start: container ordered-sickness-1 is unhealthy" in done.stderr
    assert [one["State"]["Status"] for one in application.containers("after_sickness")] == ["created"]


def test_scales_and_follows_logs(started):
    follow = started.begin("logs", "-f", "--no-color", "worker")
    try:
        line(follow, "worker-1  | prepared: ready")
        done = started.compose("up", "-d", "--scale", "worker=3", "--no-recreate")
        assert [one["Name"] for one in started.containers("worker")] == [f"/ordered-worker-{n}" for n in (1, 2, 3)], done.stderr
        line(follow, "worker-3  | prepared: ready")  # it follows who comes later too
        jobs = [f"job{number}" for number in range(30)]
        started.compose("exec", "-T", "store", "redis-cli", "rpush", "jobs", *jobs)
        seen = {}
        while len(seen) < len(jobs):
            who, job = line(follow, "did ").split(" | did ")
            seen[job.strip()] = who.strip()
        assert sorted(seen) == sorted(jobs) and len(set(seen.values())) > 1
        started.compose("stop", "-t", "0")
        _, errors = follow.communicate(timeout=DEADLINE)
        assert follow.returncode == 0, errors  # nobody is left to follow
    finally:
        follow.kill()
    assert set(started.states().values()) == {"exited"}
    tail = started.compose("logs", "--no-color", "--tail", "1", "prepare", "worker").stdout
    assert "prepare-1  | OK" in tail and tail.count("  | did ") == len(set(seen.values()))
    # Not while its logs are followed: compose 2 reads what a container was that is gone before it asks, and dies of that.
    kept = started.containers("worker")[0]["Id"]
    started.compose("up", "-d", "--scale", "worker=1", "--no-recreate", "-t", "0")
    assert [(one["Id"], one["State"]["Running"]) for one in started.containers("worker")] == [(kept, True)]


def test_executes_and_copies(started):
    done = started.compose("exec", "-T", "-u", "redis", "-w", "/tmp", "-e", "WORD=given", "store", "sh", "-c", "id -un; pwd; cat; echo $WORD >&2; exit 7",
                           input="typed\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "redis\n/tmp\ntyped\n", "given\n")
    started.compose("up", "-d", "--scale", "worker=2", "--no-recreate")
    hosts = [started.compose("exec", "-T", "--index", str(number), "worker", "hostname").stdout.strip() for number in (1, 2)]
    assert hosts == [one["Id"][:12] for one in started.containers("worker")]
    done = started.compose("run", "--rm", "-T", "-e", "WORD=once", "prepare", check=False)
    assert (done.returncode, done.stdout) == (0, "OK\n") and len(started.containers("prepare")) == 1
    assert started.compose("exec", "-T", "store", "redis-cli", "get", "prepared").stdout == "once\n"
    (started.engine.folder / "given").write_text("copied\n")
    started.compose("cp", "/data/given", "store:/tmp/given")
    started.compose("cp", "store:/tmp/given", "/data/back")
    assert (started.engine.folder / "back").read_text() == "copied\n"


def test_recreates_what_changed_and_no_more(started):
    before = {name: started.containers(name)[0]["Id"] for name in ("store", "worker")}
    started.compose("up", "-d")
    assert {name: started.containers(name)[0]["Id"] for name in before} == before
    started.compose("up", "-d", "-t", "0", environment={"LEVEL": "high"})
    after = {name: started.containers(name)[0] for name in before}
    assert after["store"]["Id"] == before["store"] and after["worker"]["Id"] != before["worker"]
    assert "LEVEL=high" in after["worker"]["Config"]["Env"] and after["worker"]["Name"] == "/ordered-worker-1"


def test_down_removes_volumes_but_not_others(started):
    engine = started.engine

    def left():
        return {kind: set(engine.berth(kind, "ls", *more).stdout.split())
                for kind, more in (("volume", ["-q"]), ("network", ["--format", "{{.Name}}"]), ("container", ["-aq"]))}
    def anonymous():
        (found,) = (mount["Name"] for mount in started.containers("store")[0]["Mounts"] if mount["Destination"] == "/data")
        return found
    first = anonymous()
    assert left()["volume"] == {"ordered_results", "ready", "outside", first} and "ordered_default" in left()["network"]
    engine.berth("run", "--rm", "-v", "outside:/o", "services", "touch", "/o/kept")
    started.compose("down", "-t", "0")
    assert left() == {"volume": {"ordered_results", "ready", "outside", first}, "network": {"bridge", "host", "none"}, "container": set()}
    started.compose("up", "-d", "--wait", "store")
    second = anonymous()
    assert second != first
    started.compose("down", "-v", "-t", "0")
    assert left() == {"volume": {"ready", "outside", first}, "network": {"bridge", "host", "none"}, "container": set()}
    assert engine.berth("run", "--rm", "-v", "outside:/o", "services", "ls", "/o").stdout == "kept\n"
    engine.berth("volume", "rm", first)
