"""The restart policy on-unhealthy: a container is restarted when it fails, and when its health check says so."""
import pytest

from engine import wait_until

HEALTH = ["--health-cmd", "test ! -e /state/sick", "--health-interval", "100ms", "--health-retries", "2"]
COMMAND = ["busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do test -e /state/code && exit $(cat /state/code); sleep 0.05; done"]


def run(engine, name, policy, *flags):
    """With --tmpfs a restart cures it."""
    engine.berth("run", "-d", "--name", name, "--restart", policy, *HEALTH, *flags, *COMMAND)
    wait_until("health", lambda: health(engine, name) == "healthy")


def health(engine, name):
    return engine.inspect(name)["State"]["Health"]["Status"]


def restarts(engine, name):
    return engine.inspect(name)["RestartCount"]


def test_an_unhealthy_container_is_restarted(engine):
    run(engine, "sick", "on-unhealthy", "--tmpfs", "/state")
    before = engine.inspect("sick")
    assert before["HostConfig"]["RestartPolicy"] == {"Name": "on-unhealthy", "MaximumRetryCount": 0}
    engine.berth("exec", "sick", "touch", "/state/sick")
    wait_until("restart", lambda: restarts(engine, "sick") == 1)
    wait_until("health", lambda: health(engine, "sick") == "healthy")
    after = engine.inspect("sick")["State"]
    assert after["Running"] and after["Pid"] != before["State"]["Pid"]
    events = engine.berth("events", "--since", "10m", "--until", "0s", "--filter", "container=sick", "--format", "{{.Action}}").stdout
    lines = [line for line in events.splitlines() if not line.startswith("exec_")]
    assert lines[lines.index("health_status: unhealthy"):][:3] == ["health_status: unhealthy", "kill", "die"]


def test_it_is_restarted_when_it_fails_and_not_when_it_is_done(engine):
    run(engine, "fails", "on-unhealthy", "--tmpfs", "/state")
    engine.berth("exec", "fails", "sh", "-c", "echo 3 >/state/code")
    wait_until("restart", lambda: restarts(engine, "fails") == 1)
    wait_until("health", lambda: health(engine, "fails") == "healthy")
    engine.berth("exec", "fails", "sh", "-c", "echo 0 >/state/code")
    wait_until("end", lambda: engine.inspect("fails")["State"]["Status"] == "exited")
    assert restarts(engine, "fails") == 1 and engine.inspect("fails")["State"]["ExitCode"] == 0


def test_it_is_restarted_so_many_times(engine):
    """And stays as it is then."""
    run(engine, "hopeless", "on-unhealthy:2", "-v", "/state")
    engine.berth("exec", "hopeless", "touch", "/state/sick")
    wait_until("restarts", lambda: restarts(engine, "hopeless") == 2)
    wait_until("last run", lambda: engine.inspect("hopeless")["State"]["Pid"])
    wait_until("unhealthy again", lambda: health(engine, "hopeless") == "unhealthy")
    pid = engine.inspect("hopeless")["State"]["Pid"]
    streak = engine.inspect("hopeless")["State"]["Health"]["FailingStreak"]
    wait_until("more probes", lambda: engine.inspect("hopeless")["State"]["Health"]["FailingStreak"] > streak + 5)
    state = engine.inspect("hopeless")["State"]
    assert (state["Pid"], state["Running"], restarts(engine, "hopeless")) == (pid, True, 2)


def test_a_pause_is_nobodys_fault(engine):
    """A probe that stands still with its container would be late."""
    engine.berth("run", "-d", "--name", "still", "--restart", "on-unhealthy", "--health-cmd", "touch /probed; sleep 0.3", "--health-interval",
                 "50ms", "--health-timeout", "2s", "--health-retries", "1", *COMMAND)
    wait_until("health", lambda: health(engine, "still") == "healthy")

    def probes():
        return engine.inspect("still")["State"]["Health"]["Log"]

    engine.berth("exec", "still", "rm", "/probed")
    wait_until("a probe at work", lambda: engine.berth("exec", "still", "test", "-e", "/probed", check=False).returncode == 0)
    engine.berth("pause", "still")
    engine.run("sleep", "2.5")  # longer than a probe may take
    assert health(engine, "still") == "healthy"
    engine.berth("unpause", "still")
    ends = probes()[-1]["End"]
    wait_until("another probe", lambda: probes()[-1]["End"] != ends)
    assert {probe["ExitCode"] for probe in probes()} == {0}
    assert (health(engine, "still"), restarts(engine, "still")) == ("healthy", 0)


