"""What a container does to the network, and how little of it others notice: connections without end, and an egress limit
that a container with NET_ADMIN takes away."""
import json
import subprocess

import pytest

from c_programs import compile_static
from engine import wait_until

FLOOD = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
/* Opens UDP flows to an address, each from a port of its own, then waits. */
int main(int count, char **words) {
    struct rlimit files = {100000, 100000};
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7777)};
    inet_pton(AF_INET, words[1], &to.sin_addr);
    for (int i = 0; i < atoi(words[2]); i++) {
        int one = socket(AF_INET, SOCK_DGRAM, 0);
        if (one < 0 || connect(one, (void *)&to, sizeof to)) { perror("flow"); return 1; }
        send(one, "?", 1, 0);
    }
    puts("flooded");
    fflush(stdout);
    pause();
}
"""

SINK = """import socket, time
s = socket.create_server(('', 7778)); c, _ = s.accept(); b = time.monotonic(); n = 0
while d := c.recv(65536): n += len(d)
print(n, time.monotonic() - b)"""


def sh(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def flood(tmp_path_factory):
    """What `run` gets to flood with: flags, and the command."""
    program = compile_static(FLOOD, tmp_path_factory.mktemp("flood") / "flood")
    return ["-v", f"{program}:/flood:ro", "busybox", "/flood"]


@pytest.fixture(scope="module")
def answering():
    """A program on the host that answers at UDP port 7777."""
    code = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7777))\n"
            "while True:\n d, a = s.recvfrom(64); s.sendto(b'!', a)")
    program = subprocess.Popen(["python3", "-c", code])
    wait_until("answers", lambda: ":7777 " in sh("ss", "-lun"))
    yield
    program.kill()
    program.wait()


def tracked(address):
    """Connections that the kernel tracks for the container, in the test's network namespace."""
    with open("/proc/net/nf_conntrack") as table:
        return sum(f"src={address} " in line.split("dst=")[0] for line in table)


def test_a_container_that_floods_leaves_the_table_of_connections_to_others(engine, flood, answering):
    engine.berth("network", "create", "-o", "com.berth.connections=300", "few")
    try:
        gateway = json.loads(engine.berth("network", "inspect", "few").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
        engine.berth("run", "-d", "--name", "flooder", "--network", "few", *flood, gateway, "5000")
        wait_until("flood", lambda: "flooded" in engine.berth("logs", "flooder").stdout)
        address = engine.inspect("flooder")["NetworkSettings"]["Networks"]["few"]["IPAddress"]
        assert 200 <= tracked(address) <= 320
        # The neighbor's connections are its own, and so are those of a container without a bound.
        engine.berth("run", "-d", "--name", "neighbor", "--network", "few", *flood, gateway, "100")
        wait_until("flood", lambda: "flooded" in engine.berth("logs", "neighbor").stdout)
        address = engine.inspect("neighbor")["NetworkSettings"]["Networks"]["few"]["IPAddress"]
        assert tracked(address) >= 100
        free = "name=few,driver-opt=com.berth.connections=unlimited"
        engine.berth("run", "-d", "--name", "free", "--network", free, *flood, gateway, "1000")
        wait_until("flood", lambda: "flooded" in engine.berth("logs", "free").stdout)
        address = engine.inspect("free")["NetworkSettings"]["Networks"]["few"]["IPAddress"]
        assert tracked(address) >= 1000
        bad = engine.berth("run", "--rm", "--network", "name=few,driver-opt=com.berth.connections=many", "busybox", "true", check=False)
        assert bad.returncode == 125 and 'com.berth.connections: "many" is neither a number of connections nor "unlimited"' in bad.stderr
    finally:
        engine.berth("rm", "-f", "flooder", "neighbor", "free", check=False)
        engine.berth("network", "rm", "few", check=False)


def test_every_container_has_a_bound_that_outlives_the_engine(fresh_engine):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    address = engine.inspect("one")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    with open("/proc/sys/net/netfilter/nf_conntrack_max") as most:
        name = f"bounded4_{max(int(most.read()) // 16, 1024)}"

    def bounded():
        text = sh("nft", "list", "ruleset")
        return address in text[text.index(f"set {name} "):].split("}")[0]

    assert bounded()
    engine.kill()
    engine.start()
    assert bounded()
    sh("nft", "flush", "ruleset")
    wait_until("rules", lambda: "bounded4" in sh("nft", "list", "ruleset") and bounded())
    engine.berth("rm", "-f", "one")
    assert not bounded()


def test_a_container_with_net_admin_cannot_lift_its_egress_limit(fresh_engine):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "slow", "--cap-add", "NET_ADMIN", "--network",
                 "name=bridge,driver-opt=com.berth.rate.egress=16mbit", "busybox", "sleep", "1000")
    gateway = engine.inspect("slow")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]

    def send(kilobytes):
        receive = subprocess.Popen(["python3", "-c", SINK], stdout=subprocess.PIPE, text=True)
        wait_until("receiver", lambda: ":7778 " in sh("ss", "-ltn"))
        engine.berth("exec", "slow", "sh", "-c", f"dd if=/dev/zero bs=1000 count={kilobytes} 2>/dev/null | nc -w 5 {gateway} 7778")
        count, seconds = receive.communicate(timeout=60)[0].split()
        return int(count) / float(seconds)

    assert send(4000) < 2.6e6
    # As the container could: it is the administrator of its network.
    pid = str(engine.inspect("slow")["State"]["Pid"])
    assert "tbf" in sh("nsenter", "-t", pid, "-n", "tc", "qdisc", "show", "dev", "eth0")
    sh("nsenter", "-t", pid, "-n", "tc", "qdisc", "delete", "dev", "eth0", "root")
    # A second's worth comes at once, and the rate after it.
    assert send(8000) < 3.2e6
    engine.kill()
    engine.start()
    assert send(8000) < 3.2e6
    engine.berth("rm", "-f", "slow")
