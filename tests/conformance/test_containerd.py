"""containerd with berth-runtime below its shim, driven with ctr; each test holds with runc too."""
import json
import os

import pytest

from peers_view import DEADLINE, RUNTIME, wait_until

IMAGE = "docker.io/library/busybox:latest"
ADDRESS = "/run/ctr/containerd.sock"


def layout_of(peers, folder):
    """An image in OCI layout, made of the root file system with plain tools; as a tar."""
    return peers.run("sh", "-c", f"""set -e
        rm -rf {folder}; mkdir -p {folder}/blobs/sha256; cd {folder}; cat >layer
        put() {{ sum=$(sha256sum $1 | cut -d' ' -f1); size=$(stat -c %s $1); mv $1 blobs/sha256/$sum; }}
        put layer; layer=$sum layer_size=$size
        printf '{{"architecture":"amd64","os":"linux","config":{{"Cmd":["sh"],"Env":["PATH=/bin"]}},"rootfs":{{"type":"layers",
            "diff_ids":["sha256:%s"]}}}}' $layer >config
        put config; config=$sum config_size=$size
        printf '{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":
            "application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s}},"layers":[{{"mediaType":
            "application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}}]}}' $config $config_size $layer $layer_size >manifest
        put manifest
        printf '{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s",
            "size":%s,"annotations":{{"io.containerd.image.name":"{IMAGE}"}}}}]}}' $sum $size >index.json
        echo '{{"imageLayoutVersion":"1.0.0"}}' >oci-layout
        tar -cf {folder}.tar .
        """, stdin=peers.rootfs_tar) and f"{folder}.tar"


@pytest.fixture(scope="module")
def containerd(peers):
    peers.run("mkdir", "-p", "/etc/ctr", "/run/ctr")
    peers.path("/etc/ctr/config.toml").write_text(
        'version = 2\nroot = "/var/lib/containerd/ctr"\nstate = "/run/ctr/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{ADDRESS}"\n')
    process = peers.daemon("containerd", "--config", "/etc/ctr/config.toml", log="/var/log/ctr-containerd.log")
    try:
        wait_until("containerd", lambda: peers.run("ctr", "-a", ADDRESS, "version", check=False).returncode == 0)
        peers.run("ctr", "-a", ADDRESS, "images", "import", layout_of(peers, "/tmp/image"))
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE)