def test_a_stop_is_a_stop(engine):
    run(engine, "ended", "on-unhealthy", "--tmpfs", "/state")
    engine.berth("stop", "ended")
    assert engine.inspect("ended")["State"]["Status"] == "exited" and restarts(engine, "ended") == 0


def test_an_update_makes_it_so(engine):
    run(engine, "later", "no", "-v", "/state")
    engine.berth("exec", "later", "touch", "/state/sick")
    wait_until("unhealthy", lambda: health(engine, "later") == "unhealthy")
    pid = engine.inspect("later")["State"]["Pid"]
    engine.berth("update", "--restart", "on-unhealthy:1", "later")
    assert engine.inspect("later")["HostConfig"]["RestartPolicy"] == {"Name": "on-unhealthy", "MaximumRetryCount": 1}
    wait_until("restart", lambda: restarts(engine, "later") == 1)
    wait_until("run", lambda: engine.inspect("later")["State"]["Pid"] not in (0, pid))


def test_an_engine_that_comes_back_restarts_what_is_unhealthy(fresh_engine):
    engine = fresh_engine
    run(engine, "sick", "on-unhealthy", "--tmpfs", "/state")
    engine.kill()
    engine.start()
    pid = engine.inspect("sick")["State"]["Pid"]
    engine.berth("exec", "sick", "touch", "/state/sick")
    wait_until("restart", lambda: engine.inspect("sick")["State"]["Pid"] not in (0, pid))
    assert restarts(engine, "sick") == 1


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_clients_pass_the_name_on(engine, client):
    done = getattr(engine, client)("create", "--name", f"made-by-{client}", "--restart", "on-unhealthy:3", *HEALTH, "busybox", "true")
    assert "WARNING" not in done.stderr
    item = engine.inspect(f"made-by-{client}")
    assert item["HostConfig"]["RestartPolicy"] == {"Name": "on-unhealthy", "MaximumRetryCount": 3}
    getattr(engine, client)("update", "--restart", "on-unhealthy", f"made-by-{client}")
    assert engine.inspect(f"made-by-{client}")["HostConfig"]["RestartPolicy"] == {"Name": "on-unhealthy", "MaximumRetryCount": 0}


def test_what_is_wrong_with_it_is_said(engine):
    done = engine.berth("create", "--restart", "on-unhealthy", "busybox", "true")
    assert "the container has no health check" in done.stderr
    for flags, error in ((["--restart", "on-unhealthy:-1"], "maximum retry count cannot be negative"),
                         (["--restart", "on-unhealthy:x"], "maximum retry count must be an integer"),
                         (["--restart", "on-unhealthy", "--rm"], "can't create 'AutoRemove' container with restart policy")):
        done = engine.berth("create", *flags, "busybox", "true", check=False)
        assert done.returncode == 1 and error in done.stderr, done.stderr


def test_many_that_become_unhealthy_at_once_are_all_restarted(fresh_engine, tmp_path):
    """More than the threads that handle exits: whoever waits for an end must not keep the ends from being handled."""
    engine = fresh_engine
    state = tmp_path / "state"
    state.mkdir()
    names = [f"sick{number}" for number in range(20)]
    for name in names:
        engine.berth("run", "-d", "--name", name, "--restart", "on-unhealthy:1", "--stop-timeout", "600", "-v", f"{state}:/state", *HEALTH,
                     "busybox", "sh", "-c", "trap 'sleep 3; exit 0' TERM; while :; do sleep 0.05; done")
    (state / "sick").touch()
    wait_until("restarts", lambda: all(restarts(engine, name) == 1 for name in names))
