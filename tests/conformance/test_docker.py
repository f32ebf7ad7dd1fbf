"""Docker Engine with berth-runtime as the runtime of its containers; each test holds with runc too."""
import json
import os

import pytest

from peers_view import DEADLINE, RUNTIME, inspect, wait_until


class Docker:
    def __init__(self, peers, *flags):
        self.peers = peers
        self.containerd = peers.daemon("containerd", log="/var/log/containerd.log")
        self.dockerd = None
        wait_until("containerd", lambda: peers.path("/run/containerd/containerd.sock").exists())
        self.dockerd = peers.daemon("dockerd", "--cgroup-parent", peers.cgroup, "--containerd", "/run/containerd/containerd.sock",
                                    "--add-runtime", f"berth={RUNTIME}", *flags, log="/var/log/dockerd.log")
        try:
            wait_until("dockerd", self.answers)
            peers.run("docker", "import", "-", "busybox:latest", stdin=peers.rootfs_tar)
        except AssertionError:
            self.close()
            raise

    def answers(self):
        assert self.dockerd.poll() is None, self.peers.path("/var/log/dockerd.log").read_text()[-3000:]
        return self.peers.run("docker", "info", check=False).returncode == 0

    def close(self):
        left = self.peers.run("docker", "ps", "-aq", check=False).stdout.split()
        if left:
            self.peers.run("docker", "rm", "-f", *left, check=False)
        for process in (self.dockerd, self.containerd):
            if process is not None:
                process.terminate()
                process.wait(DEADLINE)


@pytest.fixture(scope="module")
def engine(peers):
    running = Docker(peers)
    yield running
    running.close()


class Client:
    """The docker command line; `run` and `create` use one runtime."""

    def __init__(self, peers, runtime):
        self.peers, self.runtime = peers, runtime

    def __call__(self, *words, **options):
        if words[0] in ("run", "create"):
            words = (words[0], "--runtime", self.runtime, *words[1:])
        return self.peers.run("docker", *words, **options)

    def start(self, *flags, command=("sleep", "1000")):
        return self("run", "-d", *flags, "busybox", *command).stdout.strip()

    def inside(self, container, *command, **options):
        return self("exec", container, *command, **options).stdout.strip()

    def pid(self, container):
        return inspect(self, container)["State"]["Pid"]

    def terminal(self, *words):
        return self.peers.terminal("docker", *words)


@pytest.fixture(params=["runc", "berth"])
def docker(request, peers, engine):
    client = Client(peers, request.param)
    yield client
    left = client("ps", "-aq").stdout.split()
    if left:
        client("rm", "-f", "-v", *left)


def test_run_gives_output_and_exit_code(docker):
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_run_reads_standard_input(docker):
    assert docker("run", "--rm", "-i", "busybox", "cat", input="hello\n").stdout == "hello\n"


@pytest.mark.parametrize("command, code, words", [
    (["/no/such"], 127, "no such file or directory"), (["nosuch"], 127, "executable file not found in $PATH"),
    (["/etc/passwd"], 126, "permission denied"), (["/bin"], 126, "")])
def test_run_of_what_cannot_be_run(docker, command, code, words):
    done = docker("run", "--rm", "busybox", *command, check=False)
    assert done.returncode == code and words in done.stderr.lower().replace("$path", "$PATH"), done


def test_exec(docker):
    container = docker.start()
    assert docker("exec", "-i", container, "cat", input="through\n").stdout == "through\n"
    assert docker("exec", container, "sh", "-c", "exit 5", check=False).returncode == 5
    assert docker.inside(container, "sh", "-c", "echo $$ $PPID")
    assert docker.inside(container, "id", "-u") == "0"
    assert docker("exec", "-u", "guest", "-w", "/tmp", "-e", "A=b", container, "sh", "-c", "id -un; id -G; pwd; echo $A").stdout == \
        "guest\n1000 2000\n/tmp\nb\n"
    assert docker("exec", container, "/no/such", check=False).returncode == 127
    assert docker("exec", container, "/etc/passwd", check=False).returncode == 126
    privileged = docker("exec", "--privileged", container, "grep", "CapEff", "/proc/self/status").stdout
    assert int(privileged.split()[1], 16) & (1 << 21)


