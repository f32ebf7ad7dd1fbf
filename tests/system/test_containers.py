"""What a container looks like from inside, and what its limits do."""
import json
import os
import re
import socket
import subprocess
import time

import pytest

from engine import DEADLINE, UnixConnection, wait_until, without_ages


def inside(engine, *arguments, flags=()):
    return engine.berth("run", "--rm", *flags, "busybox", *arguments).stdout


def test_namespaces_are_its_own(engine):
    mine = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "net", "mnt", "ipc", "uts", "cgroup")}
    # On cgroup v1 Docker's default is the host's cgroup namespace.
    theirs = inside(engine, "sh", "-c", "for n in pid net mnt ipc uts cgroup; do readlink /proc/self/ns/$n; done",
                    flags=["--cgroupns", "private"]).split()
    assert not set(mine.values()) & set(theirs)
    assert inside(engine, "sh", "-c", "echo $$") == "1\n"


def test_capabilities_are_dockers(engine):
    status = inside(engine, "cat", "/proc/self/status")
    assert "CapEff:\t00000000a80425fb" in status and "CapBnd:\t00000000a80425fb" in status
    assert "CapInh:\t0000000000000000" in status and "Seccomp:\t2" in status
    assert "CapEff:\t0000000000000000" in inside(engine, "cat", "/proc/self/status", flags=["--cap-drop", "ALL"])
    assert "Seccomp:\t0" in inside(engine, "cat", "/proc/self/status", flags=["--security-opt", "seccomp=unconfined"])
    assert "NoNewPrivs:\t1" in inside(engine, "cat", "/proc/self/status", flags=["--security-opt", "no-new-privileges"])


def test_socket_families_can_be_limited(engine):
    """arping makes a packet socket, ping one of INET."""
    script = "ip link set lo up 2>/dev/null; arping -c 1 -w 1 -I lo 127.0.0.1; ping -c 1 -w 1 127.0.0.1"
    limited = ["--security-opt", "socket-families=limited"]
    done = engine.berth("run", "--rm", *limited, "busybox", "sh", "-c", script, check=False)
    assert "arping: socket" in done.stderr and "Operation not permitted" in done.stderr
    assert "1 packets received" in done.stdout
    done = engine.berth("run", "--rm", "busybox", "sh", "-c", script, check=False)
    assert "Operation not permitted" not in done.stderr and "1 packets received" in done.stdout
    done = engine.berth("run", "--rm", "--privileged", *limited, "busybox", "true", check=False)
    assert done.returncode == 125 and "needs a seccomp filter" in done.stderr
    done = engine.berth("run", "--rm", "--security-opt", "socket-families=x", "busybox", "true", check=False)
    assert done.returncode == 125 and "neither all nor limited" in done.stderr


