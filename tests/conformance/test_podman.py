"""Podman and conmon with berth-runtime as the runtime; each test holds with runc and crun too."""
import json
import os

import pytest

from peers_view import RUNTIME, inspect, wait_until


class Podman:
    def __init__(self, peers, runtime):
        self.peers = peers
        self.flags = ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--log-level", "error", "--runtime", runtime]

    def words(self, words):
        if words[0] in ("run", "create"):
            words = (words[0], "--cgroup-parent", self.peers.cgroup, *words[1:])
        return ["podman", *self.flags, *words]

    def __call__(self, *words, **options):
        return self.peers.run(*self.words(words), environment={"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}, **options)

    def start(self, *flags, command=("sleep", "1000")):
        # A container of the background holds the caller's streams through conmon: not the test's pipes.
        return self("run", "-d", "--network", "none", *flags, "busybox", *command).stdout.strip()

    def pid(self, container):
        return inspect(self, container)["State"]["Pid"]

    def group(self, container, controller, name):
        return self.peers.cgroup_file(controller, self.pid(container), name)

    def terminal(self, *words):
        return self.peers.terminal(*self.words(words))


@pytest.fixture(scope="module")
def image(peers):
    peers.run("podman", "import", "-q", "-", "busybox", stdin=peers.rootfs_tar)


@pytest.fixture(params=["runc", "crun", RUNTIME], ids=["runc", "crun", "berth"])
def podman(request, peers, image):
    client = Podman(peers, request.param)
    yield client
    client("rm", "-f", "-t", "0", "-a", "-v")


def test_run_gives_output_and_exit_code(podman):
    done = podman("run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    assert podman("run", "--rm", "-i", "--network", "none", "busybox", "cat", input="hello\n").stdout == "hello\n"


@pytest.mark.parametrize("command, code", [("/no/such", 127), ("nosuch", 127), ("/etc/passwd", 126), ("/bin", 126)])
def test_run_of_what_cannot_be_run(podman, command, code):
    assert podman("run", "--rm", "--network", "none", "busybox", command, check=False).returncode == code


def test_exec(podman):
    container = podman.start()
    assert podman("exec", "-i", container, "cat", input="through\n").stdout == "through\n"
    assert podman("exec", container, "sh", "-c", "exit 5", check=False).returncode == 5
    assert podman("exec", "-u", "guest", "-w", "/tmp", "-e", "A=b", container, "sh", "-c", "id -un; id -G; pwd; echo $A").stdout == \
        "guest\n1000 2000\n/tmp\nb\n"
    assert podman("exec", container, "/no/such", check=False).returncode == 127
    assert podman("exec", container, "/etc/passwd", check=False).returncode == 126


def test_terminals(podman):
    terminal = podman.terminal("run", "--rm", "-it", "--network", "none", "busybox", "sh")
    terminal.expect("# ")
    terminal.send("tty; exit 4\n")
    terminal.expect("/dev/pts/0")
    assert terminal.wait() == 4
    container = podman.start()
    terminal = podman.terminal("exec", "-it", container, "sh")
    terminal.expect("# ")
    terminal.send("tty; exit 6\n")
    terminal.expect("/dev/pts/")
    assert terminal.wait() == 6


def test_pause_and_unpause(podman):
    container = podman.start()
    podman("pause", container)
    assert inspect(podman, container)["State"]["Status"] == "paused"
    assert podman.group(container, "freezer", "freezer.state") == "FROZEN"
    podman("unpause", container)
    assert podman("exec", container, "echo", "again").stdout == "again\n"


def test_stats_and_top(podman):
    container = podman.start("--memory", "64m", command=("sh", "-c", "sleep 500 & wait"))
    wait_until("two processes", lambda: podman("top", container, "pid", "args").stdout.count("sleep 500") >= 1)
    line = json.loads(podman("stats", "--no-stream", "--no-reset", "--format", "json", container).stdout)[0]
    assert line["pids"] == "2" and not line["mem_usage"].startswith("0B"), line


def test_limits_and_update(podman):
    container = podman.start("--memory", "64m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "0", "--ulimit", "nofile=100:200",
                             "--oom-score-adj", "100", "--shm-size", "8m")
    assert podman.group(container, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert podman.group(container, "cpu", "cpu.cfs_quota_us") == "50000" and podman.group(container, "pids", "pids.max") == "20"
    assert podman("exec", container, "sh", "-c", "nproc; ulimit -n; cat /proc/1/oom_score_adj").stdout.split() == ["1", "100", "100"]
    podman("update", "--memory", "32m", "--cpus", "0.25", "--pids-limit", "50", container)
    assert podman.group(container, "memory", "memory.limit_in_bytes") == str(32 << 20)
    assert podman.group(container, "cpu", "cpu.cfs_quota_us") == "25000" and podman.group(container, "pids", "pids.max") == "50"


def test_healthcheck(podman):
    container = podman.start("--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1")
    assert podman("healthcheck", "run", container, check=False).returncode == 1
    podman("exec", container, "touch", "/tmp/well")
    assert podman("healthcheck", "run", container).returncode == 0
    assert inspect(podman, container)["State"]["Health"]["Status"] == "healthy"


def test_signals_stop_and_removal(podman):
    container = podman.start(command=("sh", "-c", "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done"))
    wait_until("trap", lambda: "ready" in podman("logs", container).stdout)
    podman("kill", "-s", "USR1", container)
    assert podman("wait", container).stdout == "3\n"
    assert "got" in podman("logs", container).stdout
    podman("start", container)
    pid = podman.pid(container)
    podman("stop", "-t", "0", container)
    assert inspect(podman, container)["State"]["ExitCode"] == 137 and not os.path.exists(f"/proc/{pid}")
    podman("rm", container)
    assert [name for name in os.listdir("/sys/fs/cgroup/memory" + podman.peers.cgroup) if container in name and "conmon" not in name] == []


def test_users_capabilities_and_privileges(podman):
    run = lambda *words, **more: podman("run", "--rm", "--network", "none", *words, **more).stdout  # noqa: E731
    assert run("-u", "1000:1000", "--group-add", "2000", "--hostname", "box", "-w", "/var", "busybox", "sh", "-c",
               "id -u; id -G; hostname; pwd") == "1000\n1000 2000\nbox\n/var\n"
    assert int(run("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "busybox", "grep", "CapEff", "/proc/self/status").split()[1], 16) == 1 << 12
    assert int(run("--privileged", "busybox", "grep", "CapEff", "/proc/self/status").split()[1], 16) & (1 << 21)
    assert "NoNewPrivs:\t1" in run("--security-opt", "no-new-privileges", "busybox", "cat", "/proc/self/status")


def test_file_systems_devices_and_sysctls(podman):
    folder = podman.peers.path("/srv/podman")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in").write_text("from outside\n")
    done = podman("run", "--rm", "--network", "none", "--read-only", "--tmpfs",
                  "/scratch:size=1m,mode=1700", "-v", "/srv/podman:/data:ro", "--device", "/dev/null:/dev/extra:rw",
                  "--sysctl", "kernel.shmmax=123456", "busybox", "sh", "-c",
                  "cat /data/in; touch /x; touch /data/x; touch /scratch/x && stat -c %a /scratch; echo x >/dev/extra && "
                  "cat /proc/sys/kernel/shmmax", check=False)
    assert done.stdout == "from outside\n1700\n123456\n" and done.stderr.count("Read-only") == 2, done


def test_temporary_file_systems_start_with_what_the_image_has(podman):
    done = podman("run", "--rm", "--network", "none", "--tmpfs", "/etc", "busybox", "sh", "-c", "grep -c guest /etc/passwd; touch /etc/new")
    assert done.stdout == "1\n"


def test_network(podman):
    container = podman("run", "-d", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc").stdout.strip()
    address = inspect(podman, container)["NetworkSettings"]["Networks"]["podman"]["IPAddress"]
    assert podman.peers.run("curl", "-sS", "--fail", "--retry", "20", "--retry-all-errors", "--retry-delay", "0",
                            f"http://{address}/hostname").stdout.strip() == container[:12]


def test_user_namespace(podman):
    done = podman("run", "--rm", "--network", "none", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "busybox", "sh", "-c",
                  "cat /proc/self/uid_map; id -u; touch /x && stat -c %u /x")
    assert done.stdout.split() == ["0", "100000", "65536", "0", "0"], done
