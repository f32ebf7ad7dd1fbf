"""docker top with any of ps's options, and stats: what containers use."""
import json
import os
import shutil
import subprocess

import pytest

from engine import BIN, Terminal, UnixConnection, wait_until


def stats_of(engine, container, query="stream=0&one-shot=1"):
    status, answer = engine.request("GET", f"/v1.51/containers/{container}/stats?{query}")
    assert status == 200, answer
    return answer


@pytest.fixture
def busy(engine):
    engine.berth("run", "-d", "--name", "busy", "--memory", "64m", "--pids-limit", "50", "busybox", "sh", "-c", "sleep 1000 & sleep 2000")
    wait_until("processes", lambda: len(engine.request("GET", "/containers/busy/top")[1]["Processes"]) == 2)
    yield "busy"


@pytest.mark.skipif(not shutil.which("ps"), reason="no ps here")
def test_top_takes_any_option_of_ps(engine, busy):
    def top(arguments):
        return engine.request("GET", "/containers/busy/top?ps_args=" + arguments.replace(" ", "+"))

    assert top("")[1]["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert top("aux")[1]["Titles"][:4] == ["USER", "PID", "%CPU", "%MEM"]
    status, answer = top("-o pid,comm")
    assert (status, answer["Titles"]) == (200, ["PID", "COMMAND"])
    assert sorted(process[1] for process in answer["Processes"]) == ["sleep", "sleep"]
    status, answer = top("-eo pid,args")
    assert {process[1] for process in answer["Processes"]} >= {"sleep 1000", "sleep 2000"}
    assert len(top("-eLf")[1]["Processes"]) == 2 and len(top("axf")[1]["Processes"]) == 2
    assert top("-eo comm") == (400, {"message": "Couldn't find PID field in ps output"})
    assert top("-o pid,comm -o x=PID") == (400, {"message": 'specifying "x=PID" is not allowed'})
    status, answer = top("--nonesuch")
    assert status == 400 and "unknown" in answer["message"]
    for client in (engine.docker, engine.berth):
        lines = client("top", "busy", "-o", "pid,comm").stdout.splitlines()
        assert lines[0].split() == ["PID", "COMMAND"] and len(lines) == 3
    engine.berth("stop", "-t", "0", "busy")
    assert top("")[0] == 409


def test_one_sample_has_what_docker_has(engine, busy):
    sample = stats_of(engine, busy)
    assert sample["name"] == "/busy" and sample["num_procs"] == 0 and sample["storage_stats"] == {}
    assert sample["preread"] == "0001-01-01T00:00:00Z" and sample["read"].startswith("20")
    assert sample["cpu_stats"]["cpu_usage"]["total_usage"] > 0 and sample["cpu_stats"]["online_cpus"] == os.cpu_count()
    assert sample["cpu_stats"]["system_cpu_usage"] > 10**9 and "system_cpu_usage" not in sample["precpu_stats"]
    assert sample["memory_stats"]["limit"] == 64 << 20 and 0 < sample["memory_stats"]["usage"] < 64 << 20
    assert sample["pids_stats"] == {"current": 2, "limit": 50}
    assert set(sample["networks"]) == {"eth0"}
    assert set(sample["blkio_stats"]) == {"io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive",
                                          "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive"}
    pair = stats_of(engine, busy, "stream=0")
    assert pair["precpu_stats"]["system_cpu_usage"] < pair["cpu_stats"]["system_cpu_usage"] and pair["preread"] < pair["read"]
    assert engine.request("GET", "/v1.51/containers/busy/stats?stream=1&one-shot=1") == (
        400, {"message": "cannot have stream=true and one-shot=true"})
    engine.berth("create", "--name", "made", "busybox", "sh")
    idle = stats_of(engine, "made", "stream=0")
    assert idle["read"] == "0001-01-01T00:00:00Z" and idle["memory_stats"] == {} and idle["pids_stats"] == {}
    assert idle["cpu_stats"]["throttling_data"] == {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    assert "online_cpus" not in idle["cpu_stats"] and idle["blkio_stats"]["io_service_bytes_recursive"] is None


def test_a_container_with_the_hosts_network_has_no_interfaces_of_its_own(engine):
    engine.berth("run", "-d", "--name", "host", "--network", "host", "busybox", "sleep", "1000")
    assert "networks" not in stats_of(engine, "host")


def test_block_io_is_counted(engine, tmp_path):
    """Written past the page cache, to a file of the host's disk."""
    engine.berth("run", "-d", "--name", "writer", "-v", f"/var/tmp/{tmp_path.name}:/d", "busybox", "sh", "-c",
                 "dd if=/dev/zero of=/d/file bs=1M count=8 conv=fsync; dd if=/d/file of=/dev/null bs=1M iflag=direct; sleep 1000")
    try:
        def written():
            entries = stats_of(engine, "writer")["blkio_stats"]["io_service_bytes_recursive"] or []
            return sum(entry["value"] for entry in entries if entry["op"].lower().startswith(("r", "w"))) >= 4 << 20
        wait_until("block I/O", written)
        entry = stats_of(engine, "writer")["blkio_stats"]["io_service_bytes_recursive"][0]
        assert set(entry) == {"major", "minor", "op", "value"}
        row = json.loads(engine.berth("stats", "--no-stream", "--format", "json", "writer").stdout)
        assert row["BlockIO"] != "0B / 0B"
    finally:
        engine.berth("rm", "-f", "writer")
        subprocess.run(["rm", "-rf", f"/var/tmp/{tmp_path.name}"], check=True)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_the_table(engine, busy, client):
    run = getattr(engine, client)
    engine.berth("create", "--name", "made", "busybox", "sh")
    header, row = run("stats", "--no-stream").stdout.splitlines()
    assert header.split("  ")[0] == "CONTAINER ID" and "MEM USAGE / LIMIT" in header and "BLOCK I/O" in header and "PIDS" in header
    assert row.split()[1] == "busy" and row.split()[-1] == "2" and "MiB / 64MiB" in row.replace("KiB /", "MiB /")
    rows = run("stats", "--no-stream", "--all").stdout
    assert "made" in rows and "0B / 0B" in rows
    row = json.loads(run("stats", "--no-stream", "--format", "json", "busy").stdout)
    assert set(row) == {"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"}
    assert (row["Name"], row["Container"], row["PIDs"]) == ("busy", "busy", "2")
    table = run("stats", "--no-stream", "--format", "table {{.Name}}\t{{.MemPerc}}", "busy").stdout.splitlines()
    assert table[0].split() == ["NAME", "MEM", "%"] and table[1].split()[0] == "busy"
    missing = run("stats", "--no-stream", "nonesuch", check=False)
    assert missing.returncode == 1 and "No such container: nonesuch" in missing.stderr


def test_a_terminal_is_drawn_again_and_again(engine, busy):
    terminal = Terminal([BIN / "berth", "stats"], engine.environment)
    for _ in range(2):
        terminal.expect("\x1b[H")
        terminal.expect("busy")
        terminal.expect("\x1b[J")
    engine.berth("run", "-d", "--name", "another", "busybox", "sleep", "1000")
    terminal.expect("another")
    terminal.send("\x03")
    assert terminal.wait() != 0
    busy_loop = engine.berth("run", "-d", "--name", "loop", "busybox", "sh", "-c", "while :; do :; done")
    assert busy_loop.returncode == 0
    row = json.loads(engine.berth("stats", "--no-stream", "--format", "json", "loop").stdout)
    assert float(row["CPUPerc"].rstrip("%")) > 0


def test_docker_streams_samples(engine, busy):
    connection = UnixConnection(engine.socket)
    connection.request("GET", "/v1.51/containers/busy/stats")
    answer = connection.getresponse()
    first, second = json.loads(answer.readline()), json.loads(answer.readline())
    connection.close()
    assert first["read"] < second["read"] and second["preread"] == first["read"]
