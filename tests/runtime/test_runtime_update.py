"""update: every flag, and a file."""
import json
import pathlib

import pytest
from runtime import UNIFIED, group_of, has_controller


def group(runtime, controller, id="one"):
    found = group_of(runtime.state(id)["pid"], controller)
    return found or pytest.skip(f"{controller} is not on version 1 here")


def read(runtime, controller, file):
    return (group(runtime, controller) / file).read_text().strip()


def limit(runtime, names):
    """By the file of version 1 or the one of version 2."""
    name = names[1 if UNIFIED else 0]
    return read(runtime, names[0].split(".")[0], name)


MEMORY, SWAP = ("memory.limit_in_bytes", "memory.max"), ("memory.memsw.limit_in_bytes", "memory.swap.max")
RESERVATION, PIDS = ("memory.soft_limit_in_bytes", "memory.low"), ("pids.max", "pids.max")
QUOTA, SHARES = ("cpu.cfs_quota_us", "cpu.max"), ("cpu.shares", "cpu.weight")


@pytest.fixture
def box(runtime):
    def limits(config):
        config["linux"]["resources"].update(cpu={"shares": 512, "quota": 50000, "period": 100000}, pids={"limit": 20})
        if has_controller("memory"):
            config["linux"]["resources"]["memory"] = {"limit": 32 << 20, "swap": 64 << 20}
        if has_controller("cpuset"):
            config["linux"]["resources"]["cpu"]["cpus"] = "0"
        if has_controller("blkio"):
            config["linux"]["resources"]["blockIO"] = {"weight": 100}
    runtime.start("one", change=limits)
    return runtime


@pytest.mark.parametrize("flags, files, version1, version2", [
    (["--memory", "48m"], MEMORY, str(48 << 20), str(48 << 20)),
    (["--memory", "16777216", "--memory-swap", "32m"], SWAP, str(32 << 20), str(16 << 20)),
    (["--memory-reservation", "8M"], RESERVATION, str(8 << 20), str(8 << 20)),
    (["--cpu-quota", "30000"], QUOTA, "30000", "30000 100000"),
    (["--cpu-quota=-1"], QUOTA, "-1", "max 100000"),
    (["--cpu-period", "200000", "--cpu-quota", "60000"], ("cpu.cfs_period_us", "cpu.max"), "200000", "60000 200000"),
    (["--cpu-burst", "20000"], ("cpu.cfs_burst_us", "cpu.max.burst"), "20000", "20000"),
    (["--cpu-share", "256"], SHARES, "256", "35"),
    (["--cpuset-cpus", "0"], ("cpuset.cpus", "cpuset.cpus"), "0", "0"),
    (["--cpuset-mems", "0"], ("cpuset.mems", "cpuset.mems"), "0", "0"),
    (["--cpu-idle", "1"], ("cpu.idle", "cpu.idle"), "1", "1"),
    (["--pids-limit", "9"], PIDS, "9", "9"),
    (["--pids-limit", "-1"], PIDS, "max", "max"),
    (["--blkio-weight", "500"], ("blkio.bfq.weight", "io.bfq.weight"), "500", "default 500"),
])
def test_flags(box, flags, files, version1, version2):
    if not (group(box, files[0].split(".")[0]) / files[1 if UNIFIED else 0]).exists():
        pytest.skip(f"this kernel has no {files}")
    pids = limit(box, PIDS)
    box.run("update", *flags, "one")
    assert limit(box, files) == (version2 if UNIFIED else version1)
    if files != PIDS:
        assert limit(box, PIDS) == pids


@pytest.mark.parametrize("flags", [["--cpu-rt-period", "1000000"], ["--cpu-rt-runtime", "1000"]])
def test_realtime_flags(box, flags):
    done = box.run("update", *flags, "one", check=False)
    if (group(box, "cpu") / "cpu.rt_runtime_us").exists():
        assert done.returncode in (0, 1)
    else:
        assert done.returncode == 1 and "cpu.rt_" in done.stderr


@pytest.mark.parametrize("by_stdin", [False, True])
def test_resources_file(box, tmp_path, by_stdin):
    memory = {"memory": {"limit": 40 << 20}} if has_controller("memory") else {}
    text = json.dumps({**memory, "cpu": {"shares": 300}, "pids": {"limit": 5}})
    (tmp_path / "resources.json").write_text(text)
    if by_stdin:
        box.run("update", "-r", "-", "one", input=text)
    else:
        box.run("update", "--resources", tmp_path / "resources.json", "one")
    if memory:
        assert limit(box, MEMORY) == str(40 << 20)
    assert limit(box, SHARES) == ("39" if UNIFIED else "300") and limit(box, PIDS) == "5"
    assert limit(box, QUOTA) == ("50000 100000" if UNIFIED else "50000")


@pytest.mark.parametrize("flags, words", [
    (["--memory", "lots"], "memory"), (["--cpu-share", "x"], "cpu-share"), (["--cpuset-cpus", "999"], "cpuset"),
    (["--blkio-weight", "x"], "blkio-weight"), (["--resources", "/absent"], "/absent"), (["--memory", "1k"], "memory"),
])
def test_wrong_values(box, flags, words):
    if UNIFIED and flags == ["--memory", "1k"]:
        pytest.skip("version 2 takes any limit and kills until it holds")
    before = limit(box, MEMORY)
    done = box.run("update", *flags, "one", check=False)
    assert done.returncode == 1 and words in done.stderr
    assert limit(box, MEMORY) == before


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
