"""An unprivileged user runs the same commands in a user namespace."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest
from runtime import PROGRAM, WITHOUT_LEAK_CHECK, Runtime, is_alive, make_rootfs, wait_until

USER = 1000
pytestmark = [pytest.mark.ours, pytest.mark.skipif(
    pathlib.Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0", reason="no user namespaces here")]


class UserRuntime(Runtime):
    """Every command as an unprivileged user; the state root is the default one."""

    def __init__(self, folder, rootfs):
        self.folder, self.rootfs, self.count = folder, rootfs, 0
        self.root = folder / "session" / "berth-runtime"

    def command(self, *arguments, globals=()):
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"XDG_RUNTIME_DIR={self.folder}/session"]
        if arguments[0] == "exec":
            # It cannot go back to its own pid namespace. So the process that a sanitizer looks for leaks with is born
            # in the container's, does not find its parent there and ends, and is waited for without end.
            environment += [f"{name}={value}" for name, value in WITHOUT_LEAK_CHECK.items()]
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", *environment,
                str(self.program), *globals, *map(str, arguments)]

    def spec(self, args, change=None):
        """The bundle that `spec --rootless` writes, with another program."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle", dir=self.folder))
        os.chown(folder, USER, USER)
        self.run("spec", "--rootless", "--bundle", folder)
        config = json.loads((folder / "config.json").read_text())
        config["process"].update(args=args, terminal=False)
        config["root"] = {"path": str(self.rootfs), "readonly": False}
        if change:
            change(config)
        (folder / "config.json").write_text(json.dumps(config))
        return folder


@pytest.fixture
def user():
    folder = pathlib.Path(tempfile.mkdtemp(dir="/run"))
    folder.chmod(0o755)
    make_rootfs(folder / "rootfs")
    (folder / "session").mkdir()
    # The build's folder may be closed to others.
    made = UserRuntime(folder, folder / "rootfs")
    made.program = folder / "berth-runtime"
    shutil.copy(PROGRAM, made.program)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    yield made
    made.delete_all()
    assert made.remains() == []
    shutil.rmtree(folder)


def owner_name():
    try:
        return pwd.getpwuid(USER).pw_name
    except KeyError:
        return f"#{USER}"


def test_life_of_a_container(user):
    bundle = user.spec(["sleep", "1000"])
    user.run("create", "--bundle", bundle, "one")
    state = user.state("one")
    assert state["status"] == "created"
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{state['pid']}/status").read_text().splitlines()
                  if ":\t" in line)
    assert status["Uid"].split() == [str(USER)] * 4
    user.run("start", "one")
    assert user.state("one")["status"] == "running"
    assert (user.root / "one").stat().st_uid == USER
    listed = user.run("list").stdout.splitlines()[1].split()
    assert listed[0] == "one" and listed[-1] == owner_name()
    user.run("kill", "one", "KILL")
    wait_until("end", lambda: user.state("one")["status"] == "stopped")
    user.run("delete", "one")
    assert not is_alive(state["pid"])


def test_run_as_root_of_the_namespace(user):
    script = "id -u; id -g; cat /proc/self/setgroups; ls -ln /dev/null; echo x > /dev/null && echo written; mount | grep -c ' on /proc '"
    done = user.run("run", "--bundle", user.spec(["sh", "-c", script]), "one")
    lines = done.stdout.splitlines()
    assert lines[:3] == ["0", "0", "deny"] and lines[3].startswith("crw-rw-rw-") and lines[4] == "written"


def test_exit_status_and_files_of_the_user(user):
    done = user.run("run", "--bundle", user.spec(["sh", "-c", "echo x > /tmp/made; exit 6"]), "one", check=False)
    assert done.returncode == 6
    assert (user.rootfs / "tmp/made").stat().st_uid == USER


def test_exec(user):
    user.run("run", "-d", "--bundle", user.spec(["sleep", "1000"]), "one")
    assert user.run("exec", "one", "sh", "-c", "id -u; hostname; cat /proc/1/comm").stdout == "0\nberth\nsleep\n"
    assert user.run("exec", "one", "sh", "-c", "exit 3", check=False).returncode == 3
    done = user.run("exec", "--additional-gids", "5", "one", "true", check=False)
    assert done.returncode == 255 and "supplementary groups" in done.message


