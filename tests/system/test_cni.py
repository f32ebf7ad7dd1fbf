"""Networks of CNI plugins: Debian's containernetworking-plugins, and scripts that do what they should not."""
import json
import pathlib
import signal
import subprocess

import pytest

from engine import Engine, docker_client, wait_until

IDLE = ("busybox", "sleep", "3600")
SERVER = ("busybox", "sh", "-c", "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 80 -h /www")
PLUGINS = "/usr/lib/cni"


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


@pytest.fixture
def cni(tmp_path, rootfs_tar):
    """An engine whose folders of plugins and configurations are the test's own."""
    for folder in ("net.d", "plugins"):
        (tmp_path / folder).mkdir()
    flags = [f"--cni-config-dir={tmp_path}/net.d", f"--cni-plugin-dir={tmp_path}/plugins", f"--cni-plugin-dir={PLUGINS}"]
    with Engine(tmp_path, *flags, "--cni-timeout=20s") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield engine
        if engine.berth("ps", "-aq", check=False).stdout.split():
            engine.berth("rm", "-f", *engine.berth("ps", "-aq").stdout.split())


def ipam(engine, subnet):
    return {"type": "host-local", "dataDir": f"{engine.folder}/ipam", "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}]}


def configure(engine, name, *plugins, version="1.0.0"):
    text = json.dumps({"cniVersion": version, "name": name, "plugins": plugins})
    (engine.folder / "net.d" / f"10-{name}.conflist").write_text(text)
    return text


def bridge_network(engine):
    configure(engine, "pods", {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True,
        "capabilities": {"ips": True, "mac": True}, "dns": {"nameservers": ["10.88.0.53"], "search": ["corp.test"]},
        "ipam": ipam(engine, "10.88.0.0/16")},
        {"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "firewall"})
    engine.docker("network", "create", "-d", "cni", "pods")


def script(engine, name, text):
    path = engine.folder / "plugins" / name
    path.write_text(f"#!/bin/sh\nhome={engine.folder}\n{text}\n")
    path.chmod(0o755)


def allocations(engine, name="pods"):
    folder = engine.folder / "ipam" / name
    return sorted(entry.name for entry in folder.iterdir() if entry.name[0].isdigit()) if folder.exists() else []


def attachments(engine):
    return sorted(path.name for path in pathlib.Path(engine.data, "cni").glob("*.json"))


def settings(engine, container, network="pods"):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]


def reaches(engine, container, address):
    return engine.docker("exec", container, "ping", "-c", "1", "-W", "3", address, check=False).returncode == 0


@pytest.fixture
def neighbor():
    """Another host on the engine's network: 10.99.0.2, in a network namespace "neighbor"."""
    sh("ip", "netns", "add", "neighbor")
    sh("ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", "neighbor")
    for words in ("link set out0 up", "address add 10.99.0.1/24 dev out0", "-n neighbor link set eth0 up",
                  "-n neighbor link set lo up", "-n neighbor address add 10.99.0.2/24 dev eth0"):
        sh("ip", *words.split())
    yield "neighbor"
    sh("ip", "link", "delete", "out0")
    sh("ip", "netns", "delete", "neighbor")


def fetch(port, *prefix):
    return sh(*prefix, "curl", "-s", "--noproxy", "*", "-m", "3", f"http://10.99.0.1:{port}/", check=False).stdout


def test_containers_meet_and_publish_ports(cni, neighbor):
    bridge_network(cni)
    shown = cni.request("GET", "/networks/pods")[1]
    assert shown["Driver"] == "cni" and not shown["IPAM"]["Config"]
    cni.docker("run", "-d", "--name", "web", "--network", "pods", "-p", "8080:80", *SERVER)
    cni.docker("run", "-d", "--name", "two", "--network", "pods", "--ip", "10.88.0.77", "--mac-address", "02:00:00:00:00:77", *IDLE)
    web, two = settings(cni, "web"), settings(cni, "two")
    assert (web["IPAddress"], web["IPPrefixLen"], web["Gateway"]) == ("10.88.0.2", 16, "10.88.0.1")
    assert (two["IPAddress"], two["MacAddress"]) == ("10.88.0.77", "02:00:00:00:00:77")
    assert "02:00:00:00:00:77" in cni.docker("exec", "two", "ip", "link").stdout
    assert reaches(cni, "two", "10.88.0.2") and reaches(cni, "two", "10.99.0.2")
    assert reaches(cni, "two", "web"), "by its name"
    assert "search corp.test" in cni.docker("exec", "two", "cat", "/etc/resolv.conf").stdout
    assert wait_until("answer", lambda: fetch(8080, "ip", "netns", "exec", "neighbor")) == "hello\n"
    assert cni.docker("port", "web").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8080"
    assert cni.request("GET", "/networks/pods")[1]["Containers"][cni.inspect("two")["Id"]]["IPv4Address"] == "10.88.0.77/16"
    assert allocations(cni) == ["10.88.0.2", "10.88.0.77"] and len(attachments(cni)) == 2
    refused = cni.docker("network", "rm", "pods", check=False)
    assert refused.returncode != 0 and "active endpoints" in refused.stderr
    cni.docker("rm", "-f", "web", "two")
    assert not allocations(cni) and not attachments(cni)
    assert not sh("ip", "link", "show", "master", "cni0").stdout and "8080" not in sh("nft", "list", "ruleset").stdout
    cni.docker("network", "rm", "pods")


def test_a_running_container_joins_and_leaves(cni, neighbor):
    bridge_network(cni)
    cni.docker("run", "-d", "--name", "late", *SERVER)
    before = cni.docker("exec", "late", "ip", "route").stdout
    cni.docker("network", "connect", "pods", "late")
    assert settings(cni, "late")["IPAddress"] == "10.88.0.2"
    assert "10.88.0.2" in cni.docker("exec", "late", "ip", "address", "show", "eth1").stdout
    routes = cni.docker("exec", "late", "ip", "route").stdout
    assert routes.count("default") == 1 and before.splitlines()[0] in routes, "bridge comes first by name"
    # Without the other network it is the way out, and has the ports.
    cni.docker("network", "disconnect", "bridge", "late")
    assert "default via 10.88.0.1" in cni.docker("exec", "late", "ip", "route").stdout
    cni.berth("port", "add", "late", "8081:80")
    assert wait_until("answer", lambda: fetch(8081, "ip", "netns", "exec", "neighbor")) == "hello\n"
    cni.berth("port", "rm", "late", "8081:80")
    assert fetch(8081, "ip", "netns", "exec", "neighbor") == ""
    cni.docker("network", "disconnect", "pods", "late")
    assert "eth1" not in cni.docker("exec", "late", "ip", "link").stdout and not allocations(cni)


def test_what_is_wrong_is_told(cni):
    def refused(*words):
        done = cni.docker("network", "create", "-d", "cni", *words, check=False)
        assert done.returncode != 0
        return done.stderr

    assert f'CNI network "none-such" not found in {cni.folder}/net.d' in refused("none-such")
    text = configure(cni, "absent", {"type": "no-such-plugin"})
    assert 'CNI plugin "no-such-plugin" not found in' in refused("absent")
    assert 'CNI plugin "no-such-plugin" not found in' in refused("-o", f"com.berth.cni.config={text}", "other")
    assert "subnets, gateways and ranges are set in their configuration" in refused("--subnet", "10.1.0.0/24", "absent")
    assert "as internal as its plugins make it" in refused("--internal", "absent")
    assert "unknown option com.berth.cni.conf of a CNI network" in refused("-o", "com.berth.cni.conf=x", "absent")
    assert "com.berth.connections: CNI networks do not have it" in refused("-o", "com.berth.connections=5", "absent")
    assert 'com.berth.rate.egress: invalid rate "fast"' in refused("-o", "com.berth.rate.egress=fast", "absent")
    assert "none of its plugins has the capability bandwidth" in refused(
        "-o", "com.berth.rate.egress=1mbit", "-o", 'com.berth.cni.config={"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}',
        "other")
    assert "its cniVersion 9.9.9 is not supported" in refused(
        "-o", 'com.berth.cni.config={"cniVersion":"9.9.9","name":"n","plugins":[{"type":"ptp"}]}', "other")
    configure(cni, "picky", {"type": "picky"})
    script(cni, "picky", """echo '{"code":7,"msg":"I do not like it","details":"at all"}'; exit 1""")
    cni.docker("network", "create", "-d", "cni", "picky")
    done = cni.docker("run", "--name", "one", "--network", "picky", "busybox", "true", check=False)
    assert done.returncode == 125 and "CNI plugin picky (ADD): I do not like it; at all" in done.stderr
    done = cni.berth("create", "--network", "name=picky,driver-opt=com.berth.connections=5", "busybox", check=False)
    assert done.returncode != 0 and "com.berth.connections: CNI networks do not have it" in done.stderr
    done = cni.docker("run", "--name", "two", "--network", "picky", "-p", "80:80", "busybox", "true", check=False)
    assert "none of its plugins has the capability portMappings" in done.stderr


def test_a_killed_engine_leaves_nothing(cni):
    bridge_network(cni)
    cni.docker("run", "-d", "--name", "stays", "--network", "pods", *IDLE)
    cni.docker("run", "-d", "--name", "ends", "--network", "pods", *IDLE)
    script(cni, "slow", 'cat >/dev/null; echo $CNI_COMMAND >> $home/slow; [ $CNI_COMMAND != ADD ] || { echo $$ > $home/slow.pid; exec sleep 1000; }')
    configure(cni, "slow", {"type": "slow"})
    cni.docker("network", "create", "-d", "cni", "slow")
    starting = subprocess.Popen([docker_client(), "run", "-d", "--name", "begun", "--network", "slow", *IDLE],
                                env=cni.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = wait_until("plugin", lambda: (cni.folder / "slow.pid").exists() and (cni.folder / "slow.pid").read_text().strip())
    ended = cni.inspect("ends")["State"]["Pid"]
    cni.kill()
    starting.wait()
    wait_until("end of the plugin", lambda: not pathlib.Path("/proc", pid).exists())
    sh("kill", f"-{signal.SIGKILL}", str(ended))
    wait_until("end of the container", lambda: not pathlib.Path("/proc", str(ended)).exists())
    cni.start()
    assert settings(cni, "stays")["IPAddress"] == "10.88.0.2"
    wait_until("removal", lambda: allocations(cni) == ["10.88.0.2"] and len(attachments(cni)) == 1)
    assert (cni.folder / "slow").read_text().split() == ["ADD", "DEL"]
    cni.docker("rm", "-f", "stays")
    assert not allocations(cni) and not attachments(cni)
