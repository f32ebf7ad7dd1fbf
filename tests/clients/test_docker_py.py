"""docker-py's containers: run, exec, streams, statistics, events, archives, health, and its low-level interface."""
import contextlib
import io
import tarfile
import time

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit
from docker.utils.socket import consume_socket_output, demux_adaptor, frames_iter
from engine import wait_until

SECOND = 10**9


@pytest.fixture(scope="module")
def client(engine):
    with contextlib.closing(docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)) as made:
        yield made


@pytest.fixture
def host(client):
    """A container that stays until it is told to end."""
    return client.containers.run("busybox", ["cat"], name="host", stdin_open=True, detach=True, init=True)


def test_run_returns_the_output_and_raises_the_exit_code(client):
    script = "echo $GREETING from $(hostname); echo aside >&2; exit ${CODE:-0}"
    said = client.containers.run("busybox", ["sh", "-c", script], environment={"GREETING": "hello"}, hostname="box", remove=True)
    assert said == b"hello from box\n"
    with pytest.raises(ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", script], environment=["CODE=7"], remove=True, stderr=True)
    assert (failed.value.exit_status, failed.value.stderr) == (7, b"aside\n")
    assert client.containers.list(all=True) == []
    with pytest.raises(ImageNotFound):
        client.images.get("absent")
    with pytest.raises(NotFound, match="No such container: absent"):
        client.containers.get("absent")
    with pytest.raises(APIError, match="executable file not found"):
        client.containers.run("busybox", ["absent"])


def test_every_option_reaches_the_process(client, tmp_path):
    (tmp_path / "given").write_text("bound\n")
    client.volumes.create("kept")
    container = client.containers.create(
        "busybox", ["sh", "-c", "id -u; pwd; ulimit -n; cat /proc/self/oom_score_adj /given /etc/hosts; wc -c </dev/shm/x; touch /kept/x /small/x;"
                    "touch /x 2>/dev/null || echo read-only; grep CapEff /proc/self/status"],
        user="1000", working_dir="/tmp", ulimits=[Ulimit(name="nofile", soft=100, hard=200)], oom_score_adj=500, mem_limit="64m", nano_cpus=5 * 10**8,
        mounts=[Mount("/given", str(tmp_path / "given"), type="bind", read_only=True), Mount("/kept", "kept")], pids_limit=50,
        tmpfs={"/small": "size=1m,mode=1777", "/dev/shm": ""}, read_only=True, cap_drop=["ALL"], extra_hosts={"other": "10.1.2.3"},
        labels={"purpose": "test"}, log_config=LogConfig(type="json-file", config={"max-size": "1m"}), shm_size="8m",
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 0}, stop_signal="SIGUSR1", network_mode="bridge")
    container.start()
    container.wait()
    said = container.logs(stderr=False).decode()
    for line in ("1000\n", "/tmp\n", "100\n", "500\n", "bound\n", "10.1.2.3\tother\n", "read-only\n", "CapEff:\t0000000000000000\n"):
        assert line in said, said
    container.reload()
    config, given = container.attrs["Config"], container.attrs["HostConfig"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"], container.labels) == ("1000", "/tmp", "SIGUSR1", {"purpose": "test"})
    assert (given["Memory"], given["NanoCpus"], given["PidsLimit"], given["ShmSize"]) == (64 << 20, 5 * 10**8, 50, 8 << 20)
    assert given["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}
    assert client.containers.list(all=True, filters={"label": "purpose=test", "status": "exited"}) == [container]
    container.remove(v=True)


def test_logs(client):
    container = client.containers.run("busybox", ["sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; cat; echo end"],
                                      stdin_open=True, detach=True)
    lines = container.logs(stream=True, follow=True, stderr=False)
    errors = container.logs(stream=True, follow=True, stdout=False)
    assert [next(lines) for _ in range(3)] == [b"out 1\n", b"out 2\n", b"out 3\n"]
    assert [next(errors) for _ in range(3)] == [b"err 1\n", b"err 2\n", b"err 3\n"]
    container.kill()
    assert list(lines) == [] == list(errors)
    assert container.logs(stdout=False) == b"err 1\nerr 2\nerr 3\n"
    stamp, word = container.logs(stdout=False, timestamps=True).splitlines()[-1].split(b" ", 1)
    assert word == b"err 3" and stamp.endswith(b"Z")
    assert len(container.logs(tail=2).splitlines()) == 2
    assert container.logs(since=time.time() + 3600) == b"" == container.logs(until=time.time() - 3600)


def test_exec(client, host):
    both = host.exec_run(["sh", "-c", "pwd; id -un; echo $WORD; echo err >&2; exit 3"], demux=True, workdir="/tmp", user="guest",
                         environment={"WORD": "given"})
    assert both == (3, (b"/tmp\nguest\ngiven\n", b"err\n"))
    parts = host.exec_run(["sh", "-c", "echo one; echo two >&2"], stream=True, demux=True).output
    assert sorted(parts, key=str) == sorted([(b"one\n", None), (None, b"two\n")], key=str)
    assert host.exec_run("tty", tty=True) == (0, b"/dev/pts/0\r\n")
    assert host.exec_run(["sh", "-c", "touch /detached"], detach=True) .output == ""
    with pytest.raises(APIError, match="container .* is not running"):
        host.kill()
        host.exec_run("true")


def test_exec_socket_takes_input(client, host):
    made = client.api.exec_create(host.id, ["sh", "-c", "read line; echo got $line; echo aside >&2; exit 5"], stdin=True)
    socket = client.api.exec_start(made["Id"], socket=True)
    assert client.api.exec_inspect(made["Id"])["Running"] is True
    socket._sock.sendall(b"a line\n")
    answer = consume_socket_output((demux_adaptor(*frame) for frame in frames_iter(socket, tty=False)), demux=True)
    assert answer == (b"got a line\n", b"aside\n")
    state = client.api.exec_inspect(made["Id"])
    assert (state["ExitCode"], state["Running"], state["ProcessConfig"]["entrypoint"], state["ContainerID"]) == (5, False, "sh", host.id)
    socket.close()


def test_attach_socket(client):
    container = client.containers.create("busybox", ["sh", "-c", "cat; echo end >&2"], stdin_open=True)
    client.api.start(container.id)
    socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    frames = frames_iter(socket, tty=False)
    socket._sock.sendall(b"first\n")
    assert next(frames) == (1, b"first\n")
    socket._sock.sendall(b"second\n")
    assert next(frames) == (1, b"second\n")
    container.kill("KILL")
    assert list(frames) == []
    assert container.wait() == {"StatusCode": 137}
    assert container.logs() == b"first\nsecond\n"
    socket.close()


def test_attach_stream_with_a_terminal(client):
    container = client.containers.create("busybox", ["sh", "-c", "tty; stty size; read x; stty size"], tty=True, stdin_open=True)
    socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    text = b""
    while text.count(b"\n") < 2:
        text += socket.read(4096)
    assert text.startswith(b"/dev/pts/0\r\n")
    container.resize(33, 111)
    socket._sock.sendall(b"\n")
    assert b"".join(data for _, data in frames_iter(socket, tty=True)).endswith(b"33 111\r\n")
    socket.close()


def test_stats(client):
    busy = client.containers.run("busybox", ["sh", "-c", "while :; do :; done"], detach=True, mem_limit="32m", nano_cpus=2 * 10**8)
    stream = busy.stats(decode=True)
    first, second = next(stream), next(stream)
    used = [one["cpu_stats"]["cpu_usage"]["total_usage"] for one in (first, second)]
    assert used[0] < used[1] == second["cpu_stats"]["cpu_usage"]["total_usage"] and second["precpu_stats"]["cpu_usage"]["total_usage"] == used[0]
    assert second["preread"] == first["read"] < second["read"]
    once = busy.stats(stream=False)
    assert once["memory_stats"]["limit"] == 32 << 20 and 0 < once["memory_stats"]["usage"] < 32 << 20
    assert once["pids_stats"]["current"] == 1 and once["name"] == "/" + busy.name and once["id"] == busy.id
    assert set(once["networks"]) == {"eth0"} and once["cpu_stats"]["online_cpus"] >= 1
    assert once["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert "read" in client.api.stats(busy.id, stream=False, one_shot=True)


def test_events(client):
    begin = time.time()
    live = client.events(decode=True, filters={"type": "container", "label": "watched"})
    container = client.containers.run("busybox", ["sh", "-c", "exit 4"], name="seen", labels={"watched": "yes"}, detach=True)
    container.wait()
    container.rename("renamed")
    container.remove()
    seen = []
    for event in live:
        seen.append(event)
        if event["Action"] == "destroy":
            break
    live.close()
    assert [event["Action"] for event in seen] == ["create", "start", "die", "rename", "destroy"]
    died = seen[2]
    assert died["Actor"]["Attributes"]["exitCode"] == "4" and died["Actor"]["Attributes"]["image"] == "busybox"
    assert died["Actor"]["ID"] == container.id and died["scope"] == "local"
    assert seen[3]["Actor"]["Attributes"] | {"oldName": "/seen", "name": "renamed"} == seen[3]["Actor"]["Attributes"]
    past = client.events(decode=True, since=begin, until=time.time() + 1, filters={"container": container.id, "event": ["start", "die"]})
    assert [event["Action"] for event in past] == ["start", "die"]


def archive(**files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, (mode, data) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime, entry.uid = len(data), mode, 1_500_000_000, 1000
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def test_archives(client, host):
    large = bytes(range(256)) * 20_000
    assert host.put_archive("/home", archive(program=(0o755, b"#!/bin/sh\necho ran\n"), large=(0o640, large))) is True
    assert host.exec_run("/home/program").output == b"ran\n"
    stream, stat = host.get_archive("/home")
    assert (stat["name"], stat["linkTarget"]) == ("home", "")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert sorted(tar.getnames()) == ["home", "home/large", "home/program"]
        entry = tar.getmember("home/large")
        assert (entry.size, entry.mode, entry.mtime, entry.uid) == (len(large), 0o640, 1_500_000_000, 1000)
        assert tar.extractfile(entry).read() == large
    stream, stat = host.get_archive("/home/program", encode_stream=True)
    assert stat["size"] == 19 and stat["mode"] == 0o755
    stream.close()
    with pytest.raises(NotFound, match="Could not find the file /absent in container"):
        host.get_archive("/absent")
    with pytest.raises(NotFound):
        host.put_archive("/absent", archive(file=(0o644, b"")))


def test_health(client):
    container = client.containers.run(
        "busybox", ["sleep", "1000"], detach=True, init=True,
        healthcheck=Healthcheck(test=["CMD-SHELL", "echo looked; test -e /ready"], interval=SECOND // 10, retries=2, timeout=5 * SECOND))
    changes = client.events(decode=True, since=int(time.time()) - 5, filters={"event": "health_status", "container": container.id})
    assert next(changes)["Action"] == "health_status: unhealthy"
    container.exec_run("touch /ready")
    assert next(changes)["Action"] == "health_status: healthy"
    changes.close()
    container.reload()
    health = container.attrs["State"]["Health"]
    assert container.health == "healthy" and health["FailingStreak"] == 0
    assert health["Log"][-1]["ExitCode"] == 0 and health["Log"][-1]["Output"] == "looked\n"


def test_life(client, host):
    host.pause()
    host.reload()
    assert (host.status, host.attrs["State"]["Paused"]) == ("paused", True)
    host.unpause()
    host.exec_run(["sleep", "1000"], detach=True)
    # The exec is answered before its program has taken the place of what made the process.
    wait_until("sleep", lambda: {row[1] for row in host.top(ps_args="-eo pid,comm")["Processes"]} >= {"cat", "sleep"})
    assert host.top(ps_args="-eo pid,comm")["Titles"] == ["PID", "COMMAND"]
    host.update(mem_limit="48m", memswap_limit="96m", cpu_shares=512, restart_policy={"Name": "always"})
    host.reload()
    assert [host.attrs["HostConfig"][name] for name in ("Memory", "MemorySwap", "CpuShares")] == [48 << 20, 96 << 20, 512]
    host.restart(timeout=0)
    host.reload()
    assert host.status == "running" and host.attrs["RestartCount"] == 0
    host.exec_run(["sh", "-c", "echo new > /new; rm /etc/group"])
    changes = {change["Path"]: change["Kind"] for change in host.diff()}
    assert (changes["/etc"], changes["/etc/group"], changes["/new"]) == (0, 2, 1) and "/home" not in changes
    with tarfile.open(fileobj=io.BytesIO(b"".join(host.export()))) as tar:
        assert tar.extractfile("new").read() == b"new\n"
    image = host.commit("committed", "v1", message="why", author="who", changes=["ENV WORD=set"], conf={"Labels": {"a": "b"}})
    assert client.containers.run("committed:v1", ["sh", "-c", "cat /new; echo $WORD"], remove=True) == b"new\nset\n"
    assert image.attrs["Author"] == "who" and image.history()[0]["Comment"] == "why"
    client.images.remove("committed:v1")
    host.stop(timeout=1)
    assert host.wait(condition="not-running")["StatusCode"] in (137, 143)
    assert client.containers.prune()["ContainersDeleted"] == [host.id]


def test_low_level(client, engine):
    low = docker.APIClient(base_url=f"unix://{engine.socket}", version="1.41")
    settings = low.create_host_config(port_bindings={9000: ("127.0.0.1",), "53/udp": None}, binds=["/proc/version:/version:ro"], init=True,
                                      dns=["10.9.9.9"], sysctls={"net.ipv4.ip_unprivileged_port_start": "0"}, links=None)
    made = low.create_container("busybox", "httpd -f -p 9000 -h /proc", ports=[9000, (53, "udp")], host_config=settings, name="low")
    assert made["Warnings"] in (None, []) and len(made["Id"]) == 64
    low.start("low")
    bound = low.port("low", 9000)
    assert len(bound) == 1 and bound[0]["HostIp"] == "127.0.0.1" and int(low.port("low", "53/udp")[0]["HostPort"]) > 0
    assert low.inspect_container("low")["Config"]["Cmd"] == ["httpd", "-f", "-p", "9000", "-h", "/proc"]
    assert low.containers(filters={"name": "low"}, size=True)[0]["SizeRootFs"] > 0
    assert low.version()["ApiVersion"] == client.version()["ApiVersion"] and low.info()["ContainersRunning"] == 1
    assert low.ping() is True and low.df()["Containers"][0]["Id"] == made["Id"]
    with pytest.raises(APIError) as conflict:
        low.create_container("busybox", name="low")
    assert conflict.value.status_code == 409 and "already in use by container" in conflict.value.explanation
    low.remove_container("low", force=True)
    low.close()
