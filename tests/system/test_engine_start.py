"""What an engine does that starts and that ends: containers in the order of their needs, monitors that it does not
understand, stops in parallel."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from engine import Engine, wait_until
from test_monitor_death import monitors


def end_all(engine):
    """As a machine that is switched off: nothing runs any more, /run is empty, and there are no control groups."""
    engine.kill()
    containers = os.listdir(engine.data / "containers")
    for pid in monitors(engine):
        with contextlib.suppress(ProcessLookupError):  # one whose processes were in another's pid namespace ends by itself
            os.kill(pid, signal.SIGKILL)
    wait_until("end of the monitors", lambda: not monitors(engine))
    for line in open("/proc/self/mounts").read().splitlines():
        place = line.split()[1]
        if place.startswith((str(engine.exec), str(engine.data))):
            subprocess.run(["umount", "-l", place], check=True)
    shutil.rmtree(engine.exec)
    for group in pathlib.Path("/sys/fs/cgroup").glob("**/" + os.environ["BERTH_TEST_CGROUP"].strip("/") + "/*"):
        if group.name in containers:
            wait_until("end of the group's processes", lambda path=group: not (path / "cgroup.procs").read_text())
            group.rmdir()


def ended(engine):
    engine.stop()


def namespace(engine, container, kind):
    return os.readlink(f"/proc/{engine.inspect(container)['State']['Pid']}/ns/{kind}")


@pytest.mark.parametrize("end", [end_all, ended], ids=["reboot", "shutdown"])
def test_containers_come_up_behind_those_that_they_need(fresh_engine, end):
    engine = fresh_engine
    needs = {
        "net": ["--network=container:base"], "ipc": ["--ipc=container:base"], "pid": ["--pid=container:base"],
        "netofnet": ["--network=container:net"], "volume": ["--volumes-from=netofnet"], "link": ["--link=volume:friend"],
        "both": ["--network=container:link", "--pid=container:netofnet"]}
    engine.berth("run", "-d", "--name", "base", "--restart=always", "--ipc=shareable", "-v", "/data", "busybox", "sleep", "1000")
    for name, flags in needs.items():
        engine.berth("run", "-d", "--name", name, "--restart=unless-stopped", *flags, "busybox", "sleep", "1000")
    engine.berth("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
    engine.berth("run", "-d", "--name", "stopped", "--restart=unless-stopped", "--network=container:base", "busybox", "sleep", "1000")
    engine.berth("stop", "-t", "0", "stopped")
    end(engine)
    engine.start()
    wait_until("start of all", lambda: all(engine.inspect(name)["State"]["Pid"] for name in ("base", *needs)))
    for one, other, kind in (("net", "base", "net"), ("netofnet", "base", "net"), ("ipc", "base", "ipc"), ("pid", "base", "pid"),
                             ("both", "link", "net"), ("both", "netofnet", "pid")):
        assert namespace(engine, one, kind) == namespace(engine, other, kind)
    assert engine.berth("exec", "link", "grep", "-c", "friend", "/etc/hosts").stdout == "1\n"
    for name in ("plain", "stopped"):
        assert not engine.inspect(name)["State"]["Running"]


class StrangeMonitor:
    """In the place of a container's monitor: one of a version that this engine does not understand."""

    def __init__(self, path, container):
        self.path, self.real = path, path.with_name("real.sock")
        path.rename(self.real)
        self.answer = self.status(container)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def status(container):
        text = container.encode()
        return (struct.pack("<I", 99) + struct.pack("<I", len(text)) + text + struct.pack("<Biq", 1, 1, 1) +
                struct.pack("<IiiBq", 0, 0, 0, 0, 0) + struct.pack("<I", 0) + struct.pack("<II", 99, 0) + b"and more")

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            number = struct.unpack("<IHHI", client.recv(12, socket.MSG_WAITALL))[3]
            client.sendall(struct.pack("<IHHI", len(self.answer), 67, 0, number) + self.answer)

    def leave(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.real.rename(self.path)


def test_a_container_whose_monitor_is_of_another_version_runs_on(fresh_engine):
    engine = fresh_engine
    container = engine.berth("run", "-d", "--name", "other", "busybox", "sh", "-c",
                             "trap 'exit 6' TERM; while :; do sleep 0.05; done").stdout.strip()
    pid = engine.inspect("other")["State"]["Pid"]
    engine.kill()
    strange = StrangeMonitor(next(engine.exec.glob("containers/*/monitor.sock")), container)
    engine.start()
    state = engine.inspect("other")["State"]
    assert state["Running"] and state["Pid"] == pid
    assert "speaks version 99 of the monitor protocol" in state["Error"]
    for command in (["stop", "other"], ["exec", "other", "true"], ["attach", "other"], ["pause", "other"], ["kill", "other"]):
        done = engine.berth(*command, check=False)
        assert done.returncode != 0 and "cannot be managed by this engine" in done.stderr, done
    os.kill(pid, 0)
    strange.leave()
    wait_until("monitor", lambda: not engine.inspect("other")["State"]["Error"])
    assert engine.berth("exec", "other", "echo", "well").stdout == "well\n"
    engine.berth("stop", "other")
    assert engine.inspect("other")["State"]["ExitCode"] == 6


def test_a_shutdown_stops_all_at_once_and_waits_no_longer_than_it_may(tmp_path, rootfs_tar):
    with Engine(tmp_path, "--shutdown-timeout=4") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        wait = "while :; do sleep 0.05; done"
        for number in range(8):
            engine.berth("run", "-d", "--name", f"slow{number}", "busybox", "sh", "-c", f"trap 'sleep 2; exit 5' TERM; echo up; {wait}")
        engine.berth("run", "-d", "--name", "deaf", "--stop-timeout", "600", "busybox", "sh", "-c", f"trap '' TERM; echo up; {wait}")
        names = [f"slow{number}" for number in range(8)] + ["deaf"]
        for name in names:
            wait_until("trap", lambda name=name: engine.berth("logs", name).stdout == "up\n")
        began = time.monotonic()
        engine.stop()
        assert time.monotonic() - began < 12  # one after the other it were 20
        engine.start()
        states = {name: engine.inspect(name)["State"] for name in names}
        assert not any(state["Running"] for state in states.values())
        assert {states[name]["ExitCode"] for name in names[:-1]} == {5}
        assert states["deaf"]["ExitCode"] == 137


@pytest.mark.parametrize("flags, gateways", [
    ((), ["the bridge's"]),
    (("--ipv6", "--fixed-cidr-v6=fd53::/64"), ["the bridge's", "fd53::1"]),
    (("--ipv6", "--fixed-cidr-v6=fd53::/64", "--host-gateway-ip=192.0.2.7"), ["192.0.2.7"]),
    (("--host-gateway-ip=2001:db8::7", "--host-gateway-ip=192.0.2.7"), ["2001:db8::7", "192.0.2.7"]),
])
def test_what_host_gateway_stands_for(tmp_path, rootfs_tar, flags, gateways):
    """In containers, with the host's network too, and in steps of builds."""
    with Engine(tmp_path, *flags) as engine:
        bridge = engine.request("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
        expected = "".join(f"{gateway}\tgate\n" for gateway in gateways).replace("the bridge's", bridge)
        engine.berth("import", str(rootfs_tar), "busybox:latest")
        (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN grep gate /etc/hosts > /seen\n")
        add = ("--add-host", "gate:host-gateway")
        for network in ("bridge", "none", "host"):
            assert engine.berth("run", "--rm", "--network", network, *add, "busybox", "grep", "gate", "/etc/hosts").stdout == expected
            engine.berth("build", "--no-cache", "-q", "--network", network, *add, "-t", "built", str(tmp_path))
            assert engine.berth("run", "--rm", "built", "cat", "/seen").stdout == expected