def test_exec_on_a_terminal(docker):
    container = docker.start()
    terminal = docker.terminal("exec", "-it", container, "sh")
    terminal.expect("# ")
    terminal.send("stty size; tty\n")
    assert "40 132" in terminal.expect("/dev/pts/")
    terminal.expect("# ")
    terminal.send("exit 9\n")
    assert terminal.wait() == 9


def test_run_on_a_terminal(docker):
    terminal = docker.terminal("run", "--rm", "-it", "--name", "seen", "--runtime", docker.runtime, "busybox", "sh")
    terminal.expect("# ")
    terminal.send("tty; ls -l /dev/console\n")
    terminal.expect("/dev/pts/0")
    terminal.expect("136,")
    terminal.send("sleep 1000\n")
    wait_until("sleep", lambda: "sleep 1000" in docker("top", "seen").stdout)
    terminal.send("\x03")
    terminal.expect("# ")
    terminal.send("exit 4\n")
    assert terminal.wait() == 4


def test_pause_and_unpause(docker):
    container = docker.start()
    docker("pause", container)
    assert inspect(docker, container)["State"]["Status"] == "paused"
    assert docker.peers.cgroup_file("freezer", docker.pid(container), "freezer.state") == "FROZEN"
    assert docker("exec", container, "true", check=False).returncode == 1
    docker("unpause", container)
    assert docker.inside(container, "echo", "again") == "again"


def test_stats(docker):
    container = docker.start("--memory", "64m")
    line = json.loads(docker("stats", "--no-stream", "--format", "json", container).stdout)
    assert line["MemUsage"].endswith("/ 64MiB") and not line["MemUsage"].startswith("0B"), line
    assert line["PIDs"] == "1" and line["CPUPerc"].endswith("%"), line


def test_top(docker):
    container = docker.start(command=("sh", "-c", "sleep 500 & wait"))
    wait_until("two processes", lambda: docker("top", container, "-eo", "pid,args").stdout.count("sleep 500") >= 1)
    assert "sh -c" in docker("top", container).stdout


