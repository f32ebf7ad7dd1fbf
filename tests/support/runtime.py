"""The runtime's command line for the tests: bundles, commands, and what containers leave behind."""
import copy
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from engine import BIN, SANITIZED, WITHOUT_LEAK_CHECK, wait_until  # noqa: F401

PROGRAM = pathlib.Path(os.environ.get("BERTH_TEST_RUNTIME", BIN / "berth-runtime"))
CGROUP = os.environ.get("BERTH_TEST_CGROUP", "/berth-test")
# "systemd": the same tests with systemd making the cgroups (--systemd-cgroup); it must run here.
MANAGER = os.environ.get("BERTH_TEST_CGROUP_MANAGER", "cgroupfs")
SLICE = "berthtest.slice"
UNIFIED = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
COMMAND_DEADLINE = 60


def has_controller(name):
    """Kernels leave controllers of version 1 out: Debian 13's has no memory and no cpuset there."""
    return UNIFIED or pathlib.Path("/sys/fs/cgroup", name, "tasks").exists()


def make_rootfs(folder):
    busybox = shutil.which("busybox")
    for name in ("bin", "etc", "tmp", "root", "dev", "proc", "sys", "var"):
        (folder / name).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(busybox, folder / "bin/busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001::/home/worker:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nworker:x:1001:\n")
    (folder / "bin/not-executable").write_text("#!/bin/sh\n")
    (folder / "bin/not-executable").chmod(0o644)


CONFIG = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/sleep", "1000"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: ["CAP_KILL", "CAP_AUDIT_WRITE"] for name in ("bounding", "effective", "permitted")},
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    ],
    "linux": {
        "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
    },
}


class Runtime:
    def __init__(self, folder, rootfs):
        self.folder = folder
        self.rootfs = rootfs
        self.root = folder / "state"
        self.root.mkdir()
        self.count = 0

    def bundle(self, args=None, change=None):
        """A folder with config.json; `change` may edit the configuration."""
        config = copy.deepcopy(CONFIG)
        config["root"]["path"] = str(self.rootfs)
        name = f"c{os.getpid()}-{self.count}-{self.folder.name}"
        config["linux"]["cgroupsPath"] = f"{SLICE}:berth:{name}" if MANAGER == "systemd" else f"{CGROUP}/{name}"
        self.count += 1
        if args is not None:
            config["process"]["args"] = args
        if change is not None:
            change(config)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle", dir=self.folder))
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def command(self, *arguments, globals=()):
        manager = ["--systemd-cgroup"] if MANAGER == "systemd" else []
        return [str(PROGRAM), "--root", str(self.root), *manager, *globals, *map(str, arguments)]

    def run(self, *arguments, check=True, globals=(), **options):
        """One command. Output goes through files: a detached process keeps a pipe open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            options.setdefault("stdin", subprocess.DEVNULL)
            if "input" in options:
                del options["stdin"]
                options["input"] = options["input"].encode()
            done = subprocess.run(self.command(*arguments, globals=globals), stdout=out, stderr=err,
                                  timeout=COMMAND_DEADLINE, **options)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read().decode(), err.read().decode()
            done.message = done.stderr.replace('\\"', '"')  # the words in a log line
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, id, args=None, change=None):
        """A container that runs, detached."""
        self.run("run", "--detach", "--bundle", self.bundle(args, change), id)

    def state(self, id):
        return json.loads(self.run("state", id).stdout)

    def ids(self):
        return self.run("list", "-q").stdout.split()

    def delete_all(self):
        for id in self.ids():
            self.run("delete", "--force", id)

    def remains(self):
        """What containers have left: cgroups and state. (Processes are in the cgroups, mounts in namespaces.)"""
        left = [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*{CGROUP}/*-{self.folder.name}")]
        left += [str(path) for path in pathlib.Path("/sys/fs/cgroup" + CGROUP).glob(f"*-{self.folder.name}")]
        for place in (SLICE, f"*/{SLICE}"):
            left += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"{place}/*-{self.folder.name}.scope")]
        if self.root.exists():
            left += [str(path) for path in self.root.iterdir() if not path.name.startswith(".")]
        return left


def group_of(pid, controller):
    """The directory of a process's cgroup where a controller's files are."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return pathlib.Path("/sys/fs/cgroup") / controller / path.lstrip("/")
        if UNIFIED and names == "":
            return pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")
    return None


def with_descriptor_3(runtime, file, *arguments):
    """A command whose descriptor 3 is `file`. A shell opens it, because pytest uses that number itself."""
    return subprocess.run(["sh", "-c", 'file=$1; shift; exec "$@" 3>"$file"', "sh", str(file), *runtime.command(*arguments)],
                          capture_output=True, text=True, check=True, timeout=COMMAND_DEADLINE)


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def kill(pid):
    os.kill(pid, signal.SIGKILL)
