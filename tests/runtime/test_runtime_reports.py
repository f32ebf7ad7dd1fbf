"""list, ps, events, spec, features, version, help."""
import json
import os
import pathlib
import subprocess

import pytest
from engine import ROOT
from runtime import PROGRAM, UNIFIED, has_controller, wait_until


def test_list_as_table(runtime):
    runtime.start("one")
    runtime.run("create", "--bundle", runtime.bundle(), "a-longer-name")
    lines = runtime.run("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert rows["one"][1:3] == [str(runtime.state("one")["pid"]), "running"] and rows["one"][5] == "root"
    assert rows["a-longer-name"][2] == "created"
    column = lines[0].index("STATUS")
    assert all(line[column - 1] == " " and line[column] != " " for line in lines)


def test_list_as_json_and_ids(runtime):
    runtime.start("one")
    for arguments in (["--format", "json"], ["-f", "json"]):
        listed = json.loads(runtime.run("list", *arguments).stdout)
        assert listed == [runtime.state("one") | {"owner": "root"}]
    assert runtime.run("list", "--quiet").stdout == "one\n"
    done = runtime.run("list", "--format", "xml", check=False)
    assert done.returncode == 1 and "invalid format option" in done.stderr


def test_list_without_containers(runtime):
    assert runtime.run("list").stdout.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert runtime.run("list", "-q").stdout == ""
    assert not json.loads(runtime.run("list", "-f", "json").stdout)
    done = runtime.run("list", check=False, globals=["--root", runtime.folder / "absent"])
    assert done.returncode == 1 and "no such file or directory" in done.stderr


def test_ps(runtime):
    runtime.start("one")
    pid = runtime.state("one")["pid"]
    assert json.loads(runtime.run("ps", "--format", "json", "one").stdout) == [pid]
    lines = runtime.run("ps", "one").stdout.splitlines()
    assert len(lines) == 2 and "PID" in lines[0].split() and "sleep 1000" in lines[1]
    lines = runtime.run("ps", "one", "-o", "pid,comm").stdout.splitlines()
    assert lines[0].split() == ["PID", "COMMAND"] and lines[1].split() == [str(pid), "sleep"]
    done = runtime.run("ps", "one", "-o", "comm", check=False)
    assert done.returncode == 1 and "PID field" in done.stderr


def test_stats(runtime):
    def limits(config):
        config["linux"]["resources"].update(pids={"limit": 11})
        if has_controller("memory"):
            config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    runtime.start("one", change=limits)
    event = json.loads(runtime.run("events", "--stats", "one").stdout)
    assert event["type"] == "stats" and event["id"] == "one"
    data = event["data"]
    if has_controller("memory"):
        assert data["memory"]["usage"]["limit"] == 64 << 20 and data["memory"]["usage"]["usage"] > 0
        assert data["memory"]["raw"]
    assert data["pids"] == {"current": 1, "limit": 11}
    assert data["cpu"]["usage"]["total"] > 0
    assert {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb"} <= set(data)
    swap = data["memory"]["swap"]
    if UNIFIED:  # without a limit of its own
        assert swap["limit"] == 2**64 - 1 and swap["usage"] >= data["memory"]["usage"]["usage"]
    for size, pages in data["hugetlb"].items():
        assert size.endswith("B") and pages == {"usage": 0, "max": 0, "failcnt": 0}


@pytest.mark.skipif(not UNIFIED or not pathlib.Path("/proc/pressure").exists(), reason="no pressure of groups here")
def test_stats_have_pressure_and_memory_events(runtime):
    def limits(config):
        config["linux"]["resources"].update(memory={"limit": 32 << 20, "swap": 48 << 20})
    runtime.start("one", change=limits)
    data = json.loads(runtime.run("events", "--stats", "one").stdout)["data"]
    for part in ("cpu", "memory", "blkio"):
        for kind in ("some", "full"):
            numbers = data[part]["psi"][kind]
            assert set(numbers) == {"avg10", "avg60", "avg300", "total"} and numbers["total"] >= 0
    assert data["memory"]["swap"]["limit"] == 48 << 20
    assert data["memory"]["event_count"] == {"low": 0, "high": 0, "max": 0, "oom": 0, "oom_kill": 0}


@pytest.mark.skipif(not has_controller("memory"), reason="this kernel has no memory controller of version 1")
def test_events_by_interval_and_out_of_memory(runtime):
    def limits(config):
        config["linux"]["resources"].update(memory={"limit": 8 << 20})
        config["process"]["args"] = ["/bin/sh", "-c", "read x < /tmp/go; (tail /dev/zero); sleep 1000"]
    go = runtime.rootfs / "tmp" / "go"
    os.mkfifo(go)
    runtime.start("one", change=limits)
    with subprocess.Popen(runtime.command("events", "--interval", "100ms", "one"), stdout=subprocess.PIPE,
                          text=True) as running:
        assert json.loads(running.stdout.readline())["type"] == "stats"
        go.write_text("\n")
        go.unlink()
        wait_until("oom event", lambda: json.loads(running.stdout.readline()) == {"type": "oom", "id": "one"})
        runtime.run("kill", "one", "KILL")
        if PROGRAM.name == "runc":  # it waits until the cgroup is gone
            runtime.run("delete", "--force", "one")
        running.stdout.read()  # a full pipe would keep it
        assert running.wait(30) == 0


def test_events_refuse_what_makes_no_sense(runtime):
    runtime.run("run", "--keep", "--bundle", runtime.bundle(["/bin/true"]), "one")
    done = runtime.run("events", "--stats", "one", check=False)
    assert done.returncode == 1 and "is not running" in done.stderr
    for interval in ("0s", "x"):
        assert runtime.run("events", "--interval", interval, "one", check=False).returncode == 1


@pytest.mark.parametrize("rootless", [False, True])
def test_spec_runs(runtime, tmp_path, rootless):
    folder = tmp_path / "bundle"
    folder.mkdir()
    runtime.run("spec", *(["--rootless"] if rootless else []), "--bundle", folder)
    config = json.loads((folder / "config.json").read_text())
    assert ("user" in [entry["type"] for entry in config["linux"]["namespaces"]]) == rootless
    done = runtime.run("spec", "-b", folder, check=False)
    assert done.returncode == 1 and "config.json exists" in done.stderr
    config["process"].update(terminal=False, args=["id", "-u"])
    config["root"]["path"] = str(runtime.rootfs)
    (folder / "config.json").write_text(json.dumps(config))
    assert runtime.run("run", "--bundle", folder, f"spec-{os.getpid()}").stdout == "0\n"


@pytest.mark.ours
def test_features_are_what_the_specification_asks_for(runtime):
    features = json.loads(runtime.run("features").stdout)
    assert features["ociVersionMin"] == "1.0.0"
    assert features["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    options = features["mountOptions"]
    assert options == sorted(options) and {"bind", "rbind", "ro", "rro", "rprivate", "nosymfollow"} <= set(options)
    linux = features["linux"]
    assert {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"} <= set(linux["namespaces"])
    assert "CAP_SYS_ADMIN" in linux["capabilities"] and linux["cgroup"]["v1"] and linux["cgroup"]["v2"]
    assert linux["seccomp"]["enabled"] and "SCMP_ACT_ERRNO" in linux["seccomp"]["actions"]
    assert "SCMP_CMP_MASKED_EQ" in linux["seccomp"]["operators"] and "SCMP_ARCH_X86_64" in linux["seccomp"]["archs"]
    for name in ("apparmor", "selinux", "intelRdt", "netDevices"):
        assert isinstance(linux[name]["enabled"], bool)
    assert isinstance(linux["mountExtensions"]["idmap"]["enabled"], bool)


@pytest.mark.ours
def test_features_tell_the_truth_about_configurations(runtime):
    """What features denies, create refuses; what it grants, create at least understands."""
    linux = json.loads(runtime.run("features").stdout)["linux"]
    asked = {
        "selinux": (lambda c: c["process"].update(selinuxLabel="a:b:c:s0")),
        "intelRdt": (lambda c: c["linux"].update(intelRdt={"closID": "berth-test", "l3CacheSchema": "L3:0=f"})),
        "netDevices": (lambda c: c["linux"].update(netDevices={"absent0": {}})),
    }
    for name, change in asked.items():
        done = runtime.run("run", "--bundle", runtime.bundle(["/bin/true"], change), "one", check=False)
        assert ("not implemented" in done.stderr) == (not linux[name]["enabled"]), done.stderr


def test_version(runtime):
    lines = runtime.run("--version").stdout.splitlines()
    assert lines[0].startswith(f"{PROGRAM.name} version ") and any(line.startswith("spec: 1.") for line in lines)
    assert runtime.run("-v").stdout.splitlines() == lines


@pytest.mark.ours
def test_help(runtime):
    text = runtime.run("--help").stdout
    for command in ("create", "start", "run", "state", "kill", "delete", "exec", "list", "ps", "pause", "resume", "update",
                    "events", "spec", "features", "checkpoint", "restore"):
        assert f"\n   {command} " in text
        own = runtime.run(command, "--help").stdout
        assert own == runtime.run("help", command).stdout and f"berth-runtime {command} - " in own
    assert "--systemd-cgroup" in text and pathlib.Path(ROOT / "docs/man/berth-runtime.8.md").exists()