class Ctr:
    def __init__(self, peers, binary):
        self.peers, self.binary = peers, binary

    def __call__(self, *words, **options):
        if words[0] == "run":
            words = ("run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self.binary, *words[1:])
        return self.peers.run("ctr", "-a", ADDRESS, *words, **options)

    def start(self, name, *flags, command=("sleep", "1000")):
        self("run", "-d", "--cgroup", f"{self.peers.cgroup}/{name}", *flags, IMAGE, name, *command)

    def pid(self, name):
        return next(line.split()[1] for line in self("task", "ls").stdout.splitlines() if line.split()[0] == name)

    def status(self, name):
        return next((line.split()[2] for line in self("task", "ls").stdout.splitlines() if line.split()[0] == name), None)


@pytest.fixture(params=["runc", RUNTIME], ids=["runc", "berth"])
def ctr(request, peers, containerd):
    client = Ctr(peers, request.param)
    yield client
    for name in client("container", "ls", "-q").stdout.split():
        client("task", "delete", "--force", name, check=False)
        client("container", "delete", name)


def test_run_gives_output_and_exit_code(ctr):
    done = ctr("run", "--rm", IMAGE, "one", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_run_of_a_missing_program(ctr):
    done = ctr("run", "--rm", IMAGE, "one", "/no/such", check=False)
    assert done.returncode != 0 and "no such file or directory" in done.stderr
    assert ctr("container", "ls", "-q").stdout == ""


def test_run_on_a_terminal(ctr):
    terminal = ctr.peers.terminal("ctr", "-a", ADDRESS, "run", "--rm", "-t", "--runtime", "io.containerd.runc.v2", "--runc-binary",
                                  ctr.binary, IMAGE, "one", "sh")
    terminal.expect("# ")
    terminal.send("stty size; tty\n")
    terminal.expect("40 132")
    terminal.expect("/dev/pts/0")
    terminal.send("exit 4\n")
    assert terminal.wait() == 4


def test_exec(ctr):
    ctr.start("one")
    done = ctr("task", "exec", "--exec-id", "e1", "one", "sh", "-c", "echo out; exit 5", check=False)
    assert (done.stdout, done.returncode) == ("out\n", 5)
    assert ctr("task", "exec", "--exec-id", "e2", "--user", "1000:1000", "--cwd", "/tmp", "one", "sh", "-c", "id -u; pwd").stdout == \
        "1000\n/tmp\n"
    terminal = ctr.peers.terminal("ctr", "-a", ADDRESS, "task", "exec", "-t", "--exec-id", "e3", "one", "sh")
    terminal.expect("# ")
    terminal.send("tty; exit 6\n")
    terminal.expect("/dev/pts/")
    assert terminal.wait() == 6


def test_pause_and_resume(ctr):
    ctr.start("one")
    ctr("task", "pause", "one")
    assert ctr.status("one") == "PAUSED"
    assert ctr.peers.cgroup_file("freezer", ctr.pid("one"), "freezer.state") == "FROZEN"
    ctr("task", "resume", "one")
    assert ctr.status("one") == "RUNNING"


def test_metrics_and_processes(ctr):
    ctr.start("one", "--memory-limit", str(64 << 20), command=("sh", "-c", "sleep 500 & wait"))
    wait_until("two processes", lambda: len(ctr("task", "ps", "one").stdout.splitlines()) == 3)
    metrics = json.loads(ctr("task", "metrics", "--format", "json", "one").stdout)
    assert int(metrics["memory"]["usage"]["usage"]) > 0 and int(metrics["memory"]["usage"]["limit"]) == 64 << 20, metrics
    assert int(metrics["pids"]["current"]) == 2 and int(metrics["cpu"]["usage"]["total"]) > 0, metrics


def test_limits(ctr):
    ctr.start("one", "--memory-limit", str(64 << 20), "--cpus", "0.5", "--cpu-shares", "100")
    pid = ctr.pid("one")
    group = lambda controller, name: ctr.peers.cgroup_file(controller, pid, name)  # noqa: E731
    assert group("memory", "memory.limit_in_bytes") == str(64 << 20)
    assert (group("cpu", "cpu.cfs_quota_us"), group("cpu", "cpu.shares")) == ("50000", "100")


def test_kill_and_delete(ctr):
    ctr.start("one")
    pid = ctr.pid("one")
    ctr("task", "kill", "--signal", "SIGKILL", "one")
    wait_until("stopped task", lambda: ctr.status("one") == "STOPPED")
    ctr("task", "delete", "one", check=False)
    assert ctr.status("one") is None and not os.path.exists(f"/proc/{pid}")
    assert not os.path.exists(f"/sys/fs/cgroup/memory{ctr.peers.cgroup}/one")


def test_kill_all_reaches_every_process(ctr):
    ctr.start("one", command=("sh", "-c", "sleep 500 & sleep 501"))
    wait_until("children", lambda: len(ctr("task", "ps", "one").stdout.splitlines()) >= 3)
    ctr("task", "kill", "--all", "--signal", "SIGKILL", "one")
    wait_until("stopped task", lambda: ctr.status("one") == "STOPPED")


def test_privileged_and_read_only(ctr):
    done = ctr("run", "--rm", "--privileged", IMAGE, "one", "sh", "-c", "mount -t tmpfs t /tmp && grep CapEff /proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << 21)
    done = ctr("run", "--rm", "--read-only", "--env", "A=b", "--cwd", "/var", IMAGE, "one", "sh", "-c", "touch /x; echo $A; pwd", check=False)
    assert done.stdout == "b\n/var\n" and "Read-only" in done.stderr


def test_mounts_and_host_network(ctr):
    folder = ctr.peers.path("/srv/ctr")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in").write_text("from outside\n")
    done = ctr("run", "--rm", "--net-host", "--mount", "type=bind,src=/srv/ctr,dst=/data,options=rbind:ro", IMAGE, "one", "sh", "-c",
               "cat /data/in; touch /data/x; readlink /proc/self/ns/net", check=False)
    assert done.stdout == "from outside\n" + ctr.peers.run("readlink", "/proc/self/ns/net").stdout and "Read-only" in done.stderr


def test_user_namespace(ctr):
    done = ctr("run", "--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--remap-labels", IMAGE, "one", "sh", "-c",
               "cat /proc/self/uid_map; id -u")
    assert done.stdout.split() == ["0", "100000", "65536", "0"], done
