"""One and the same bundle under runc, crun and berth-runtime: what a process sees inside must be equal.

A line is right when runc or crun shows it, and must be there when both do. What differs on purpose stands in `different`.
"""
import json
import pathlib
import re

import pytest

from engine import ROOT
from peers_view import RUNTIME
from seccomp_profile import default_filter

RUNTIMES = {"runc": "runc", "crun": "crun", "berth": RUNTIME}

# (section, line, why)
different = [
    ("mounts", r"/sys/fs/cgroup (rw|ro),\S+ tmpfs ", "the folder of the cgroup mounts is read-only as they are"),
    ("mounts", r"/proc/\S+ \S+ (tmpfs|devtmpfs) |/sys/firmware \S+ tmpfs ",
     "masks are one empty tmpfs, without programs or devices, and the null device of the host"),
    ("mounts", r"/sys/fs/cgroup/(cpuset|systemd|perf_event|net_cls|hugetlb|rdma|misc)\S* ",
     "a hierarchy in which a container is like its caller until a limit says otherwise is not joined and not shown: 0.1 ms each"),
    ("keyring", r"keyring _ses", "anonymous: a named session keyring can be joined by whoever knows the name"),
    ("groups", r"^\d+:(cpuset|name=systemd|perf_event|net_cls|hugetlb|rdma|misc)", "not joined, see above"),
]


def base_config(peers):
    config = json.loads(peers.run("sh", "-c", f"cd /tmp && rm -f config.json && {RUNTIME} spec && cat config.json").stdout)
    config["process"].update(terminal=False, args=["/bin/sh", "/observe.sh"])
    config["linux"]["resources"].update(memory={"limit": 64 << 20}, cpu={"shares": 512, "quota": 50000, "period": 100000},
                                        pids={"limit": 100})
    return config


def change_nothing(config):
    pass


def ordinary_user(config):
    config["process"].update(user={"uid": 1000, "gid": 1000, "additionalGids": [10, 2000], "umask": 0o027}, cwd="/home",
                             noNewPrivileges=False, oomScoreAdj=123,
                             rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])
    config["process"]["env"] += ["GREETING=a b=c", "EMPTY="]
    config["root"]["readonly"] = False


