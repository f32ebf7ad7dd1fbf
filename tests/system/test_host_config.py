"""Members of HostConfig and Config that no other file has for its subject: each does what it says. docs/host-config.md lists all."""
import json
import os
import pathlib
import socket

import pytest

from engine import wait_until

MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_containers_left(engine):
    yield
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", *left)


def create(engine, host=(), name="box", **config):
    config = {"Image": "busybox", "Cmd": ["sleep", "1000"], **config, "HostConfig": dict(host)}
    return engine.request("POST", f"/containers/create?name={name}", config)


def started(engine, host=(), **config):
    status, answer = create(engine, host, **config)
    assert status == 201, answer
    status, failure = engine.request("POST", "/containers/box/start")
    assert status == 204, failure
    return answer


def output_of(engine, script, host=(), **config):
    started(engine, host, Cmd=["sh", "-c", script], **config)
    engine.berth("wait", "box")
    done = engine.berth("logs", "box")
    return (done.stdout + done.stderr).replace("\r", "")


def group_file(engine, controller, version1, version2):
    """Text of a file of the container's control group."""
    pid = engine.inspect("box")["State"]["Pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return (pathlib.Path("/sys/fs/cgroup") / controller / path.lstrip("/") / version1).read_text().strip() if version1 else None
        if names == "" and (folder := pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")).joinpath("cgroup.controllers").exists():
            return (folder / version2).read_text().strip() if version2 else None
    pytest.skip(f"no controller {controller} here")


# What is asked for; controller, file of version 1 and its text, file of version 2 and its text.
LIMITS = [
    ({"CpuShares": 512}, "cpu", "cpu.shares", "512", "cpu.weight", "20"),
    ({"CpuPeriod": 50000, "CpuQuota": 25000}, "cpu", "cpu.cfs_period_us", "50000", "cpu.max", "25000 50000"),
    ({"CpuPeriod": 50000, "CpuQuota": 25000}, "cpu", "cpu.cfs_quota_us", "25000", "cpu.max", "25000 50000"),
    ({"NanoCpus": 250_000_000}, "cpu", "cpu.cfs_quota_us", "25000", "cpu.max", "25000 100000"),
    ({"CpusetCpus": "0"}, "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ({"CpusetMems": "0"}, "cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
    ({"Memory": 64 * MIB}, "memory", "memory.limit_in_bytes", str(64 * MIB), "memory.max", str(64 * MIB)),
    ({"Memory": 64 * MIB}, "memory", "memory.memsw.limit_in_bytes", str(128 * MIB), "memory.swap.max", str(64 * MIB)),
    ({"Memory": 64 * MIB, "MemorySwap": 80 * MIB}, "memory", "memory.memsw.limit_in_bytes", str(80 * MIB), "memory.swap.max", str(16 * MIB)),
    ({"MemoryReservation": 32 * MIB}, "memory", "memory.soft_limit_in_bytes", str(32 * MIB), "memory.low", str(32 * MIB)),
    ({"MemorySwappiness": 17}, "memory", "memory.swappiness", "17", None, None),
    ({"PidsLimit": 77}, "pids", "pids.max", "77", "pids.max", "77"),
]


@pytest.mark.parametrize("host,controller,version1,text1,version2,text2", LIMITS, ids=[f"{'-'.join(row[0])}-{row[2]}" for row in LIMITS])
def test_a_limit_is_set(engine, host, controller, version1, text1, version2, text2):
    answer = started(engine, host)
    found = group_file(engine, controller, version1, version2)
    if found is None:
        assert answer["Warnings"], "neither set nor warned of"
    else:
        assert found in (text1, text2)
        assert answer["Warnings"] == []
        shown = engine.inspect("box")["HostConfig"]
        assert {key: shown[key] for key in host} == host


def test_the_out_of_memory_killer_is_kept_away(engine):
    answer = started(engine, {"OomKillDisable": True, "Memory": 64 * MIB})
    found = group_file(engine, "memory", "memory.oom_control", None)
    if found is None:
        assert answer["Warnings"] == ["Your kernel does not support OomKillDisable. OomKillDisable discarded."]
        assert not engine.inspect("box")["HostConfig"]["OomKillDisable"]
    else:
        assert "oom_kill_disable 1" in found and engine.inspect("box")["HostConfig"]["OomKillDisable"] is True


def test_a_limit_is_changed_while_it_runs(engine):
    started(engine)
    status, answer = engine.request("POST", "/containers/box/update", {"CpuShares": 300, "PidsLimit": 55, "Memory": 64 * MIB, "MemorySwap": -1})
    assert (status, answer) == (200, {"Warnings": None})
    assert group_file(engine, "pids", "pids.max", "pids.max") == "55"
    assert group_file(engine, "memory", "memory.limit_in_bytes", "memory.max") == str(64 * MIB)


@pytest.mark.parametrize("nothing", [0, -1])
def test_a_limit_of_processes_is_taken_away_while_it_runs(engine, nothing):
    started(engine, {"PidsLimit": 44})
    assert engine.request("POST", "/containers/box/update", {"PidsLimit": nothing}) == (200, {"Warnings": None})
    assert group_file(engine, "pids", "pids.max", "pids.max") == "max"
    assert engine.inspect("box")["HostConfig"]["PidsLimit"] == 0
    engine.berth("restart", "-t", "0", "box")
    assert group_file(engine, "pids", "pids.max", "pids.max") == "max"


@pytest.mark.parametrize("interface", ["all", "lo"])
def test_names_of_ipv6_go_with_it(engine, interface):
    """As dockerd writes the hosts file: without ::1 and what else has no meaning then."""
    host = {"Sysctls": {f"net.ipv6.conf.{interface}.disable_ipv6": "1"}, "ExtraHosts": ["four:1.2.3.4", "six:fd00::1"]}
    lines = output_of(engine, "cat /etc/hosts", host, Hostname="box").splitlines()
    assert lines[:2] == ["127.0.0.1\tlocalhost", "1.2.3.4\tfour"] and len(lines) == 3 and lines[2].endswith("\tbox"), lines


def test_names_of_ipv6_stay_where_it_is_on(engine):
    lines = output_of(engine, "cat /etc/hosts", {"Sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"}}).splitlines()
    assert "::1\tlocalhost ip6-localhost ip6-loopback" in lines


def test_what_the_kernel_refuses_a_running_container_is_the_clients_mistake(engine):
    identity = started(engine)["Id"]
    asked = {"PidsLimit": 1 << 62}
    if group_file(engine, "cpu", "cpu.rt_runtime_us", None) == "0":  # its parent has none to give
        asked = {"CpuRealtimeRuntime": 95000}
    status, answer = engine.request("POST", "/containers/box/update", asked)
    assert status == 400, answer
    assert answer["message"].startswith(f"Cannot update container {identity}: {next(iter(asked))}: write ")
    assert answer["message"].endswith(": invalid argument")
    assert engine.inspect("box")["HostConfig"][next(iter(asked))] in (0, None)


# What a container has, an update that does not go with it, and what dockerd 28.5 says.
CONFLICTS = [
    ({"CpuPeriod": 50000}, {"NanoCpus": 500_000_000}, "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"),
    ({"CpuQuota": 50000}, {"NanoCpus": 500_000_000}, "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"),
    ({"NanoCpus": 500_000_000}, {"CpuPeriod": 50000}, "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"),
    ({"NanoCpus": 500_000_000}, {"CpuQuota": 50000}, "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"),
    ({"Memory": 64 * MIB}, {"Memory": 200 * MIB}, "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"),
    ({"AutoRemove": True}, {"RestartPolicy": {"Name": "always"}}, "Restart policy cannot be updated because AutoRemove is enabled for the container"),
]


@pytest.mark.parametrize("host,update,words", CONFLICTS, ids=["-".join([*row[0], *row[1]]) for row in CONFLICTS])
def test_an_update_that_conflicts_is_refused_in_dockers_words(engine, host, update, words):
    status, answer = create(engine, host)
    assert status == 201, answer
    before = engine.inspect("box")["HostConfig"]
    assert engine.request("POST", "/containers/box/update", update) == (
        409, {"message": f"Cannot update container {answer['Id']}: {words}"})
    assert engine.inspect("box")["HostConfig"] == before


def test_an_update_of_both_or_to_no_policy_is_none(engine):
    create(engine, {"Memory": 64 * MIB, "AutoRemove": True})
    assert engine.request("POST", "/containers/box/update", {
        "Memory": 200 * MIB, "MemorySwap": 300 * MIB, "RestartPolicy": {"Name": "no"}}) == (200, {"Warnings": None})


def test_what_an_update_is_warned_of_is_printed(engine):
    started(engine, {"OomKillDisable": True})
    warned = engine.request("POST", "/containers/box/update", {"PidsLimit": 55})[1]["Warnings"]
    assert warned or not engine.inspect("box")["HostConfig"]["OomKillDisable"]
    assert engine.berth("update", "--pids-limit", "56", "box").stderr == "".join(f"WARNING: {text}\n" for text in warned or [])


# What is asked for (HostConfig, Config), what is run, what it prints.
SEEN = {
    "OomScoreAdj": ({"OomScoreAdj": 123}, {}, "cat /proc/self/oom_score_adj", "123\n"),
    "GroupAdd": ({"GroupAdd": ["extra", "3000"]}, {"User": "guest"}, "id -G | tr ' ' '\\n' | sort -n", "1000\n2000\n3000\n"),
    "Ulimits": ({"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}]}, {}, "ulimit -n; ulimit -Hn", "100\n200\n"),
    "ShmSize": ({"ShmSize": 8 * MIB}, {}, "stat -f -c '%b %S' /dev/shm", "2048 4096\n"),
    "Sysctls": ({"Sysctls": {"net.core.somaxconn": "99", "kernel.shmmni": "77"}}, {},
                "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmni", "99\n77\n"),
    "Sysctls with slashes": ({"Sysctls": {"net/core/somaxconn": "98", "kernel/shmmni": "76"}}, {},
                             "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmni", "98\n76\n"),
    "Hostname": ({}, {"Hostname": "me", "Domainname": "example.org"}, "hostname; cat /proc/sys/kernel/domainname", "me\nexample.org\n"),
    "Devices": ({"Devices": [{"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}]}, {},
                "(exec 3< /dev/mine) && echo read; (exec 3> /dev/mine) 2> /dev/null || echo refused", "read\nrefused\n"),
    "DeviceCgroupRules": ({"DeviceCgroupRules": ["c 10:237 r"]}, {},
                          "mknod /own c 10 237; (exec 3< /own) && echo read; (exec 3> /own) 2> /dev/null || echo refused", "read\nrefused\n"),
    "no DeviceCgroupRules": ({}, {}, "mknod /own c 10 237; (exec 3< /own) 2> /dev/null || echo refused", "refused\n"),
    "MaskedPaths": ({"MaskedPaths": ["/proc/uptime"]}, {}, "cat /proc/uptime | wc -c; [ -n \"$(cat /proc/version)\" ] && echo there", "0\nthere\n"),
    "ReadonlyPaths": ({"ReadonlyPaths": ["/etc"]}, {}, "(touch /etc/x) 2> /dev/null || echo refused; touch /tmp/x; "
                      "echo 77 > /proc/sys/net/core/somaxconn; cat /proc/sys/net/core/somaxconn", "refused\n77\n"),
    "ExtraHosts": ({"ExtraHosts": ["a.example:192.0.2.7", "b.example=2001:db8::7"]}, {}, "grep example /etc/hosts | tr '\\t' ' '",
                   "192.0.2.7 a.example\n2001:db8::7 b.example\n"),
    "ReadonlyRootfs": ({"ReadonlyRootfs": True, "Tmpfs": {"/t": "size=1m"}}, {}, "(touch /x) 2> /dev/null || echo refused; touch /t/x && echo made", "refused\nmade\n"),
    "CapDrop": ({"CapDrop": ["ALL"], "CapAdd": ["CAP_CHOWN"]}, {}, "grep CapEff /proc/self/status | tr '\\t' ' '", "CapEff: 0000000000000001\n"),
    "NoNewPrivileges": ({"SecurityOpt": ["no-new-privileges"]}, {}, "grep NoNewPrivs /proc/self/status | tr '\\t' ' '", "NoNewPrivs: 1\n"),
    "NetworkDisabled": ({}, {"NetworkDisabled": True}, "ls /sys/class/net", "lo\n"),
    "IpcMode none": ({"IpcMode": "none"}, {}, "grep -c /dev/shm /proc/mounts", "0\n"),
    "ConsoleSize": ({"ConsoleSize": [40, 100]}, {"Tty": True}, "stty size", "40 100\n"),
    "Env": ({}, {"Env": ["A=b", "EMPTY=", "PATH=/bin:/own"]}, "echo $A-$EMPTY-$PATH", "b--/bin:/own\n"),
    "Entrypoint": ({}, {"Entrypoint": ["echo", "first"], "Cmd": ["second"]}, None, "first second\n"),
    "WorkingDir": ({}, {"WorkingDir": "/made/for/it/"}, "pwd", "/made/for/it\n"),
    "User": ({}, {"User": "guest:extra"}, "id -u; id -g", "1000\n2000\n"),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_container_sees_it(engine, name):
    host, config, script, wanted = SEEN[name]
    if script is None:
        started(engine, host, **config)
        engine.berth("wait", "box")
        assert engine.berth("logs", "box").stdout == wanted
    else:
        assert output_of(engine, script, host, **config) == wanted
    shown = engine.inspect("box")
    assert {key: shown["HostConfig"][key] for key in host} == host


def test_the_hosts_name_and_processes(engine):
    assert output_of(engine, "hostname; ls -d /proc/[0-9]* | wc -l", {"UTSMode": "host", "PidMode": "host"}).split("\n")[0] == socket.gethostname()


def test_annotations_reach_the_runtime(engine):
    started(engine, {"Annotations": {"com.example/key": "value"}})
    shown = engine.inspect("box")
    bundle = engine.exec / "containers" / shown["Id"] / "config.json"
    assert json.loads(bundle.read_text())["annotations"]["com.example/key"] == "value"
    assert shown["HostConfig"]["Annotations"] == {"com.example/key": "value"}


def test_a_parent_of_control_groups(engine):
    parent = os.environ["BERTH_TEST_CGROUP"] + "/own"
    started(engine, {"CgroupParent": parent})
    pid = engine.inspect("box")["State"]["Pid"]
    assert f"{parent}/{engine.inspect('box')['Id']}" in pathlib.Path(f"/proc/{pid}/cgroup").read_text()


def test_a_stop_by_the_containers_own_signal_and_time(engine):
    def with_trap(what, **config):
        started(engine, Cmd=["sh", "-c", f"trap {what}; echo ready; while :; do usleep 20000; done"], **config)
        wait_until("its trap", lambda: engine.berth("logs", "box").stdout == "ready\n")

    with_trap("'exit 7' USR1", StopSignal="SIGUSR1")
    engine.berth("stop", "box")
    assert engine.inspect("box")["State"]["ExitCode"] == 7
    engine.berth("rm", "box")
    with_trap("'' TERM", StopTimeout=0)
    engine.run("berth", "stop", "box", timeout=8)  # ten seconds without
    assert engine.inspect("box")["State"]["ExitCode"] == 137


def test_what_windows_has_is_told_apart(engine):
    status, answer = create(engine, {"CpuPercent": 50, "CpuCount": 2})
    assert status == 201 and answer["Warnings"] == [
        "linux does not support CPU percent. Percent discarded.", "linux does not support CPU count. Count discarded."]
    assert (engine.inspect("box")["HostConfig"]["CpuPercent"], engine.inspect("box")["HostConfig"]["CpuCount"]) == (0, 0)
    for member, what in (("IOMaximumIOps", "IOPs"), ("IOMaximumBandwidth", "bandwidth")):
        assert create(engine, {member: 1}, name="other") == (
            400, {"message": f"invalid option: QoS maximum {what} configuration is not supported on linux"})
    assert create(engine, {"Isolation": "hyperv"}, name="other")[0] == 400


def test_ports_in_the_hosts_network_are_warned_of(engine):
    status, answer = create(engine, {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    assert status == 201 and answer["Warnings"] == ["Published ports are discarded when using host network mode"]


def test_a_runtime_that_is_not_there(engine):
    assert create(engine, {"Runtime": "nosuch"}) == (400, {"message": "unknown or invalid runtime name: nosuch"})
    assert create(engine, {"Runtime": "io.containerd.runc.v2"})[0] == 201


@pytest.mark.parametrize("member", ["NetworkMode", "PidMode", "IpcMode"])
def test_a_container_that_is_joined_may_be_renamed(engine, member):
    engine.berth("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000")
    status, answer = create(engine, {member: "container:donor"})
    assert status == 201, answer
    assert engine.inspect("box")["HostConfig"][member] == "container:" + engine.inspect("donor")["Id"]
    engine.berth("rename", "donor", "renamed")
    assert engine.request("POST", "/containers/box/start")[0] == 204
    kind = {"NetworkMode": "net", "PidMode": "pid", "IpcMode": "ipc"}[member]
    inside = [os.readlink(f"/proc/{engine.inspect(name)['State']['Pid']}/ns/{kind}") for name in ("renamed", "box")]
    assert inside[0] == inside[1]


def test_flags_of_the_command_line(engine):
    engine.berth("create", "--name", "box", "--annotation", "a=b", "--device-cgroup-rule", "c 10:237 r", "--memory-swappiness", "17",
                 "--blkio-weight", "0", "--health-cmd", "true", "--health-start-interval", "2s", "busybox")
    shown = engine.inspect("box")
    assert shown["HostConfig"]["Annotations"] == {"a": "b"} and shown["HostConfig"]["DeviceCgroupRules"] == ["c 10:237 r"]
    assert shown["Config"]["Healthcheck"]["StartInterval"] == 2_000_000_000
