"""The engine where systemd makes the cgroups, and AppArmor. Runs in the virtual machine (tests/vm/suite), on its own
/run: nothing but systemd's scopes, bridges and /run/berth-N is made outside of the test's folder.
"""
import json
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import BIN, Engine, wait_until  # noqa: E402
from engine_fixtures import rootfs_tar  # noqa: E402,F401
from runtime import UNIFIED, has_controller  # noqa: E402

ROOT = pathlib.Path("/sys/fs/cgroup")
CGROUPS = ROOT if UNIFIED else ROOT / "pids"
# With the controllers on version 1 systemd is the driver for who asks for it.
DRIVER = [] if UNIFIED else ["--exec-opt=native.cgroupdriver=systemd"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with Engine(tmp_path_factory.mktemp("engine"), *DRIVER) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


def sleeper(engine, *flags):
    return engine.berth("run", "-d", *flags, "busybox", "sleep", "1000").stdout.strip()


def scope(id):
    return f"docker-{id}.scope"


def shown(unit, name):
    return subprocess.run(["systemctl", "show", "--value", "-p", name, unit], capture_output=True, text=True).stdout.strip()


def test_systemd_is_the_driver(engine):
    version = "2" if UNIFIED else "1"
    text = engine.berth("info").stdout
    assert " Cgroup Driver: systemd\n" in text and f" Cgroup Version: {version}\n" in text
    _, info = engine.request("GET", "/info")
    assert (info["CgroupDriver"], info["CgroupVersion"]) == ("systemd", version)


@pytest.mark.skipif(UNIFIED, reason="for cgroup version 1")
def test_a_container_is_a_scope_on_version_1(engine):
    id = sleeper(engine, "--cpus=0.5", "--pids-limit=40")
    unit = scope(id)
    assert (CGROUPS / "system.slice" / unit / "pids.max").read_text() == "40\n"
    expected = {"ActiveState": "active", "Slice": "system.slice", "CPUQuotaPerSecUSec": "500ms", "TasksMax": "40"}
    assert {name: shown(unit, name) for name in expected} == expected
    assert engine.request("POST", f"/containers/{id}/update", {"PidsLimit": 30, "CpuShares": 512})[0] == 200
    assert (shown(unit, "TasksMax"), shown(unit, "CPUShares")) == ("30", "512")
    assert (ROOT / "cpu/system.slice" / unit / "cpu.shares").read_text() == "512\n"
    assert engine.berth("exec", id, "sh", "-c", "echo $((6 * 7))").stdout == "42\n"
    assert "sleep 1000" in engine.berth("top", id).stdout
    _, stats = engine.request("GET", f"/containers/{id}/stats?stream=false&one-shot=true")
    assert stats["pids_stats"] == {"current": 1, "limit": 30} and stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    engine.berth("pause", id)
    assert engine.inspect(id)["State"]["Paused"]
    engine.berth("unpause", id)
    engine.berth("rm", "-f", id)
    assert shown(unit, "LoadState") == "not-found" and not list(ROOT.glob(f"*/system.slice/{unit}"))


@pytest.mark.skipif(not UNIFIED, reason="for cgroup version 2")
def test_a_container_is_a_scope_from_start_to_removal(engine):
    id = sleeper(engine, "--memory=64m", "--cpus=0.5", "--pids-limit=40")
    unit = scope(id)
    assert (CGROUPS / "system.slice" / unit / "memory.max").read_text() == f"{64 << 20}\n"
    expected = {"ActiveState": "active", "Slice": "system.slice", "MemoryMax": str(64 << 20), "CPUQuotaPerSecUSec": "500ms",
                "TasksMax": "40"}
    assert {name: shown(unit, name) for name in expected} == expected
    assert engine.request("POST", f"/containers/{id}/update", {"Memory": 32 << 20, "MemorySwap": 32 << 20})[0] == 200
    assert shown(unit, "MemoryMax") == str(32 << 20)
    assert engine.berth("exec", id, "cat", "/proc/self/cgroup").stdout == "0::/\n"
    assert "sleep 1000" in engine.berth("top", id).stdout
    _, stats = engine.request("GET", f"/containers/{id}/stats?stream=false&one-shot=true")
    assert stats["memory_stats"]["limit"] == 32 << 20 and stats["pids_stats"]["current"] == 1
    engine.berth("pause", id)
    assert "frozen 1" in (CGROUPS / "system.slice" / unit / "cgroup.events").read_text()
    engine.berth("unpause", id)
    engine.berth("rm", "-f", id)
    assert shown(unit, "LoadState") == "not-found" and not (CGROUPS / "system.slice" / unit).exists()


def test_containers_outlive_the_engine_and_killed_monitors_leave_no_unit(engine):
    kept, orphan = sleeper(engine), sleeper(engine)
    pid = engine.inspect(kept)["State"]["Pid"]
    engine.kill()
    engine.start()
    assert engine.inspect(kept)["State"]["Pid"] == pid and shown(scope(kept), "ActiveState") == "active"
    child = engine.inspect(orphan)["State"]["Pid"]
    monitor = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[1]
    subprocess.run(["kill", "-KILL", monitor], check=True)
    wait_until("end", lambda: not engine.inspect(orphan)["State"]["Running"])
    wait_until("end of its unit", lambda: shown(scope(orphan), "LoadState") == "not-found")
    engine.berth("rm", "-f", kept, orphan)


@pytest.mark.skipif(not has_controller("memory"), reason="this kernel has no memory controller of version 1")
def test_out_of_memory(engine):
    done = engine.berth("run", "--name", "eater", "-m", "16m", "--memory-swap", "16m", "busybox", "tail", "/dev/zero", check=False)
    assert done.returncode == 137
    assert engine.inspect("eater")["State"]["OOMKilled"]
    engine.berth("rm", "eater")


def test_parents_are_slices(engine):
    id = sleeper(engine, "--cgroup-parent=berthtest-one.slice")
    assert (CGROUPS / "berthtest.slice/berthtest-one.slice" / scope(id)).is_dir()
    assert engine.request("GET", f"/containers/{id}/stats?stream=false&one-shot=true")[1]["pids_stats"]["current"] == 1
    engine.berth("rm", "-f", id)
    done = engine.berth("run", "--cgroup-parent=/berthtest", "busybox", "true", check=False)
    assert done.returncode == 125
    assert 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"' in done.stderr
    subprocess.run(["systemctl", "stop", "berthtest-one.slice", "berthtest.slice"], check=True)


@pytest.mark.parametrize("by_file", [False, True])
def test_drivers_by_option(tmp_path, rootfs_tar, by_file):
    option = "native.cgroupdriver=" + ("systemd" if by_file else "cgroupfs")
    (tmp_path / "daemon.json").write_text(json.dumps(
        {"exec-opts": [option], "cgroup-parent": "berthtest.slice"} if by_file else {}))
    flags = [f"--config-file={tmp_path}/daemon.json"] + ([] if by_file else [f"--exec-opt={option}", "--cgroup-parent=/berthtest"])
    with Engine(tmp_path, *flags) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        assert f" Cgroup Driver: {option.split('=')[1]}\n" in engine.berth("info").stdout
        id = sleeper(engine)
        assert (CGROUPS / ("berthtest.slice/" + scope(id) if by_file else "berthtest/" + id)).is_dir()
    subprocess.run(["systemctl", "stop", "berthtest.slice"], check=False)


@pytest.mark.parametrize("flag, words", [
    ("--cgroup-parent=/berthtest", "valid slice"), ("--exec-opt=native.cgroupdriver=other", "invalid cgroup driver: other"),
])
def test_wrong_options_end_the_engine(tmp_path, flag, words):
    done = subprocess.run([BIN / "berthd", f"--data-root={tmp_path}/data", f"--exec-root={tmp_path}/run",
                           f"--host=unix://{tmp_path}/s", "--bridge=none", *DRIVER, flag], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr


PROFILE = "cat /proc/self/attr/apparmor/current 2>/dev/null || cat /proc/self/attr/current"


def test_containers_are_in_dockers_profile(engine):
    private = ["name=cgroupns"] if UNIFIED else []  # with version 1 a container sees the host's cgroups, as Docker's do
    assert engine.request("GET", "/info")[1]["SecurityOptions"] == ["name=apparmor", "name=seccomp,profile=builtin", *private]
    assert "docker-default (enforce)" in pathlib.Path("/sys/kernel/security/apparmor/profiles").read_text()
    id = sleeper(engine)
    assert engine.inspect(id)["AppArmorProfile"] == "docker-default"
    assert engine.berth("exec", id, "sh", "-c", PROFILE).stdout == "docker-default (enforce)\n"
    engine.berth("stop", "-t", "0", id)  # the engine may send signals into the profile
    engine.berth("rm", id)
    assert engine.berth("run", "--rm", "busybox", "sh", "-c", PROFILE).stdout == "docker-default (enforce)\n"
    step = engine.berth("build", "--no-cache", "-", input=f"FROM busybox\nRUN {PROFILE}\n")
    assert "docker-default (enforce)\n" in step.stdout
    # With the capability and without seccomp it is the profile alone that denies.
    flags = ["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined"]
    mount = ["busybox", "sh", "-c", "mount -t tmpfs none /tmp"]
    done = engine.berth("run", "--rm", *flags, *mount, check=False)
    assert done.returncode != 0 and "denied" in done.stderr
    engine.berth("run", "--rm", *flags, "--security-opt=apparmor=unconfined", *mount)


def test_other_profiles(engine, tmp_path):
    assert engine.berth("run", "--rm", "--security-opt=apparmor=unconfined", "busybox", "sh", "-c", PROFILE).stdout == "unconfined\n"
    assert engine.berth("run", "--rm", "--privileged", "busybox", "sh", "-c", PROFILE).stdout == "unconfined\n"
    (tmp_path / "profile").write_text("profile berth-test-own flags=(attach_disconnected,mediate_deleted) {\n"
                                      "  file,\n  capability,\n  network,\n  signal,\n  deny /etc/group rwklx,\n}\n")
    subprocess.run(["apparmor_parser", "-rK", tmp_path / "profile"], check=True)
    done = engine.berth("run", "--name", "owned", "--security-opt=apparmor=berth-test-own", "busybox", "cat", "/etc/group", check=False)
    assert done.returncode == 1 and "Permission denied" in done.stderr
    assert engine.inspect("owned")["AppArmorProfile"] == "berth-test-own"
    engine.berth("rm", "owned")
    subprocess.run(["apparmor_parser", "-R", tmp_path / "profile"], check=True)
    done = engine.berth("run", "--rm", "--security-opt=apparmor=berth-test-absent", "busybox", "true", check=False)
    assert done.returncode != 0 and "berth-test-absent is not loaded" in done.stderr