def ambient_capabilities(config):
    names = ["CAP_NET_BIND_SERVICE", "CAP_NET_RAW"]
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["process"]["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}


def open_bundle(config):
    """As `docker run --privileged`: nothing masked, all capabilities, no filter."""
    names = [f"CAP_{name}" for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
        "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
        "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()]
    own = int(re.search(r"CapBnd:\s*(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16)
    names = [name for number, name in enumerate(names) if own >> number & 1]
    config["process"]["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    config["process"]["noNewPrivileges"] = False
    config["linux"].pop("seccomp")
    config["linux"].update(maskedPaths=[], readonlyPaths=[])
    config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    config["root"]["readonly"] = False
    for mount in config["mounts"]:
        if mount["type"] in ("sysfs", "cgroup"):
            mount["options"] = [option for option in mount["options"] if option != "ro"]


def mounts_and_settings(config):
    config["mounts"] += [
        {"destination": "/made/by/mount", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1m", "mode=1770", "uid=5"]},
        {"destination": "/made/file", "type": "bind", "source": "/etc/hostname", "options": ["rbind", "ro"]},
        {"destination": "/opened", "type": "bind", "source": "/usr/share", "options": ["rbind", "rw", "rprivate", "noexec", "noatime"]},
        {"destination": "/shared", "type": "bind", "source": "/usr/lib", "options": ["bind", "rshared", "ro", "nosuid", "nodev"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["noexec", "tmpcopyup"]}]
    config["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "0 100", "kernel.shmmax": "1000000", "net.ipv4.ip_forward": "1",
                                 "net.ipv4.ip_unprivileged_port_start": "80"}
    config["linux"]["devices"] = [{"path": "/dev/made/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1, "gid": 2}]
    config["linux"]["rootfsPropagation"] = "rslave"
    config["linux"]["personality"] = {"domain": "LINUX32"}
    config["root"]["readonly"] = False
    config["domainname"] = "example.org"
    config["annotations"] = {"org.example": "value"}


def host_namespaces(config):
    config["linux"]["namespaces"] = [{"type": "mount"}]
    config.pop("hostname")
    config["linux"]["maskedPaths"].remove("/proc/keys")


def user_namespace(config):
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def no_mounts_but_proc(config):
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] == "/proc"]
    config["linux"].update(maskedPaths=[], readonlyPaths=[])
    config["linux"].pop("resources")
    config["root"]["readonly"] = False


def no_limits(config):
    """As `docker run` without a flag on a machine with cgroup v1: the host's cgroup namespace shows which groups were joined."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "cgroup"]
    config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}


VARIANTS = [change_nothing, no_limits, ordinary_user, ambient_capabilities, open_bundle, mounts_and_settings, host_namespaces, user_namespace,
            no_mounts_but_proc]


class Bundle:
    def __init__(self, peers, change):
        self.peers = peers
        self.name = change.__name__
        self.folder = f"/bundles/{self.name}"
        self.config = base_config(peers)
        self.config["linux"]["cgroupsPath"] = f"{peers.cgroup}/compared"
        self.config["linux"]["seccomp"] = default_filter(ROOT / "src/runtime/data/default_seccomp.json")
        change(self.config)

    def fresh(self):
        """The same files each time: a runtime makes mount points."""
        self.peers.run("rm", "-rf", self.folder)
        rootfs = self.peers.unpack_rootfs(self.folder + "/rootfs")
        (rootfs / "observe.sh").write_bytes((pathlib.Path(__file__).parent / "observe.sh").read_bytes())
        if any(space["type"] == "user" for space in self.config["linux"]["namespaces"]):
            self.peers.run("chown", "-R", "100000:100000", self.folder + "/rootfs")
        self.peers.path(self.folder + "/config.json").write_text(json.dumps(self.config))


def sections_of(text):
    found = {}
    for part in text.split("== ")[1:]:
        name, _, lines = part.partition("\n")
        found[name] = [normal(name, line) for line in lines.rstrip("\n").split("\n")]
    return found


def normal(section, line):
    if section == "mounts" and " - " in line:
        before, after = line.split(" - ")
        fields, (kind, source, options) = before.split(), after.split()
        tags = re.sub(r":\d+", "", " ".join(fields[6:]))
        # Whether a super block says ro follows from the first mount's flags; the mount's own flags stand before it.
        options = re.sub(r"^r[ow]", "", options)
        if kind in ("sysfs", "cgroup"):
            source = "-"
        return f"{fields[4]} {fields[5]} {kind} {source} {fields[3]} {tags} {options}"
    if section in ("namespaces", "descriptors"):
        return re.sub(r"(pipe|socket):\[\d+\]", "pipe", line)
    if section == "status" and line.startswith("State:"):
        return "State:"  # the reader's own, or not, as the moment has it
    return line


def namespaces_kept(peers, seen):
    """Which namespaces are the caller's; the numbers of new ones are of no interest."""
    own = {name: peers.run("readlink", f"/proc/self/ns/{name}").stdout.strip()
           for name in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")}
    return [f"{name} {'kept' if own[name] == value else 'new'}" for name, value in (line.split(" ", 1) for line in seen)]


def unexpected(observed):
    problems = []
    for section in observed["runc"]:
        runc, crun, berth = (set(observed[name].get(section, [])) for name in ("runc", "crun", "berth"))
        lines = [f"only berth-runtime: {line}" for line in sorted(berth - runc - crun)]
        lines += [f"not with berth-runtime: {line}" for line in sorted((runc & crun) - berth)]
        problems += [f"{section}: {line}" for line in lines
                     if not any(where == section and re.search(what, line.split(": ", 1)[1]) for where, what, _ in different)]
    return problems


def observe(peers, bundle, runtime):
    bundle.fresh()
    done = peers.run("sh", "-c", f"cd {bundle.folder} && exec {runtime} --root /run/compared run one", check=False)
    assert done.returncode == 0 and "== system" in done.stdout, f"{runtime}: {done.returncode} {done.stdout[-300:]} {done.stderr}"
    seen = sections_of(done.stdout)
    seen["namespaces"] = namespaces_kept(peers, seen["namespaces"])
    return seen


@pytest.mark.parametrize("change", VARIANTS, ids=lambda change: change.__name__)
def test_a_container_looks_as_with_runc_and_crun(peers, change):
    bundle = Bundle(peers, change)
    observed = {name: observe(peers, bundle, runtime) for name, runtime in RUNTIMES.items()}
    problems = unexpected(observed)
    assert not problems, "\n".join(problems)
