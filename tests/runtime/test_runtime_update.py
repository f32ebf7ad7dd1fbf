"""update: every flag, and a file."""
import json
import pathlib

import pytest


def group(runtime, controller, id="one"):
    pid = runtime.state(id)["pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return pathlib.Path("/sys/fs/cgroup") / controller / path.lstrip("/")
    pytest.skip(f"{controller} is not on version 1 here")


def read(runtime, controller, file):
    return (group(runtime, controller) / file).read_text().strip()


@pytest.fixture
def box(runtime):
    def limits(config):
        config["linux"]["resources"].update(
            memory={"limit": 32 << 20, "swap": 64 << 20}, cpu={"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            pids={"limit": 20}, blockIO={"weight": 100})
    runtime.start("one", change=limits)
    return runtime


@pytest.mark.parametrize("flags, controller, file, expected", [
    (["--memory", "48m"], "memory", "memory.limit_in_bytes", str(48 << 20)),
    (["--memory", "16777216", "--memory-swap", "32m"], "memory", "memory.memsw.limit_in_bytes", str(32 << 20)),
    (["--memory-reservation", "8M"], "memory", "memory.soft_limit_in_bytes", str(8 << 20)),
    (["--cpu-quota", "30000"], "cpu", "cpu.cfs_quota_us", "30000"),
    (["--cpu-quota=-1"], "cpu", "cpu.cfs_quota_us", "-1"),
    (["--cpu-period", "200000", "--cpu-quota", "60000"], "cpu", "cpu.cfs_period_us", "200000"),
    (["--cpu-burst", "20000"], "cpu", "cpu.cfs_burst_us", "20000"),
    (["--cpu-share", "256"], "cpu", "cpu.shares", "256"),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"),
    (["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "0"),
    (["--cpu-idle", "1"], "cpu", "cpu.idle", "1"),
    (["--pids-limit", "9"], "pids", "pids.max", "9"),
    (["--pids-limit", "-1"], "pids", "pids.max", "max"),
    (["--blkio-weight", "500"], "blkio", "blkio.bfq.weight", "500"),
])
def test_flags(box, flags, controller, file, expected):
    if not (group(box, controller) / file).exists():
        pytest.skip(f"this kernel has no {file}")
    pids = read(box, "pids", "pids.max")
    box.run("update", *flags, "one")
    assert read(box, controller, file) == expected
    if controller != "pids":
        assert read(box, "pids", "pids.max") == pids


@pytest.mark.parametrize("flags", [["--cpu-rt-period", "1000000"], ["--cpu-rt-runtime", "1000"]])
def test_realtime_flags(box, flags):
    done = box.run("update", *flags, "one", check=False)
    if (group(box, "cpu") / "cpu.rt_runtime_us").exists():
        assert done.returncode in (0, 1)
    else:
        assert done.returncode == 1 and "cpu.rt_" in done.stderr


@pytest.mark.parametrize("by_stdin", [False, True])
def test_resources_file(box, tmp_path, by_stdin):
    text = json.dumps({"memory": {"limit": 40 << 20}, "cpu": {"shares": 300}, "pids": {"limit": 5}})
    (tmp_path / "resources.json").write_text(text)
    if by_stdin:
        box.run("update", "-r", "-", "one", input=text)
    else:
        box.run("update", "--resources", tmp_path / "resources.json", "one")
    assert read(box, "memory", "memory.limit_in_bytes") == str(40 << 20)
    assert read(box, "cpu", "cpu.shares") == "300" and read(box, "pids", "pids.max") == "5"
    assert read(box, "cpu", "cpu.cfs_quota_us") == "50000"


@pytest.mark.parametrize("flags, words", [
    (["--memory", "lots"], "memory"), (["--cpu-share", "x"], "cpu-share"), (["--cpuset-cpus", "999"], "cpuset"),
    (["--blkio-weight", "x"], "blkio-weight"), (["--resources", "/absent"], "/absent"), (["--memory", "1k"], "memory"),
])
def test_wrong_values(box, flags, words):
    before = read(box, "memory", "memory.limit_in_bytes")
    done = box.run("update", *flags, "one", check=False)
    assert done.returncode == 1 and words in done.stderr
    assert read(box, "memory", "memory.limit_in_bytes") == before


def test_schemas_need_resource_control(box):
    if pathlib.Path("/sys/fs/resctrl/info").exists():
        pytest.skip("this machine has Intel RDT")
    for flag, words in (("--l3-cache-schema", "l3 cache schema is not enabled"),
                        ("--mem-bw-schema", "memory bandwidth schema is not enabled")):
        done = box.run("update", flag, "L3:0=f", "one", check=False)
        assert done.returncode == 1 and words in done.stderr


def test_kernel_memory_is_said_to_be_gone(box):
    assert "ernel memory" in box.run("update", "--kernel-memory", "10m", "one").stderr


def test_stopped_container(box):
    box.run("kill", "one", "KILL")
    from runtime import wait_until
    wait_until("end", lambda: box.state("one")["status"] == "stopped")
    done = box.run("update", "--pids-limit", "3", "one", check=False)
    assert done.returncode == 1 and "not running" in done.stderr
