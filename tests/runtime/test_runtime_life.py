"""create, start, run, state, kill, delete, pause, resume."""
import json
import signal
import subprocess

import pytest
from runtime import PROGRAM, is_alive, wait_until, with_descriptor_3


def test_a_container_goes_through_its_states(runtime):
    runtime.run("create", "--bundle", runtime.bundle(), "one")
    state = runtime.state("one")
    assert state["status"] == "created" and is_alive(state["pid"])
    runtime.run("start", "one")
    assert runtime.state("one")["status"] == "running"
    runtime.run("pause", "one")
    assert runtime.state("one")["status"] == "paused"
    runtime.run("resume", "one")
    assert runtime.state("one")["status"] == "running"
    runtime.run("kill", "one", "KILL")
    wait_until("end", lambda: runtime.state("one")["status"] == "stopped")
    assert runtime.state("one")["pid"] == 0
    runtime.run("delete", "one")
    done = runtime.run("state", "one", check=False)
    assert done.returncode == 1 and "does not exist" in done.stderr


def test_state_has_runcs_members(runtime):
    bundle = runtime.bundle(change=lambda config: config.update(annotations={"a": "b"}))
    runtime.run("create", "--bundle", bundle, "one")
    state = runtime.state("one")
    assert list(state) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert state["id"] == "one" and state["bundle"] == str(bundle) and state["rootfs"] == str(runtime.rootfs)
    assert state["annotations"]["a"] == "b" and state["owner"] == ""
    assert state["created"].endswith("Z")


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_run_returns_the_programs_status(runtime, code):
    done = runtime.run("run", "--bundle", runtime.bundle(["/bin/sh", "-c", f"echo out; echo err >&2; exit {code}"]),
                       "one", check=False)
    assert done.returncode == code
    assert done.stdout == "out\n" and done.stderr == "err\n"
    assert runtime.ids() == []


def test_run_returns_128_and_the_signal(runtime):
    done = runtime.run("run", "--bundle", runtime.bundle(["/bin/sh", "-c", "kill -9 $$"],
                                                         lambda c: c["linux"]["namespaces"].pop(0)), "one", check=False)
    assert done.returncode == 128 + 9


def test_run_loses_no_signal_and_no_container(runtime):
    """Whenever the signal comes, once the runtime stands for the program."""
    bundle = runtime.bundle(["/bin/sleep", "1000"], lambda c: c["linux"]["namespaces"].pop(0))
    for _ in range(10):
        with subprocess.Popen(runtime.command("run", "--bundle", bundle, "one")) as running:
            wait_until("container", lambda: runtime.ids())
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 128 + 15
        assert runtime.ids() == []


def test_run_keeps_the_container_with_keep(runtime):
    runtime.run("run", "--keep", "--bundle", runtime.bundle(["/bin/true"]), "one")
    assert runtime.state("one")["status"] == "stopped"


