"""The engine on cgroup version 2 alone: limits reach the kernel's files, and containers outlive a killed engine.

Runs in the virtual machine (tests/vm/suite), which has no compiler, hence a root file system of busybox alone.
"""
import io
import os
import pathlib
import shutil
import sys
import tarfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import Engine, wait_until  # noqa: E402


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    image = folder / "image.tar"
    with tarfile.open(image, "w") as tar:
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(os.path.realpath(shutil.which("busybox")), "bin/busybox")
        for applet in ("sh", "cat", "sleep", "echo"):
            entry = tarfile.TarInfo("bin/" + applet)
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    with Engine(folder) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(image), "busybox:latest")
        yield running


def test_limits_are_in_the_files_of_version_2(engine):
    script = "cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.max pids.max cpu.weight"
    done = engine.berth("run", "--rm", "--memory=64m", "--memory-swap=96m", "--cpus=0.5", "--pids-limit=40",
                        "--cpu-shares=2048", "busybox", "sh", "-c", script)
    assert done.stdout.splitlines() == ["67108864", "33554432", "50000 100000", "40", "174"]


def test_an_update_reaches_them(engine):
    engine.berth("run", "-d", "--name", "updated", "--memory=64m", "busybox", "sleep", "1000")
    limits = {"Memory": 32 << 20, "MemorySwap": 32 << 20}
    assert engine.request("POST", "/containers/updated/update", limits)[0] == 200
    assert engine.berth("exec", "updated", "cat", "/sys/fs/cgroup/memory.max").stdout == "33554432\n"
    engine.berth("rm", "-f", "updated")


def test_pause_and_statistics(engine):
    engine.berth("run", "-d", "--name", "paused", "--memory=64m", "busybox", "sleep", "1000")
    engine.berth("pause", "paused")
    assert engine.inspect("paused")["State"]["Paused"] is True
    engine.berth("unpause", "paused")
    status, stats = engine.request("GET", "/containers/paused/stats?stream=false&one-shot=true")
    assert status == 200
    assert stats["memory_stats"]["limit"] == 64 << 20 and stats["memory_stats"]["usage"] > 0
    assert stats["pids_stats"]["current"] == 1
    engine.berth("rm", "-f", "paused")


def test_containers_outlive_a_killed_engine(engine):
    engine.berth("run", "-d", "--name", "kept", "busybox", "sh", "-c", "echo before; sleep 1000")
    pid = engine.inspect("kept")["State"]["Pid"]
    engine.kill()
    assert pathlib.Path(f"/proc/{pid}").exists()
    engine.start()
    wait_until("container", lambda: engine.inspect("kept")["State"]["Running"])
    assert engine.inspect("kept")["State"]["Pid"] == pid
    assert engine.berth("logs", "kept").stdout == "before\n"
    engine.berth("rm", "-f", "kept")