def test_no_descriptor_leaks(engine):
    assert inside(engine, "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls's own


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list"])
def test_masked_files_are_empty(engine, path):
    assert inside(engine, "sh", "-c", f"cat {path} | wc -c") == "0\n"


@pytest.mark.parametrize("path", ["/proc/irq/default_smp_affinity", "/proc/sys/kernel/core_pattern"])
def test_readonly_paths(engine, path):
    done = engine.berth("run", "--rm", "busybox", "sh", "-c", f"echo x > {path}", check=False)
    assert done.returncode != 0 and "ead-only" in done.stderr


def test_user_workdir_environment_hostname(engine):
    output = inside(engine, "sh", "-c", "id; pwd; echo $A; hostname; echo $HOME",
                    flags=["-u", "guest", "-w", "/made/here", "-e", "A=b c", "-h", "boat"])
    assert output == "uid=1000(guest) gid=1000(guest) groups=1000(guest),2000(extra)\n/made/here\nb c\nboat\n/home\n"
    assert "uid=4711 gid=0(root)" in inside(engine, "id", flags=["-u", "4711"])


def test_entrypoint_and_init(engine):
    assert inside(engine, "a", "b", flags=["--entrypoint", "echo"]) == "a b\n"
    assert "init" in inside(engine, "sh", "-c", "cat /proc/1/comm", flags=["--init"])


def test_memory_limit(engine):
    done = engine.berth("run", "--name", "eater", "-m", "16m", "busybox", "sh", "-c", "tail /dev/zero", check=False)
    assert done.returncode == 137
    assert engine.inspect("eater")["State"]["OOMKilled"]


def test_pids_limit(engine):
    done = engine.berth("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c",
                        "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done", check=False)
    assert "fork" in done.stderr


def control_groups(container):
    parent = os.environ["BERTH_TEST_CGROUP"] or "/berth"
    return [path for folder in ["", *os.listdir("/sys/fs/cgroup")] if os.path.isdir(path := f"/sys/fs/cgroup/{folder}{parent}/{container}")]


def test_a_start_that_fails_leaves_no_control_group(engine):
    """They are made before the rest is known to work."""
    holder = engine.berth("run", "-d", "--name", "holder", "-p", "127.0.0.1:18099:80", "busybox", "sleep", "1000").stdout.strip()
    assert control_groups(holder)
    for network in ["bridge", "none"]:
        wrong = ["-p", "127.0.0.1:18099:80"] if network == "bridge" else ["--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:1"]
        engine.berth("create", "--name", "late", "--network", network, *wrong, "busybox", "true")
        late = engine.inspect("late")["Id"]
        started = engine.berth("start", "late", check=False)
        assert started.returncode == 1
        assert control_groups(late) == [], started.stderr + engine.log()
        engine.berth("rm", "late")
    engine.berth("rm", "-f", "holder")
    assert control_groups(holder) == []


def test_cpu_limit_reaches_the_cgroup(engine):
    engine.berth("run", "-d", "--name", "slow", "--cpus", "0.5", "busybox", "sleep", "100")
    pid = engine.inspect("slow")["State"]["Pid"]
    lines = open(f"/proc/{pid}/cgroup").read().splitlines()
    found = False
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            folder = f"/sys/fs/cgroup/cpu{path}"
            assert open(folder + "/cpu.cfs_quota_us").read() == "50000\n"
            found = True
        elif controllers == "" and os.path.exists(f"/sys/fs/cgroup{path}/cpu.max"):
            assert open(f"/sys/fs/cgroup{path}/cpu.max").read() == "50000 100000\n"
            found = True
    assert found


def test_volumes(engine, tmp_path):
    (tmp_path / "file").write_text("from the host\n")
    assert inside(engine, "cat", "/data/file", flags=["-v", f"{tmp_path}:/data:ro"]) == "from the host\n"
    done = engine.berth("run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "touch", "/data/new", check=False)
    assert done.returncode == 1 and "Read-only" in done.stderr
    inside(engine, "sh", "-c", "echo kept > /v/x", flags=["-v", "keep:/v"])
    assert inside(engine, "cat", "/v/x", flags=["-v", "keep:/v"]) == "kept\n"
    engine.berth("volume", "rm", "keep")


@pytest.mark.parametrize("network, interfaces", [("none", {"lo"}), ("bridge", {"lo", "eth0"})])
def test_network_modes(engine, network, interfaces):
    output = inside(engine, "ls", "/sys/class/net", flags=["--network", network])
    assert set(output.split()) == interfaces


def test_host_network(engine):
    mine = os.readlink("/proc/self/ns/net")
    assert inside(engine, "readlink", "/proc/self/ns/net", flags=["--network", "host"]).strip() == mine


def test_containers_reach_each_other_and_udp_ports_are_published(engine):
    engine.berth("run", "-d", "--name", "server", "-p", "127.0.0.1::9000/udp", "busybox", "sh", "-c",
                 "echo here > /index.html; httpd -h / -p 80; exec udp-echo 9000")
    address = engine.inspect("server")["NetworkSettings"]["IPAddress"]
    fetch = f"for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://{address}/index.html && break; usleep 100000; done"
    assert inside(engine, "sh", "-c", fetch) == "here\n"
    port = int(engine.berth("port", "server", "9000/udp").stdout.strip().rsplit(":", 1)[1])
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)

        def echoed():
            client.sendto(b"ping", ("127.0.0.1", port))
            try:
                return client.recv(100) == b"ping"
            except OSError:
                return False
        wait_until("echo", echoed)


def test_events_and_restart_policy(engine):
    # What happened before the listener was heard is replayed.
    begin = f"{time.time():.6f}"
    listener = subprocess.Popen([str(engine.environment["PATH"].split(":")[0]) + "/berth", "events", "--format", "{{.Action}}",
                                 "--since", begin, "--filter", "container=again"], env=engine.environment, stdout=subprocess.PIPE, text=True)
    engine.berth("run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "false")
    seen = []
    while seen.count("die") < 3:
        seen.append(listener.stdout.readline().strip())
    listener.terminate()
    listener.wait()
    assert seen[0] == "create" and seen.count("start") == 3
    wait_until("end", lambda: engine.inspect("again")["State"]["Status"] == "exited")
    assert engine.inspect("again")["RestartCount"] == 2


def test_listings_look_like_dockers(engine):
    """The same columns, ports and fields from berth as from docker, both asked of this engine."""
    engine.berth("run", "-d", "--name", "shown", "-p", "127.0.0.1:18190:80", "-p", "18191:53/udp", "-p", "18192-18193:18192-18193",
                 "-v", "named:/data", "--expose", "99", "busybox", "sleep", "1000")
    fields = "ID Image Command Ports State Names Labels Networks Mounts LocalVolumes Size CreatedAt".split()
    for arguments in (["ps"], ["ps", "-as", "--no-trunc"], ["ps", "--format", "|".join("{{.%s}}" % field for field in fields)],
                      ["images"], ["images", "--digests"], ["port", "shown"]):
        mine, docker = (client(*arguments).stdout for client in (engine.berth, engine.docker))
        if arguments[0] == "port":  # an older docker (20.10) sorts as text
            mine, docker = ("\n".join(sorted(text.splitlines())) for text in (mine, docker))
        assert without_ages(mine) == without_ages(docker)
    engine.berth("rm", "-f", "shown")
    engine.berth("volume", "rm", "named")


def test_an_exec_that_has_said_something_has_a_pid(engine):
    """In the host's process table, as soon as its first output is there."""
    engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    for _ in range(50):
        made = engine.request("POST", "/containers/host/exec", {"Cmd": ["sh", "-c", "echo said; exec sleep 1000"], "AttachStdout": True})[1]["Id"]
        connection = UnixConnection(engine.socket)
        connection.request("POST", f"/exec/{made}/start", "{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.read(8 + len("said\n"))[8:] == b"said\n"
        state = engine.request("GET", f"/exec/{made}/json")[1]
        assert state["Running"] and os.path.exists(f"/proc/{state['Pid']}/exe") and state["Pid"] > 0, state
        connection.close()
        os.kill(state["Pid"], 9)


def test_what_removes_itself_is_gone_when_its_failed_start_is_told(engine):
    """Its name is free for the next try."""
    for _ in range(30):
        made = engine.request("POST", "/containers/create?name=again", {"Image": "busybox", "Cmd": ["absent"], "HostConfig": {"AutoRemove": True}})
        assert made[0] == 201, made
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(engine.socket))
            # The second request is there already when the first is answered.
            client.sendall(b"POST /containers/again/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
                           b"GET /containers/again/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answers = b"".join(iter(lambda: client.recv(65536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"404"] and b"executable file not found" in answers, answers
