"""The runtime with systemd making the cgroups: slices, properties, update, pause, the out-of-memory killer, and the
manager of a user. Runs in the virtual machine (tests/vm/suite), where systemd is the first process, with version 2
alone (systemd), or with the controllers on version 1 (hybrid, legacy).
"""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from runtime import PROGRAM, UNIFIED, Runtime, group_of, has_controller, make_rootfs, wait_until  # noqa: E402
from runtime_fixtures import rootfs, runtime  # noqa: E402,F401

PREFIX = "org.systemd.property."
ROOT = pathlib.Path("/sys/fs/cgroup")
version2 = pytest.mark.skipif(not UNIFIED, reason="for cgroup version 2")
version1 = pytest.mark.skipif(UNIFIED, reason="for cgroup version 1")


def systemctl(*arguments, user=None):
    command = ["systemctl", *arguments]
    if user:
        command = [*user.as_user, "systemctl", "--user", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def shown(unit, name, user=None):
    return systemctl("show", "--value", "-p", name, unit, user=user)


def group(runtime, id="one", controller="pids"):
    return group_of(runtime.state(id)["pid"], controller)


def places(path):
    """Where a group is: in version 2, in each hierarchy of version 1, or nowhere."""
    return [found for found in (ROOT / path, *(below / path for below in ROOT.iterdir() if below.is_dir())) if found.exists()]


def placed(path, annotations=None, **resources):
    def change(config):
        config["linux"]["cgroupsPath"] = path
        config["linux"]["resources"].update(resources)
        config["annotations"] = {PREFIX + name: text for name, text in (annotations or {}).items()}
    return change


def test_slices_are_nested(runtime):
    runtime.start("one", change=placed("berthtest-a-b.slice:docker:nested"))
    assert str(group(runtime)).endswith("/berthtest.slice/berthtest-a.slice/berthtest-a-b.slice/docker-nested.scope")
    assert shown("docker-nested.scope", "Slice") == "berthtest-a-b.slice"
    assert shown("berthtest-a.slice", "ActiveState") == "active"
    runtime.run("delete", "--force", "one")
    assert shown("docker-nested.scope", "LoadState") == "not-found"
    assert not places("berthtest.slice/berthtest-a.slice/berthtest-a-b.slice/docker-nested.scope")
    systemctl("stop", "berthtest-a-b.slice", "berthtest-a.slice", "berthtest.slice")


def test_a_slice_is_the_containers_unit(runtime):
    # Its name says where it is, whatever slice it was to be in; the prefix is for scopes.
    unit, path = "berthtest-pod.slice", "berthtest.slice/berthtest-pod.slice"
    change = placed(f"system.slice:docker:{unit}", pids={"limit": 20}, cpu={"shares": 2048})
    runtime.start("one", change=change)
    assert str(group(runtime)).endswith("/" + path) and shown(unit, "Wants") == "system.slice"
    assert shown(unit, "ActiveState") == "active" and shown(unit, "TasksMax") == "20"
    assert (group(runtime) / "pids.max").read_text() == "20\n"
    done = runtime.run("run", "--bundle", runtime.bundle(["true"], change), "two", check=False)
    assert done.returncode == 1 and f"systemd unit {unit} exists already" in done.message
    assert f"/{path}\n" in runtime.run("exec", "one", "cat", "/proc/self/cgroup").stdout
    runtime.run("update", "--pids-limit", "9", "one")
    assert shown(unit, "TasksMax") == "9" and (group(runtime) / "pids.max").read_text() == "9\n"
    runtime.run("delete", "--force", "one")
    assert shown(unit, "ActiveState") == "inactive" and not places(path)
    done = runtime.run("run", "--bundle", runtime.bundle(["absent"], change), "one", check=False)
    assert done.returncode == 1 and shown(unit, "ActiveState") == "inactive" and not places(path)
    systemctl("stop", "berthtest.slice")


@version1
def test_a_container_is_in_the_groups_of_version_1(runtime):
    runtime.start("one", change=placed("system.slice:docker:joined"))
    groups = pathlib.Path(f"/proc/{runtime.state('one')['pid']}/cgroup").read_text().splitlines()
    wanted = {"name=systemd", "cpu", "cpuacct", "pids", "blkio"} | ({""} if (ROOT / "unified").is_dir() else {"devices", "freezer"})
    joined = {name for line in groups if line.endswith(":/system.slice/docker-joined.scope")
              for name in line.split(":")[1].split(",")}
    assert wanted <= joined
    # The scope lives as long as the container, and not only as long as what made it.
    assert shown("docker-joined.scope", "ActiveState") == "active"
    runtime.run("kill", "one", "KILL")
    wait_until("end of the scope", lambda: shown("docker-joined.scope", "LoadState") == "not-found")
    runtime.run("delete", "one")
    assert not places("system.slice/docker-joined.scope")


@pytest.mark.parametrize("path, words", [
    ("a--b.slice:p:n", "invalid slice name"), ("no-slice:p:n", "invalid slice name"), ("/a/b", "slice:prefix:name"),
    ("system.slice:p:a--b.slice", "invalid unit name"), ("system.slice:p:a b", "invalid unit name"),
])
def test_wrong_paths(runtime, path, words):
    done = runtime.run("run", "--bundle", runtime.bundle(["true"], placed(path)), "one", check=False)
    assert done.returncode == 1 and words in done.message


def test_annotations_are_properties(runtime):
    runtime.start("one", change=placed("system.slice:docker:noted", {
        "TimeoutStopSec": "7", "CollectMode": "'inactive-or-failed'", "Documentation": "['man:berth(1)', 'man:berthd(8)']",
        "Description": "'a test of annotations'", "MemoryHigh": "uint64 50331648"}))
    unit = "docker-noted.scope"
    assert shown(unit, "TimeoutStopUSec") == "7s" and shown(unit, "CollectMode") == "inactive-or-failed"
    assert shown(unit, "Documentation").replace('"', "") == "man:berth(1) man:berthd(8)"
    assert shown(unit, "Description") == "a test of annotations"
    assert shown(unit, "MemoryHigh") == "50331648"
    if UNIFIED:
        assert (group(runtime) / "memory.high").read_text() == "50331648\n"


@pytest.mark.parametrize("name, text, words", [
    ("TimeoutStopSec", "'soon'", "org.systemd.property.TimeoutStopSec='soon'"), ("Ab-c", "1", "no property's name"),
    ("CollectMode", "inactive", "CollectMode=inactive"), ("NoSuchProperty", "true", "NoSuchProperty"),
])
def test_wrong_annotations(runtime, name, text, words):
    done = runtime.run("run", "--bundle", runtime.bundle(["true"], placed("system.slice:docker:wrong", {name: text})), "one",
                       check=False)
    assert done.returncode == 1 and words in done.message
    assert shown("docker-wrong.scope", "LoadState") == "not-found" and runtime.ids() == []


@version1
def test_update_tells_systemd_in_the_words_of_version_1(runtime):
    limits = {"memory": {"limit": 64 << 20}} if has_controller("memory") else {}
    runtime.start("one", change=placed("system.slice:docker:updated", cpu={"shares": 1024}, **limits))
    flags = ["--memory", "32m", "--memory-swap", "48m"] if limits else []
    runtime.run("update", *flags, "--cpu-quota", "25500", "--pids-limit", "30", "--cpu-share", "2048", "one")
    expected = {"CPUQuotaPerSecUSec": "260ms", "TasksMax": "30", "CPUShares": "2048", "DevicePolicy": "strict",
                **({"MemoryLimit": str(32 << 20)} if limits else {})}
    files = {"cpu.cfs_quota_us": "25500", "pids.max": "30", "cpu.shares": "2048",
             **({"memory.limit_in_bytes": str(32 << 20)} if limits else {})}
    devices = [place / "devices.list" for place in places("system.slice/docker-updated.scope")]
    devices = {path: sorted(path.read_text().splitlines()) for path in devices if path.exists()}
    for step in ("told", "reloaded"):
        assert {name: shown("docker-updated.scope", name) for name in expected} == expected, step
        assert {name: (group(runtime, controller=name.split(".")[0]) / name).read_text().strip() for name in files} == files, step
        # a reloaded systemd writes its rules anew, after the quota, and gives no sign of its end
        wait_until(f"devices when {step}", lambda: {path: sorted(path.read_text().splitlines()) for path in devices} == devices)
        systemctl("daemon-reload")
        files["cpu.cfs_quota_us"] = "26000"  # systemd writes its own, which is of whole hundredths


@version1
def test_denials_of_devices_survive_an_update(runtime):
    # systemd has no word for them: it would open what is denied when one of its properties is set.
    def rules(config):
        placed("system.slice:docker:denied")(config)
        config["linux"]["resources"]["devices"] = [
            {"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 10, "minor": 200, "access": "rwm"}]
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind].append("CAP_MKNOD")
    runtime.start("one", change=rules)
    probe = ["exec", "one", "sh", "-c", "rm -f /dev/tun; mknod /dev/tun c 10 200 && cat /dev/tun"]
    assert "Operation not permitted" in runtime.run(*probe, check=False).stderr
    runtime.run("update", "--pids-limit", "30", "one")
    assert "Operation not permitted" in runtime.run(*probe, check=False).stderr
    assert runtime.state("one")["status"] == "running"


@version2
def test_update_tells_systemd_and_survives_its_reload(runtime):
    runtime.start("one", change=placed("system.slice:docker:updated", memory={"limit": 64 << 20}, cpu={"shares": 1024}))
    runtime.run("update", "--memory", "32m", "--memory-swap", "48m", "--cpu-quota", "25000", "--pids-limit", "30",
                "--cpu-share", "2048", "--cpuset-cpus", "0", "one")
    unit = "docker-updated.scope"
    expected = {"MemoryMax": str(32 << 20), "MemorySwapMax": str(16 << 20), "CPUQuotaPerSecUSec": "250ms", "TasksMax": "30",
                "CPUWeight": "174", "AllowedCPUs": "0"}
    assert {name: shown(unit, name) for name in expected} == expected
    systemctl("daemon-reload")
    files = {"memory.max": str(32 << 20), "memory.swap.max": str(16 << 20), "cpu.max": "25000 100000", "pids.max": "30",
             "cpu.weight": "174", "cpuset.cpus": "0"}
    assert {name: (group(runtime) / name).read_text().strip() for name in files} == files
    # The rules for devices hold as well.
    done = runtime.run("exec", "one", "sh", "-c", "echo x > /dev/null && mknod /tmp/sda b 8 0", check=False)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_pause_and_resume(runtime):
    runtime.start("one", change=placed("system.slice:docker:frozen"))
    runtime.run("pause", "one")
    assert runtime.state("one")["status"] == "paused"
    if UNIFIED:
        assert "frozen 1" in (group(runtime) / "cgroup.events").read_text()
    runtime.run("update", "--pids-limit", "9", "one")
    assert runtime.state("one")["status"] == "paused"
    runtime.run("resume", "one")
    assert runtime.run("exec", "one", "echo", "thawed").stdout == "thawed\n"


@pytest.mark.parametrize("paused", [False, True])
def test_kill_all_and_delete_leave_no_unit(runtime, paused):
    def shared(config):
        placed("system.slice:docker:killed")(config)
        config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "pid"]
    runtime.start("one", ["sh", "-c", "sleep 1000 & exec sleep 1000"], shared)
    pids = json.loads(runtime.run("ps", "--format", "json", "one").stdout)
    assert len(pids) == 2
    if paused:
        runtime.run("pause", "one")
        runtime.run("delete", "--force", "one")
    else:
        runtime.run("kill", "--all", "one", "KILL")
        wait_until("end", lambda: runtime.state("one")["status"] == "stopped")
        runtime.run("delete", "one")
    wait_until("end of all", lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in pids))
    assert shown("docker-killed.scope", "LoadState") == "not-found"


