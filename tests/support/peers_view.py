"""Other people's engines and runtimes for tests: a view of the peers' root (tests/support/peers) in this testbed."""
import json
import os
import pathlib
import shutil
import subprocess

from engine import BIN, DEADLINE, ROOT, Terminal, busybox_rootfs, wait_until

RUNTIME = "/usr/local/bin/berth-runtime"


class Peers:
    """One per session."""

    def __init__(self, scratch):
        self.holder = subprocess.Popen([ROOT / "tests/support/peers", "in", "sh", "-c", "echo there; exec sleep infinity"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "there\n"
        shutil.copy(BIN / "berth-runtime", self.path(RUNTIME))
        self.rootfs_tar = busybox_rootfs(pathlib.Path(scratch))
        self.environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                            "LANG": "C.UTF-8", "TERM": "xterm", "DOCKER_CLI_HINTS": "false"}
        self.cgroup = os.environ["BERTH_TEST_CGROUP"]

    def close(self):
        self.holder.kill()
        self.holder.wait(DEADLINE)

    def path(self, inside):
        """Where a file of the view lies outside of it."""
        return pathlib.Path(f"/proc/{self.holder.pid}/root") / str(inside).lstrip("/")

    def command(self, *words):
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *(str(word) for word in words)]

    def run(self, *words, check=True, input=None, stdin=None, timeout=DEADLINE * 2, environment=None):
        """`stdin` is a file of this side; `environment` comes on top."""
        options = {"input": input} if input is not None else {"stdin": open(stdin or "/dev/null", "rb")}
        done = subprocess.run(self.command(*words), env=dict(self.environment, **(environment or {})), text=True, capture_output=True,
                              timeout=timeout, errors="replace", **options)
        if "stdin" in options:
            options["stdin"].close()
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def daemon(self, *words, log):
        with open(self.path(log), "ab") as file:
            return subprocess.Popen(self.command(*words), env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def terminal(self, *words):
        return Terminal(self.command(*words), self.environment)

    def unpack_rootfs(self, inside):
        folder = self.path(inside)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-C", folder, "-xf", self.rootfs_tar], check=True)
        return folder

    def cgroup_file(self, controller, pid, name):
        """Text of a file of the group that a process is in (version 1)."""
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return (pathlib.Path("/sys/fs/cgroup") / controllers / path.lstrip("/") / name).read_text().strip()
        raise AssertionError(f"process {pid} is in no group of {controller}")


def inspect(client, container):
    return json.loads(client("inspect", container).stdout)[0]