def test_limits(docker):
    container = docker.start("--memory", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512",
                             "--pids-limit", "20", "--cpuset-cpus", "0",
                             "--ulimit", "nofile=100:200", "--oom-score-adj", "100", "--shm-size", "8m")
    pid = docker.pid(container)
    group = lambda controller, name: docker.peers.cgroup_file(controller, pid, name)  # noqa: E731
    assert group("memory", "memory.limit_in_bytes") == str(64 << 20)
    assert group("memory", "memory.soft_limit_in_bytes") == str(32 << 20)
    assert (group("cpu", "cpu.cfs_quota_us"), group("cpu", "cpu.cfs_period_us"), group("cpu", "cpu.shares")) == ("50000", "100000", "512")
    assert group("pids", "pids.max") == "20"
    assert group("cpuset", "cpuset.cpus") == "0"
    assert docker.inside(container, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes") == str(64 << 20)
    assert docker.inside(container, "nproc") == "1"
    assert docker.inside(container, "sh", "-c", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj").split() == ["100", "200", "100"]
    assert "8192" in docker.inside(container, "df", "-k", "/dev/shm")
    # Exec'd processes are in the same groups.
    done = docker("exec", container, "sh", "-c", "for i in $(seq 30); do sleep 5 & done", check=False)
    assert "fork" in done.stderr, done


def test_memory_limit_kills(docker):
    container = docker("create", "--memory", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "tail /dev/zero").stdout.strip()
    assert docker("start", "-a", container, check=False).returncode == 137
    assert inspect(docker, container)["State"]["OOMKilled"] is True


def test_healthcheck(docker):
    container = docker.start("--health-cmd", "test -e /tmp/well", "--health-interval", "100ms", "--health-retries", "1")
    health = lambda: inspect(docker, container)["State"]["Health"]["Status"]  # noqa: E731
    wait_until("unhealthy", lambda: health() == "unhealthy")
    docker.inside(container, "touch", "/tmp/well")
    wait_until("healthy", lambda: health() == "healthy")


def test_update(docker):
    container = docker.start("--memory", "64m")
    pid = docker.pid(container)
    docker("update", "--memory", "32m", "--memory-swap", "64m", "--cpus", "0.25", "--pids-limit", "50", "--cpu-shares", "100", container)
    group = lambda controller, name: docker.peers.cgroup_file(controller, pid, name)  # noqa: E731
    assert group("memory", "memory.limit_in_bytes") == str(32 << 20)
    assert (group("cpu", "cpu.cfs_quota_us"), group("cpu", "cpu.shares"), group("pids", "pids.max")) == ("25000", "100", "50")


def test_signals_and_stop(docker):
    container = docker.start(command=("sh", "-c", "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done"))
    wait_until("trap", lambda: "ready" in docker("logs", container).stdout)
    docker("kill", "-s", "USR1", container)
    assert docker("wait", container).stdout == "3\n"
    assert "got" in docker("logs", container).stdout
    assert docker("start", container) and docker("stop", "-t", "0", container)
    assert inspect(docker, container)["State"]["ExitCode"] == 137
    docker("restart", "-t", "0", container)
    docker("kill", container)
    assert docker("wait", container).stdout == "137\n"
    docker("rm", container)


def test_forced_removal_leaves_no_process_and_no_group(docker):
    container = docker.start(command=("sh", "-c", "sleep 1000 & sleep 1000"))
    pid = docker.pid(container)
    docker("rm", "-f", container)
    assert not os.path.exists(f"/proc/{pid}")
    assert not [path for path in os.listdir("/sys/fs/cgroup/memory" + docker.peers.cgroup) if path == container]


def test_init(docker):
    assert docker("run", "--rm", "--init", "busybox", "cat", "/proc/1/comm").stdout == "docker-init\n"


def test_privileged(docker):
    done = docker("run", "--rm", "--privileged", "busybox", "sh", "-c",
                  "mount -t tmpfs t /tmp && grep CapEff /proc/self/status && ls /dev/kmsg && grep Seccomp: /proc/self/status && "
                  "(: >>/proc/sys/kernel/domainname) && echo writable")
    capabilities = int(done.stdout.split()[1], 16)
    assert capabilities & (1 << 21) and "Seccomp:\t0" in done.stdout and done.stdout.endswith("writable\n"), done.stdout


def capabilities(docker, *flags):
    return {line.split()[0]: line.split()[1] for line in docker(
        "run", "--rm", *flags, "busybox", "grep", "^Cap", "/proc/self/status").stdout.splitlines()}


def test_capabilities(docker):
    assert set(capabilities(docker).values()) == {"0" * 16, "00000000a80425fb"}
    changed = capabilities(docker, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN")
    assert changed["CapBnd:"] == changed["CapEff:"] == "0000000000001000"
    user = capabilities(docker, "-u", "1000", "--cap-add", "SYS_TIME")
    assert (user["CapEff:"], user["CapBnd:"]) == ("0" * 16, "00000000aa0425fb")


def test_read_only_and_tmpfs(docker):
    done = docker("run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m,mode=1700", "busybox", "sh", "-c",
                  "touch /x; touch /scratch/x && stat -c %a /scratch && df -k /scratch | tail -1", check=False)
    assert "Read-only file system" in done.stderr and done.stdout.startswith("1700\n") and " 1024 " in done.stdout, done


def test_devices_and_sysctls(docker):
    done = docker("run", "--rm", "--device", "/dev/null:/dev/extra:rw", "--sysctl", "net.ipv4.ip_forward=0", "--sysctl",
                  "kernel.shmmax=123456", "busybox", "sh", "-c",
                  "ls -l /dev/extra; echo x >/dev/extra && cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax; "
                  "mknod /tmp/k c 1 2; cat /tmp/k", check=False)
    assert done.stdout.startswith("crw") and done.stdout.endswith("\n0\n123456\n") and "not permitted" in done.stderr, done


def test_user_groups_and_names(docker):
    done = docker("run", "--rm", "-u", "1000:1000", "--group-add", "2000", "--hostname", "box", "--domainname", "example.org", "-w", "/var",
                  "-e", "HELLO=world", "busybox", "sh", "-c", "id -u; id -G; hostname; pwd; echo $HELLO $HOME; cat /etc/hostname")
    assert done.stdout == "1000\n1000 2000\nbox\n/var\nworld /home\nbox\n"


def test_volumes(docker):
    folder = docker.peers.path("/srv/shared")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in").write_text("from outside\n")
    done = docker("run", "--rm", "-v", "/srv/shared:/data", "-v", "/srv/shared:/fixed:ro", "-v", "named:/named", "busybox", "sh", "-c",
                  "cat /data/in; echo inside >/data/out; touch /fixed/x; touch /named/x && echo named", check=False)
    assert done.stdout == "from outside\nnamed\n" and "Read-only" in done.stderr
    assert (folder / "out").read_text() == "inside\n"


def test_namespaces_of_the_host_and_of_others(docker):
    host = {name: docker.peers.run("readlink", f"/proc/self/ns/{name}").stdout for name in ("net", "uts", "ipc", "pid")}
    script = "for n in net uts ipc pid; do readlink /proc/self/ns/$n; done"
    flags = ["--network", "host", "--uts", "host", "--ipc", "host", "--pid", "host"]
    assert docker("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout == "".join(host.values())
    first = docker.start("--ipc", "shareable")
    own = docker.inside(first, "sh", "-c", script)
    other = docker("run", "--rm", "--network", f"container:{first}", "--pid", f"container:{first}", "--ipc", f"container:{first}",
                   "busybox", "sh", "-c", script).stdout.split()
    assert [other[0], *other[2:]] == [own.split()[0], *own.split()[2:]]


def test_network(docker):
    container = docker.start("-p", "127.0.0.1::80", command=("httpd", "-f", "-p", "80", "-h", "/etc"))
    assert inspect(docker, container)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].startswith("172.")
    assert docker.inside(container, "wget", "-q", "-O-", "http://127.0.0.1/hostname") == container[:12]
    port = docker("port", container, "80/tcp").stdout.strip()
    assert docker.peers.run("curl", "-sS", "--fail", "--retry", "20", "--retry-all-errors", "--retry-delay", "0",
                            f"http://{port}/hostname").stdout.strip() == container[:12]


def test_security_options(docker):
    assert "NoNewPrivs:\t1" in docker("run", "--rm", "--security-opt", "no-new-privileges", "busybox", "cat", "/proc/self/status").stdout
    filtered = docker("run", "--rm", "busybox", "unshare", "-U", "true", check=False)
    assert filtered.returncode != 0 and "not permitted" in filtered.stderr
    assert docker("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "grep", "Seccomp:", "/proc/self/status").stdout == \
        "Seccomp:\t0\n"


def test_copy_and_commit(docker):
    container = docker.start()
    docker.inside(container, "sh", "-c", "echo text >/tmp/file")
    assert "text" in docker("cp", f"{container}:/tmp/file", "-").stdout
    docker("commit", container, "copied:latest")
    assert docker("run", "--rm", "copied", "cat", "/tmp/file").stdout == "text\n"


def test_build(docker):
    folder = docker.peers.path("/srv/context")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo built >/result\nCMD cat /result\n")
    docker("build", "-t", "built", "/srv/context", environment={"DOCKER_BUILDKIT": "0"})
    assert docker("run", "--rm", "built").stdout == "built\n"