@pytest.mark.skipif(not has_controller("memory"), reason="this kernel has no memory controller of version 1")
def test_out_of_memory(runtime):
    runtime.start("one", change=placed("system.slice:docker:eater", memory={"limit": 16 << 20, "swap": 16 << 20}))
    with subprocess.Popen(runtime.command("events", "--interval", "100ms", "one"), stdout=subprocess.PIPE, text=True) as running:
        assert json.loads(running.stdout.readline())["type"] == "stats"
        assert runtime.run("exec", "one", "tail", "/dev/zero", check=False).returncode == 137
        wait_until("oom event", lambda: json.loads(running.stdout.readline()) == {"type": "oom", "id": "one"})
        assert runtime.state("one")["status"] == "running"
        runtime.run("delete", "--force", "one")
        running.stdout.read()  # a full pipe would keep it
        assert running.wait(30) == 0
    assert shown("docker-eater.scope", "LoadState") == "not-found"


def test_a_unit_that_failed_is_no_obstacle(runtime):
    limited = placed("system.slice:docker:late", {"RuntimeMaxSec": "1", "TimeoutStopSec": "1"})
    runtime.start("one", change=limited)
    wait_until("systemd to end it", lambda: runtime.state("one")["status"] == "stopped")
    wait_until("failure", lambda: shown("docker-late.scope", "ActiveState") == "failed")
    runtime.start("two", change=placed("system.slice:docker:late"))
    runtime.run("delete", "--force", "two")
    runtime.run("delete", "one")
    assert shown("docker-late.scope", "LoadState") == "not-found"


