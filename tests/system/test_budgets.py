"""Memory that the design allows the programs, and what they may load. bench/compare has the times."""
import pathlib
import subprocess

import pytest

import disks
from engine import BIN, BUILD, Engine, wait_until

pytestmark = pytest.mark.skipif(BUILD.name != "release", reason="budgets hold for the release build")


def pss(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss line")


def test_the_command_line_is_light(engine):
    client = subprocess.Popen([str(BIN / "berth"), "run", "--rm", "--name", "light", "busybox", "sh", "-c", "echo up; sleep 1000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=engine.environment)
    try:
        assert client.stdout.readline() == b"up\n"
        maps = pathlib.Path(f"/proc/{client.pid}/maps").read_text()
        for library in ("libcrypto", "libssl", "libcurl", "libgnutls", "libstdc++", "libsqlite"):
            assert library not in maps, f"berth loads {library}"
        assert pss(client.pid) <= 4 * 1024
    finally:
        engine.berth("rm", "-f", "light")
        client.communicate(timeout=60)


def test_a_monitor_is_small(engine):
    engine.berth("run", "-d", "--name", "watched", "busybox", "sleep", "1000")
    pid = engine.inspect("watched")["State"]["Pid"]
    monitor = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert "berth-monitor" in pathlib.Path(f"/proc/{monitor}/cmdline").read_text()
    # It gives memory back once nothing happens.
    wait_until("small monitor", lambda: pss(monitor) <= 0.3 * 1024, 20)


def test_containers_start_in_block_groups_of_their_own(tmp_path):
    """ext4 without a journal passes over each inode that was deleted just now, wherever a new one is made beside it."""
    engine = Engine(tmp_path)
    engine.data.mkdir()
    with disks.ext4(engine.data, tmp_path / "disk", 64 << 20), engine:
        for folder in ("containers", "snapshots", "tmp"):
            flags = subprocess.run(["lsattr", "-d", engine.data / folder], capture_output=True, text=True, check=True).stdout.split()[0]
            assert "T" in flags, folder