def test_foreground_run_ends_with_force(user):
    with subprocess.Popen(user.command("run", "--bundle", user.spec(["sh", "-c", "echo ready; sleep 1000"]), "one"),
                          stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        user.run("delete", "--force", "one")
        assert running.wait(30) != 0


def test_limits_need_rights(user):
    def limit(config):
        config["linux"]["resources"] = {"memory": {"limit": 32 << 20}}
    done = user.run("run", "--bundle", user.spec(["true"], limit), "one", check=False)
    assert done.returncode == 1 and "rootless needs no limits when no permission is granted for cgroups" in done.message
    assert user.remains() == []
    user.run("run", "-d", "--bundle", user.spec(["sleep", "1000"]), "one")
    for arguments in (["update", "--pids-limit", "5", "one"], ["pause", "one"], ["events", "--stats", "one"]):
        done = user.run(*arguments, check=False)
        assert done.returncode == 1 and "cgroup" in done.message, arguments


def test_rootless_false_wants_a_cgroup(user):
    done = user.run("run", "--bundle", user.spec(["true"]), "one", check=False, globals=["--rootless", "false"])
    assert done.returncode == 1 and "denied" in done.message.lower()
    assert user.remains() == []


def test_configuration_without_a_user_namespace(user):
    def no_user(config):
        config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "user"]
        del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    done = user.run("run", "--bundle", user.spec(["true"], no_user), "one", check=False)
    assert done.returncode == 1 and "rootless container requires user namespaces" in done.message
    assert user.remains() == []


def test_ids_of_others_are_refused(user):
    def others(config):
        config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    done = user.run("run", "--bundle", user.spec(["true"], others), "one", check=False)
    assert done.returncode == 1 and "newuidmap" in done.message
    assert user.remains() == []


@pytest.fixture
def subordinate_ids(tmp_path):
    """A user with a range in /etc/subuid and /etc/subgid, in this testbed's mount namespace only."""
    if not shutil.which("newuidmap"):
        pytest.fail("newuidmap is missing: install uidmap (tools/install_dependencies)")
    mounted = []
    for name, line in (("passwd", f"tester:x:{USER}:{USER}::/:/bin/sh\n"), ("group", f"tester:x:{USER}:\n"),
                       ("subuid", "tester:200000:1000\n"), ("subgid", "tester:200000:1000\n")):
        source, target = tmp_path / name, pathlib.Path("/etc") / name
        old = target.read_text() if target.exists() else ""
        source.write_text("".join(row + "\n" for row in old.splitlines()
                                  if f":x:{USER}:" not in row) + line)
        if not target.exists():
            target.touch()
        subprocess.run(["mount", "--bind", source, target], check=True)
        mounted.append(target)
    yield
    for target in mounted:
        subprocess.run(["umount", target], check=True)


def test_range_of_ids(user, subordinate_ids):
    def many(config):
        for key in ("uidMappings", "gidMappings"):
            config["linux"][key] = [{"containerID": 0, "hostID": USER, "size": 1},
                                    {"containerID": 1, "hostID": 200000, "size": 1000}]
        config["process"]["user"] = {"uid": 5, "gid": 6, "additionalGids": [7]}
    done = user.run("run", "--bundle", user.spec(["sh", "-c", "id -u; id -G; cat /proc/self/uid_map"], many), "one")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["5", "6 7"]
    assert [line.split() for line in lines[2:]] == [["0", str(USER), "1"], ["1", "200000", "1000"]]
    user.run("run", "-d", "--bundle", user.spec(["sleep", "1000"], many), "two")
    uid = pathlib.Path(f"/proc/{user.state('two')['pid']}").stat().st_uid
    assert uid in (200004, 0)  # 0: not dumpable
    assert user.run("exec", "--user", "9", "two", "id", "-u").stdout == "9\n"
    user.run("delete", "--force", "two")


def test_state_in_tmp_without_a_session(user):
    bundle = user.spec(["sleep", "1000"])
    command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin", str(user.program)]
    folder = pathlib.Path(f"/tmp/berth-runtime-{USER}")
    assert not folder.exists()
    try:
        subprocess.run([*command, "run", "-d", "--bundle", str(bundle), "one"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=60)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert subprocess.run([*command, "list", "-q"], check=True, capture_output=True, timeout=60).stdout == b"one\n"
        subprocess.run([*command, "delete", "--force", "one"], check=True, timeout=60)
        folder.chmod(0o755)
        done = subprocess.run([*command, "list"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "not a private folder of this user" in done.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)