def test_run_passes_signals_on(runtime):
    bundle = runtime.bundle(["/bin/sh", "-c", "trap 'exit 33' TERM; echo ready; while :; do sleep 0.02; done"])
    with subprocess.Popen(runtime.command("run", "--bundle", bundle, "one"), stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 33


def test_detach_and_pid_file(runtime, tmp_path):
    runtime.run("run", "-d", "--pid-file", tmp_path / "pid", "-b", runtime.bundle(), "one")
    assert int((tmp_path / "pid").read_text()) == runtime.state("one")["pid"]


def test_preserve_fds(runtime, tmp_path):
    bundle = runtime.bundle(["/bin/sh", "-c", "echo through >&3; ls /proc/self/fd"])
    done = with_descriptor_3(runtime, tmp_path / "file", "run", "--preserve-fds", "1", "--bundle", bundle, "one")
    assert (tmp_path / "file").read_text() == "through\n"
    assert done.stdout.split() == ["0", "1", "2", "3", "4"]  # 4 is ls's own


def test_without_preserve_fds_none_is_passed_on(runtime, tmp_path):
    bundle = runtime.bundle(["/bin/ls", "/proc/self/fd"])
    done = with_descriptor_3(runtime, tmp_path / "file", "run", "--bundle", bundle, "one")
    assert done.stdout.split() == ["0", "1", "2", "3"]


@pytest.mark.ours  # runc takes descriptors of its own for the caller's
def test_preserve_fds_must_be_open(runtime):
    done = runtime.run("run", "--preserve-fds", "3", "--bundle", runtime.bundle(), "one", check=False,
                       globals=["--log", "/dev/null"])
    assert done.returncode == 1 and "preserve" in done.stderr


@pytest.mark.parametrize("flag", ["--no-pivot", "--no-new-keyring", "--no-subreaper"])
def test_run_takes_flag(runtime, flag):
    done = runtime.run("run", flag, "--bundle", runtime.bundle(["/bin/sh", "-c", "ls / && cat /proc/1/comm"]), "one")
    assert "bin" in done.stdout and "boot" not in done.stdout.split()


@pytest.mark.ours
def test_no_pivot_leaves_no_procfs_of_the_host(runtime):
    done = runtime.run("run", "--no-pivot", "--bundle", runtime.bundle(["/bin/cat", "/proc/self/mountinfo"]), "one")
    assert sum(" - proc " in line for line in done.stdout.splitlines()) == 1


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "term", "15", None])
def test_kill_takes_names_and_numbers(runtime, name):
    runtime.start("one", ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"])
    # the trap is set once the shell has a child
    wait_until("child", lambda: len(json.loads(runtime.run("ps", "--format", "json", "one").stdout)) > 1)
    runtime.run("kill", "one", *([name] if name else []))
    wait_until("end", lambda: runtime.state("one")["status"] == "stopped")


def test_kill_refuses_unknown_signals(runtime):
    runtime.start("one")
    done = runtime.run("kill", "one", "NOPE", check=False)
    assert done.returncode == 1 and 'unknown signal' in done.stderr
    assert runtime.state("one")["status"] == "running"


def test_kill_of_a_stopped_container(runtime):
    runtime.run("run", "--keep", "--bundle", runtime.bundle(["/bin/true"]), "one")
    done = runtime.run("kill", "one", check=False)
    assert done.returncode == 1 and "container not running" in done.stderr
    runtime.run("kill", "--all", "one", "KILL")


@pytest.mark.parametrize("arguments", [["kill", "--all", "one", "KILL"], ["kill", "one", "9"]])
def test_kill_reaches_all_of_a_shared_pid_namespace(runtime, arguments):
    runtime.start("one", ["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"],
                  lambda config: config["linux"]["namespaces"].pop(0))
    pids = wait_until("children", lambda: (lambda p: p if len(p) == 3 else None)(
        json.loads(runtime.run("ps", "--format", "json", "one").stdout)))
    runtime.run(*arguments)
    wait_until("end", lambda: not any(map(is_alive, pids)))


def test_delete_refuses_what_runs(runtime):
    runtime.start("one")
    done = runtime.run("delete", "one", check=False)
    assert done.returncode == 1 and "cannot delete container one that is not stopped: running" in done.stderr
    runtime.run("delete", "--force", "one")
    assert runtime.ids() == []


def test_delete_takes_force_behind_the_id_and_what_is_not_there(runtime):
    runtime.start("one")
    runtime.run("delete", "one", "--force")
    runtime.run("delete", "-f", "one")
    done = runtime.run("delete", "one", check=False)
    assert done.returncode == 1 and "does not exist" in done.stderr


def test_delete_of_a_created_and_of_a_paused_container(runtime):
    runtime.run("create", "--bundle", runtime.bundle(), "one")
    runtime.run("delete", "one")
    runtime.start("two")
    runtime.run("pause", "two")
    runtime.run("delete", "--force", "two")
    assert runtime.ids() == []


def test_pause_and_resume_refuse_the_wrong_state(runtime):
    runtime.start("one")
    done = runtime.run("resume", "one", check=False)
    assert done.returncode == 1 and "not paused" in done.stderr
    runtime.run("pause", "one")
    runtime.run("resume", "one")
    runtime.run("kill", "one", "KILL")
    wait_until("end", lambda: runtime.state("one")["status"] == "stopped")
    done = runtime.run("pause", "one", check=False)
    assert done.returncode == 1 and "not running" in done.stderr


def test_start_refuses_the_wrong_state(runtime):
    runtime.start("one")
    done = runtime.run("start", "one", check=False)
    assert done.returncode == 1 and "cannot start an already running container" in done.stderr
    runtime.run("kill", "one", "KILL")
    wait_until("end", lambda: runtime.state("one")["status"] == "stopped")
    done = runtime.run("start", "one", check=False)
    assert done.returncode == 1 and "cannot start a container that has stopped" in done.stderr


@pytest.mark.ours
def test_checkpoint_and_restore_say_that_they_are_not_there(runtime):
    runtime.start("one")
    for arguments in (["checkpoint", "--image-path", "/x", "--tcp-established", "one"],
                      ["restore", "--bundle", "/x", "--lazy-pages", "two"]):
        done = runtime.run(*arguments, check=False)
        assert done.returncode == 1 and f"{arguments[0]} is not implemented" in done.stderr
    assert PROGRAM.name == "berth-runtime"
