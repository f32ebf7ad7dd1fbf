"""exec with all its flags."""
import json
import pathlib
import subprocess

import pytest
from runtime import UNIFIED, group_of, is_alive, wait_until, with_descriptor_3


@pytest.fixture
def box(runtime):
    runtime.start("box")
    return runtime


def test_status_and_output(box):
    done = box.run("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")


def test_status_of_a_signal(box):
    assert box.run("exec", "box", "sh", "-c", "kill -TERM $$", check=False).returncode == 128 + 15


@pytest.mark.parametrize("program, words", [
    ("absent-program", 'exec: "absent-program": executable file not found in $PATH'),
    ("/bin/not-executable", 'exec: "/bin/not-executable": permission denied'),
])
def test_programs_that_cannot_run(box, program, words):
    done = box.run("exec", "box", program, check=False)
    assert done.returncode == 255 and words in done.message and "exec failed" in done.message


def test_flags_change_the_process(box):
    done = box.run("exec", "--cwd", "/tmp", "--env", "A=1", "--env", "B=2 3", "--user", "1000:1001", "-g", "2000",
                   "-g", "2001", "box", "sh", "-c", "pwd; echo $A $B; id -u; id -g; id -G")
    assert done.stdout == "/tmp\n1 2 3\n1000\n1001\n1001 2000 2001\n"


def status_of(done):
    return dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)


def test_cap_adds_capabilities(box):
    chown = 1 << 0
    before = status_of(box.run("exec", "box", "cat", "/proc/self/status"))
    after = status_of(box.run("exec", "--cap", "CAP_CHOWN", "box", "cat", "/proc/self/status"))
    for name in ("CapBnd", "CapEff", "CapPrm"):
        assert int(before[name], 16) & chown == 0
        assert int(after[name], 16) == int(before[name], 16) | chown
    assert int(after["CapInh"], 16) == 0 and int(after["CapAmb"], 16) == 0


def test_no_new_privs(runtime):
    runtime.start("box", change=lambda config: config["process"].update(noNewPrivileges=False))
    assert status_of(runtime.run("exec", "box", "cat", "/proc/self/status"))["NoNewPrivs"] == "0"
    assert status_of(runtime.run("exec", "--no-new-privs", "box", "cat", "/proc/self/status"))["NoNewPrivs"] == "1"


def test_process_file(box, tmp_path):
    process = {"args": ["sh", "-c", "id -u; id -G; pwd; echo $X; ulimit -n; exit 4"], "cwd": "/tmp",
               "env": ["PATH=/bin", "X=y"], "user": {"uid": 7, "gid": 8, "additionalGids": [9]},
               "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 111, "soft": 100}]}
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = box.run("exec", "-p", tmp_path / "process.json", "box", check=False)
    assert (done.returncode, done.stdout) == (4, "7\n8 9\n/tmp\ny\n100\n")


def test_detach_and_pid_file(box, tmp_path):
    box.run("exec", "--detach", "--pid-file", tmp_path / "pid", "box", "sleep", "1000")
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    assert pid in json.loads(box.run("ps", "-f", "json", "box").stdout)


def test_preserve_fds(box, tmp_path):
    with_descriptor_3(box, tmp_path / "file", "exec", "--preserve-fds", "1", "box", "sh", "-c", "echo through >&3")
    assert (tmp_path / "file").read_text() == "through\n"


def test_standard_input(box):
    assert box.run("exec", "box", "cat", input="hello").stdout == "hello"


def test_paused_container(box, tmp_path):
    box.run("pause", "box")
    done = box.run("exec", "box", "true", check=False)
    assert done.returncode == 255 and "cannot exec in a paused container" in done.message
    # It waits until the container goes on.
    with subprocess.Popen(box.command("exec", "--ignore-paused", "box", "echo", "went on"),
                          stdout=subprocess.PIPE) as waiting:
        wait_until("process", lambda: len(json.loads(box.run("ps", "-f", "json", "box").stdout)) > 1)
        assert waiting.poll() is None
        box.run("resume", "box")
        assert waiting.stdout.read() == b"went on\n" and waiting.wait(30) == 0


def test_stopped_container(box):
    box.run("kill", "box", "KILL")
    wait_until("end", lambda: box.state("box")["status"] == "stopped")
    done = box.run("exec", "box", "true", check=False)
    assert done.returncode == 255 and "cannot exec in a stopped container" in done.message


def test_created_container(runtime):
    runtime.run("create", "--bundle", runtime.bundle(), "box")
    assert runtime.run("exec", "box", "echo", "early").stdout == "early\n"


def test_sub_cgroup(box):
    own = group_of(box.state("box")["pid"], "pids")
    if own is None:
        pytest.skip("pids is not on version 1 here")
    below = own / "below"
    below.mkdir()
    name = "below" if UNIFIED else "pids:below"
    done = box.run("exec", "--cgroup", name, "box", "cat", "/proc/self/cgroup")
    assert any(line.endswith("/below") and (UNIFIED or "pids" in line) for line in done.stdout.splitlines())
    assert sum(line.endswith("/below") for line in done.stdout.splitlines()) == 1
    for wrong in ("pids:absent", "nothing:below", "pids:../..", "../..", "absent"):
        assert box.run("exec", "--cgroup", wrong, "box", "true", check=False).returncode == 255


def test_wrong_flags(box):
    for flags, words in ((["--user", "root"], "root"), (["--user", "1:2:3"], "2:3"),
                         (["--additional-gids", "-1"], "additional-gids"), (["--cwd", "tmp"], "bsolute"),
                         (["--process", "/absent"], "/absent")):
        done = box.run("exec", *flags, "box", "true", check=False)
        assert done.returncode in (1, 255) and words in done.message, flags
    done = box.run("exec", "box", check=False)
    assert done.returncode == 255 and "process args cannot be empty" in done.message


@pytest.mark.ours
def test_process_label_needs_selinux(box):
    done = box.run("exec", "--process-label", "a:b:c:s0", "box", "true", check=False)
    assert done.returncode == 255 and "SELinux" in done.message