class User(Runtime):
    """Commands of a user whose systemd runs; the caller is not below it, as in a session of ssh."""

    def __init__(self, folder, environment):
        self.folder, self.rootfs, self.root = folder, folder / "rootfs", pathlib.Path("/run/user/1000/berth-runtime")
        self.as_user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "-i",
                        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *environment]

    def command(self, *arguments, globals=()):
        return [*self.as_user, str(self.folder / "berth-runtime"), "--systemd-cgroup", *globals, *map(str, arguments)]

    def spec(self, args, change=None):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle", dir=self.folder))
        shutil.chown(folder, 1000, 1000)
        self.run("spec", "--rootless", "--bundle", folder)
        config = json.loads((folder / "config.json").read_text())
        config["process"].update(args=args, terminal=False)
        config["root"] = {"path": str(self.rootfs), "readonly": False}
        config["linux"].setdefault("resources", {})
        if change:
            change(config)
        (folder / "config.json").write_text(json.dumps(config))
        return folder


@pytest.fixture(params=["XDG_RUNTIME_DIR=/run/user/1000", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"])
def user(request):
    pwd.getpwuid(1000)
    subprocess.run(["systemctl", "start", "user@1000.service"], check=True, timeout=60)
    folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    make_rootfs(folder / "rootfs")
    shutil.copy(PROGRAM, folder / "berth-runtime")
    subprocess.run(["chown", "-R", "1000:1000", folder], check=True)
    environment = [request.param]
    if not request.param.startswith("XDG"):  # nothing is at the default place either
        environment += ["XDG_RUNTIME_DIR=" + str(folder)]
    made = User(folder, environment)
    if len(environment) > 1:
        made.root = folder / "berth-runtime-state"
        made.root.mkdir()  # to list an absent one that was named is an error, as with runc
        os.chown(made.root, 1000, 1000)
        plain = made.command
        made.command = lambda *arguments, globals=(): plain(*arguments, globals=["--root", made.root, *globals])
    yield made
    made.delete_all()
    shutil.rmtree(folder)


MANAGER_GROUP = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"


@version1
def test_a_users_systemd_needs_version_2(user):
    done = user.run("run", "--bundle", user.spec(["true"]), "one", check=False)
    assert done.returncode == 1 and "a user's systemd has the controllers of cgroup version 2 alone" in done.message
    assert user.ids() == []


@version2
def test_a_users_systemd(user):
    def limits(config):
        config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 20}, cpu={"shares": 2048})
    user.run("run", "-d", "--bundle", user.spec(["sleep", "1000"], limits), "one")
    own = group(user)
    assert str(own) == f"{MANAGER_GROUP}/user.slice/berth-one.scope"
    read = lambda name: (own / name).read_text().strip()  # noqa: E731
    assert (read("memory.max"), read("pids.max"), read("cpu.weight")) == (str(64 << 20), "20", "174")
    assert user.run("exec", "one", "sh", "-c", "cat /proc/self/cgroup; exit 4", check=False).returncode == 4
    with subprocess.Popen(user.command("exec", "one", "sleep", "1000"), stdin=subprocess.DEVNULL) as running:
        wait_until("exec in the group", lambda: len(read("cgroup.procs").split()) == 2)
        assert len(json.loads(user.run("ps", "--format", "json", "one").stdout)) == 2
        user.run("update", "--memory", "32m", "--memory-swap", "32m", "--pids-limit", "9", "one")
        assert (read("memory.max"), read("pids.max")) == (str(32 << 20), "9")
        user.run("pause", "one")
        assert user.state("one")["status"] == "paused"
        user.run("resume", "one")
        stats = json.loads(user.run("events", "--stats", "one").stdout)["data"]
        assert stats["pids"] == {"current": 2, "limit": 9} and stats["memory"]["usage"]["limit"] == 32 << 20
        user.run("kill", "--all", "one", "KILL")
        assert running.wait(30) != 0
    wait_until("end", lambda: user.state("one")["status"] == "stopped")
    user.run("delete", "one")
    wait_until("removal", lambda: not own.exists())
    assert user.ids() == []


@version2
def test_a_users_slice_and_a_failed_create(user):
    def place(config):
        config["linux"]["cgroupsPath"] = "app-berthtest.slice:berth:sliced"
    user.run("run", "-d", "--bundle", user.spec(["sleep", "1000"], place), "one")
    assert str(group(user)) == f"{MANAGER_GROUP}/app.slice/app-berthtest.slice/berth-sliced.scope"
    user.run("delete", "--force", "one")
    done = user.run("run", "--bundle", user.spec(["absent"], place), "one", check=False)
    assert done.returncode == 1 and user.ids() == []
    place = lambda config: config["linux"].update(cgroupsPath="app.slice::app-pod.slice")  # noqa: E731
    done = user.run("run", "--bundle", user.spec(["true"], place), "one", check=False)
    assert done.returncode == 1 and "a user's systemd moves no processes into a slice unit" in done.message
    assert not list(pathlib.Path(MANAGER_GROUP).glob("**/berth-sliced.scope"))
