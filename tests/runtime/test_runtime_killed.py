"""kill -9 of the runtime, and of a container's init, at any step: delete --force removes all that is left."""
import ctypes
import os
import pathlib
import signal

import pytest
from runtime import PROGRAM, SANITIZED, WITHOUT_LEAK_CHECK, is_alive, wait_until

PTRACE_TRACEME, PTRACE_SYSCALL, PTRACE_CONT, PTRACE_SETOPTIONS, PTRACE_DETACH = 0, 24, 7, 0x4200, 17
PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACEFORK, PTRACE_O_TRACEVFORK, PTRACE_O_TRACECLONE, PTRACE_O_EXITKILL = 1, 2, 4, 8, 1 << 20
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) < 0 and ctypes.get_errno() != 3:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


def traced(command, errors, stdio):
    """The command, stopped at its execve."""
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null if fd == 0 else stdio, fd)
        os.dup2(errors, 2)
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        # A sanitizer traces the process itself when it looks for leaks.
        os.execve(command[0], command, {**os.environ, **WITHOUT_LEAK_CHECK})
    os.waitpid(pid, 0)
    return pid


def kill_runtime_after(command, stops, errors):
    """SIGKILL after so many entries into and returns from system calls; False when it had ended before."""
    pid = traced(command, errors, errors)
    ptrace(PTRACE_SETOPTIONS, pid, PTRACE_O_TRACESYSGOOD)
    for _ in range(stops):
        ptrace(PTRACE_SYSCALL, pid)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def kill_init_after(command, stops, errors):
    """The same for the first child of the runtime; the runtime itself goes on to its end, whose status is returned."""
    pid = traced(command, errors, errors)
    ptrace(PTRACE_SETOPTIONS, pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK)
    ptrace(PTRACE_CONT, pid)
    child, done, killed = None, 0, False
    while True:
        stopped, status = os.waitpid(-1, WALL)
        if stopped == pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            return os.waitstatus_to_exitcode(status), killed
        if stopped == pid:
            event = status >> 16
            signal_number = os.WSTOPSIG(status) if event == 0 else 0
            ptrace(PTRACE_CONT, pid, signal_number if signal_number != signal.SIGTRAP else 0)
            continue
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            continue
        child = child or stopped
        if stopped != child:
            ptrace(PTRACE_CONT, stopped)
        elif done == stops and not killed:
            killed = True
            os.kill(child, signal.SIGKILL)
        elif not killed:
            done += 1
            # At its gate it waits for start: leave it there.
            ptrace(PTRACE_SYSCALL, child)


def mounts():
    return pathlib.Path("/proc/self/mountinfo").read_text()


def processes_of(runtime):
    """Those that this state root is named on the command line of, and those in the tests' cgroups."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(runtime.root).encode() in (entry / "cmdline").read_bytes() or runtime.folder.name in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except OSError:
            pass
    return [pid for pid in found if is_alive(pid)]


def assert_all_is_gone(runtime, id):
    runtime.run("delete", "--force", id)
    wait_until("end of its processes", lambda: not processes_of(runtime))
    assert runtime.remains() == []


STEP = int(os.environ.get("BERTH_TEST_KILL_STEP", "15" if SANITIZED else "9"))


@pytest.fixture(scope="module")
def before_main():
    """Stops before main. A sanitizer makes a thousand calls there: nothing of the runtime is seen in them."""
    if not SANITIZED:
        return 0
    stops = 100
    with open(os.devnull, "wb") as null:
        while kill_runtime_after([str(PROGRAM), "--version"], stops, null.fileno()):
            stops += 100
    return stops - 200


@pytest.mark.ours
@pytest.mark.parametrize("command", ["create", "run"])
def test_runtime_killed_at_any_step(runtime, command, before_main, tmp_path):
    before = mounts()
    bundle = runtime.bundle(change=lambda config: config["linux"]["resources"].update(memory={"limit": 64 << 20}))
    arguments = ["--detach"] if command == "run" else []
    stops, kills = 2 * before_main + 1, 0  # it executes itself once more
    with open(tmp_path / "errors", "wb") as errors:
        while kill_runtime_after(runtime.command(command, *arguments, "--bundle", bundle, "one"), stops, errors.fileno()):
            assert_all_is_gone(runtime, "one")
            stops += STEP
            kills += 1
        assert_all_is_gone(runtime, "one")
    assert kills > 20, (tmp_path / "errors").read_text()
    assert mounts() == before


@pytest.mark.ours
@pytest.mark.parametrize("command", ["start", "delete"])
def test_start_and_delete_killed_at_any_step(runtime, command, before_main, tmp_path):
    bundle = runtime.bundle()
    stops, kills = before_main + 1, 0
    with open(tmp_path / "errors", "wb") as errors:
        more = True
        while more:
            runtime.run("create", "--bundle", bundle, "one")
            more = kill_runtime_after(runtime.command(command, "one"), stops, errors.fileno())
            assert_all_is_gone(runtime, "one")
            stops += STEP
            kills += 1
    assert kills > 3


@pytest.mark.ours
def test_init_killed_at_any_step(runtime, tmp_path):
    """An error that says so, and nothing left without any delete."""
    bundle = runtime.bundle(["/bin/true"])
    stops, kills = 1, 0
    while True:
        with open(tmp_path / "errors", "w+b") as errors:
            status, killed = kill_init_after(runtime.command("run", "--detach", "--bundle", bundle, "one"), stops, errors.fileno())
            errors.seek(0)
            words = errors.read().decode()
        if not killed or status == 0:
            break
        # Behind its last word to its creator it is one that waits for its start.
        expected = ("init ended before it was ready", "cannot start a container that has stopped")
        assert status == 1 and any(sentence in words for sentence in expected), words
        wait_until("end", lambda: not processes_of(runtime))
        assert runtime.remains() == []
        stops += STEP
        kills += 1
    runtime.run("delete", "--force", "one")
    assert kills > 20


@pytest.mark.ours
def test_directory_that_a_killed_create_has_left(runtime):
    """Between making the directory and writing into it."""
    (runtime.root / "one").mkdir()
    assert runtime.run("create", "--bundle", runtime.bundle(), "one", check=False).returncode == 1
    done = runtime.run("state", "one", check=False)
    assert done.returncode == 1 and "does not exist" in done.stderr
    runtime.run("delete", "--force", "one")
    runtime.run("create", "--bundle", runtime.bundle(), "one")
