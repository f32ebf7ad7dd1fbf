"""Servers of network file systems, real ones: the kernel's nfsd, and Samba. In the test's own network and mount namespaces;
what they write of themselves lies in the test's folder or in memory. They skip the test where the machine has none."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from engine import wait_until

ADDRESS = "127.0.0.1"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def needs(*programs, module):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in programs:
        if not shutil.which(program, path=path):
            pytest.skip(f"no {program} on this machine")
    if not shutil.which("modprobe", path=path) or subprocess.run(["modprobe", "-a", "-q", *module]).returncode != 0:
        pytest.skip(f"the kernel has no {' and '.join(module)}")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0


class Server:
    """Programs that stay, and their end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)  # for the server's users
        self.export = self.folder / "export"
        self.export.mkdir()
        self.programs = []

    def __enter__(self):
        self.start()
        return self

    def renew(self):
        """For the next test: runs, and exports nothing but an empty folder."""
        if not self.programs:
            self.start()
        for path in self.export.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder)

    def spawn(self, *command):
        log = open(self.folder / "server.log", "ab")
        self.programs.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, start_new_session=True))
        log.close()

    def end_programs(self):
        for program in reversed(self.programs):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self.programs.clear()

    def log(self):
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))


class NfsServer(Server):
    """Exports its folder by all versions that the kernel has; for version 4 it is the root of what there is."""

    state = pathlib.Path("/var/lib/nfs")

    def __init__(self):
        needs("rpcbind", "rpc.mountd", "rpc.nfsd", "exportfs", module=["nfsd", "nfs", "nfsv3", "nfsv4"])
        super().__init__()
        self.is_set_up = False

    def start(self):
        if not self.is_set_up:
            run("mount", "-t", "tmpfs", "tmpfs", self.state)
            for name in ("v4recovery", "sm", "sm.bak", "rpc_pipefs"):
                (self.state / name).mkdir()
            for name in ("etab", "rmtab"):
                (self.state / name).touch()
            run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
            self.is_set_up = True
        folder = pathlib.Path("/run/rpcbind")
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "_rpc")
        self.spawn("rpcbind", "-f", "-w")
        wait_until("port mapper", lambda: listens(111))
        self.spawn("rpc.mountd", "--foreground", "--port", "20048")
        wait_until("mount daemon", lambda: listens(20048))
        self.allow("no_root_squash")
        # The shortest times there are: who comes first has to wait for those that had something open before.
        run("rpc.nfsd", "--grace-time", "10", "--lease-time", "10", "2")
        wait_until("file server", lambda: listens(2049))

    def allow(self, options):
        run("exportfs", "-o", f"rw,fsid=0,insecure,no_subtree_check,{options}", f"{ADDRESS}:{self.export}")

    def renew(self):
        super().renew()
        self.allow("no_root_squash")
        self.export.chmod(0o755)
        return self

    def go(self):
        """As a server that is switched off: nobody answers at its ports."""
        run("rpc.nfsd", "0")
        run("exportfs", "-ua")
        self.end_programs()

    def stop(self):
        if self.is_set_up:
            self.go()
            run("umount", "-l", "/proc/fs/nfsd")
            run("umount", "-l", self.state)


class SmbServer(Server):
    """Samba with one share, "share", for one user."""

    user, password = "worker", "Correct-Horse1"

    def __init__(self):
        needs("smbd", "smbpasswd", module=["cifs"])
        super().__init__()
        self.config = self.folder / "smb.conf"
        folders = "".join(f"{name} directory = {self.folder}\n" for name in ("lock", "state", "cache", "pid"))
        self.config.write_text(f"""[global]
{folders}private dir = {self.folder}
ncalrpc dir = {self.folder}/ncalrpc
passdb backend = smbpasswd:{self.folder}/passwords
server role = standalone server
smb ports = 445
interfaces = lo
bind interfaces only = yes
disable netbios = yes
load printers = no
printcap name = /dev/null
disable spoolss = yes
log file = {self.folder}/smbd.log
[share]
path = {self.export}
read only = no
valid users = {self.user}
""")
        shutil.chown(self.export, self.user)
        run("smbpasswd", "-c", self.config, "-s", "-a", self.user, input=f"{self.password}\n{self.password}\n")

    def start(self):
        self.spawn("smbd", "--foreground", "--no-process-group", f"--configfile={self.config}")
        wait_until("file server", lambda: listens(445))

    def go(self):
        self.end_programs()

    def stop(self):
        self.go()
