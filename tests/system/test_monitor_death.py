"""A monitor that is killed at any moment: its container is reported dead and can be removed without a trace."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from engine import BIN, mounts_below, wait_until
from killer import REMOVING, Killer


def monitors(engine):
    """Pids of the engine's own monitors, without the processes that one has cloned for its container."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if words[0].endswith(b"berth-monitor") and any(str(engine.exec).encode() in word for word in words):
                found[int(entry.name)] = parent
    return [pid for pid, parent in found.items() if parent not in found]


def groups(engine, container):
    """Directories of the container's control groups in every hierarchy."""
    parent = os.environ["BERTH_TEST_CGROUP"].strip("/")
    return [path for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{parent}/*{container}*") if path.is_dir()]


def expect_no_trace(engine, container):
    wait_until("end of the monitor", lambda: not monitors(engine))
    assert groups(engine, container) == []
    wait_until("removal behind", lambda: os.listdir(engine.exec / "containers") == [])
    assert not (engine.exec / "runtime" / container).exists()
    assert mounts_below(engine.data) == []


def test_kill_of_a_running_monitor(engine):
    container = engine.berth("run", "-d", "--name", "orphan", "busybox", "sh", "-c", "sleep 1000 & sleep 1000").stdout.strip()
    execution = subprocess.Popen([BIN / "berth", "exec", "orphan", "sleep", "777"], env=engine.environment,
                                 stdin=subprocess.DEVNULL)
    init = engine.inspect("orphan")["State"]["Pid"]
    wait_until("exec", lambda: "777" in engine.berth("top", "orphan").stdout)
    [monitor] = monitors(engine)
    os.kill(monitor, signal.SIGKILL)
    wait_until("death", lambda: not engine.inspect("orphan")["State"]["Running"])
    state = engine.inspect("orphan")["State"]
    assert state["Status"] == "exited" and state["ExitCode"] == 137
    assert execution.wait(60) != 0
    wait_until("end of init", lambda: not os.path.exists(f"/proc/{init}/exe"))
    assert groups(engine, container) == []
    # It can be started again, and removed.
    engine.berth("start", "orphan")
    assert engine.berth("exec", "orphan", "echo", "well").stdout == "well\n"
    os.kill(monitors(engine)[0], signal.SIGKILL)
    engine.berth("rm", "-f", "orphan")
    expect_no_trace(engine, container)


@pytest.mark.parametrize("moment", range(12))
def test_kill_of_a_monitor_under_way(engine, moment):
    name = f"half{moment}"
    container = engine.berth("create", "--name", name, "busybox", "sleep", "1000").stdout.strip()
    client = subprocess.Popen([BIN / "berth", "start", name], env=engine.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    pid = wait_until("monitor", lambda: monitors(engine))[0]
    end = time.monotonic() + moment * 0.001
    while time.monotonic() < end:
        pass
    os.kill(pid, signal.SIGKILL)
    _, error = client.communicate(timeout=60)
    wait_until("death", lambda: not engine.inspect(name)["State"]["Running"])
    assert client.returncode == 0 or "monitor" in error or "container init" in error, error
    engine.berth("rm", "-f", name)
    expect_no_trace(engine, container)


def run_until_term(engine, name):
    """A container that ends with 7 when it is asked to, and its monitor."""
    container = engine.berth("run", "-d", "--name", name, "busybox", "sh", "-c", "trap 'exit 7' TERM; echo ready; sleep 1000 & wait").stdout.strip()
    wait_until("trap", lambda: "ready" in engine.berth("logs", name).stdout)
    [monitor] = monitors(engine)
    return container, monitor


@pytest.mark.parametrize("moment", range(1, 4))
def test_kill_of_a_monitor_that_has_told_the_exit(engine, moment):
    """It takes the container's groups away behind the answer: who comes after it does the rest."""
    name = f"told{moment}"
    container, monitor = run_until_term(engine, name)
    with Killer(monitor, REMOVING, at=moment) as killer:
        engine.berth("kill", "-s", "TERM", name)
        assert engine.berth("wait", name).stdout == "7\n"
        if moment < 3:
            engine.berth("start", name)
            assert engine.berth("exec", name, "echo", "well").stdout == "well\n"
        engine.berth("rm", "-f", name)
        wait_until("death", lambda: killer.killed)
    wait_until("groups' end", lambda: groups(engine, container) == [])
    expect_no_trace(engine, container)


def test_a_start_waits_until_nothing_is_left_of_the_run_before(engine):
    container, monitor = run_until_term(engine, "again")
    # The removal of its first group takes half a second.
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(monitor), "-e", "trace=rmdir",
                               "-e", "inject=rmdir:delay_enter=500000:when=1"])
    wait_until("tracer", lambda: "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{monitor}/status").read_text())
    engine.berth("kill", "-s", "TERM", "again")
    assert engine.berth("wait", "again").stdout == "7\n"
    assert groups(engine, container) != []
    engine.berth("start", "again")
    assert engine.berth("exec", "again", "echo", "well").stdout == "well\n"
    assert tracer.wait(60) == 0
    engine.berth("rm", "-f", "again")
    wait_until("groups' end", lambda: groups(engine, container) == [])
    expect_no_trace(engine, container)


def test_kill_of_engine_and_monitor(fresh_engine):
    engine = fresh_engine
    container = engine.berth("run", "-d", "--name", "both", "busybox", "sleep", "1000").stdout.strip()
    [monitor] = monitors(engine)
    engine.kill()
    os.kill(monitor, signal.SIGKILL)
    engine.start()
    state = engine.inspect("both")["State"]
    assert not state["Running"] and state["ExitCode"] == 137
    engine.berth("rm", "-f", "both")
    expect_no_trace(engine, container)


def test_kill_of_the_engine_while_a_container_starts(fresh_engine):
    engine = fresh_engine
    for moment in range(12):
        name = f"begun{moment}"
        container = engine.berth("create", "--name", name, "busybox", "sleep", "1000").stdout.strip()
        client = subprocess.Popen([BIN / "berth", "start", name], env=engine.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if moment % 2:
            wait_until("monitor", lambda: monitors(engine))
        end = time.monotonic() + moment * 0.001
        while time.monotonic() < end:
            pass
        engine.kill()
        client.wait(60)
        engine.start()
        if not engine.inspect(name)["State"]["Running"]:
            assert engine.inspect(name)["State"]["Status"] in ("created", "exited")
            engine.berth("start", name)
        assert engine.berth("exec", name, "echo", "well").stdout == "well\n"
        engine.berth("rm", "-f", name)
        expect_no_trace(engine, container)
