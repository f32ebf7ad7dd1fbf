"""Published ports beside the host's own firewall programs: firewalld and ufw, whose packages are unpacked beside the build and
seen in the testbed alone, and iptables-legacy."""
import pathlib
import shutil
import subprocess

import pytest

import firewalls
from engine import Engine, wait_until

HOST = "10.50.0.1"
ONE = "10.50.0.11"
HOST6 = "fd50::1"
ONE6 = "fd50::11"
PAGE = ("busybox", "sh", "-c", "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 80 -h /www")


def sh(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")


@pytest.fixture(scope="module")
def own_files(tmp_path_factory):
    """The programs, and what they write of themselves, are gone with the testbed."""
    if not firewalls.is_there():
        pytest.skip("tools/run_tests has not fetched firewalld and ufw")
    for folder in firewalls.PARTS:
        layer = tmp_path_factory.mktemp("layer")
        (layer / "upper").mkdir()
        (layer / "work").mkdir()
        lower = f"{firewalls.FOLDER}{folder}:{folder}"
        sh("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={layer}/upper,workdir={layer}/work", "own", folder)
    # What the packages' scripts do.
    actions = pathlib.Path("/usr/share/polkit-1/actions")
    if (actions / "org.fedoraproject.FirewallD1.server.policy.choice").exists():
        shutil.copy(actions / "org.fedoraproject.FirewallD1.server.policy.choice", actions / "org.fedoraproject.FirewallD1.policy")
    for path in pathlib.Path("/usr/share/ufw").glob("*"):
        if path.suffix in (".rules", ".conf", ".init"):
            shutil.copy(path, "/etc/ufw/")
    for name in ("passwd", "group"):
        accounts = pathlib.Path("/etc", name)
        if "messagebus:" not in accounts.read_text():
            tail = "65533::/nonexistent:/usr/sbin/nologin" if name == "passwd" else ""
            with accounts.open("a") as file:
                file.write(f"messagebus:x:65533:{tail}\n")
    yield
    for folder in reversed(firewalls.PARTS):
        sh("umount", "-l", folder)


@pytest.fixture
def host():
    """Another host, 10.50.0.11, in the network namespace "one"; it asks the engine's host."""
    sh("ip", "netns", "add", "one")
    sh("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", "one")
    for words in (f"address add {HOST}/24 dev wan0", f"address add {HOST6}/64 dev wan0 nodad", "link set wan0 up", "-n one link set lo up",
                  f"-n one address add {ONE}/24 dev eth0", f"-n one address add {ONE6}/64 dev eth0 nodad", "-n one link set eth0 up"):
        sh("ip", *words.split())

    def ask(port, address=HOST):
        url = f"http://{address}:{port}/"
        return sh("ip", "netns", "exec", "one", "curl", "-s", "--noproxy", "*", "-m", "2", url, check=False) == "hello\n"

    yield ask
    sh("ip", "link", "delete", "wan0")
    sh("ip", "netns", "delete", "one")
    sh("nft", "flush", "ruleset")


@pytest.fixture
def firewalld(own_files):
    needs("firewalld", "dbus-daemon")
    pathlib.Path("/run/dbus").mkdir(exist_ok=True)
    bus = subprocess.Popen(["dbus-daemon", "--system", "--nofork", "--nopidfile"])
    wait_until("bus", lambda: pathlib.Path("/run/dbus/system_bus_socket").exists())
    daemon = subprocess.Popen(["firewalld", "--nofork", "--nopid"])
    wait_until("firewalld", lambda: sh("firewall-cmd", "--state", check=False).strip() == "running")
    yield lambda *words: sh("firewall-cmd", "-q", *words)
    for process in (daemon, bus):
        process.terminate()
        process.wait(60)
    pathlib.Path("/run/dbus/system_bus_socket").unlink(missing_ok=True)


@pytest.fixture
def ufw(own_files):
    needs("ufw")
    sh("ufw", "--force", "enable")
    yield lambda *words: sh("ufw", *words)
    sh("ufw", "--force", "disable")


@pytest.fixture
def start(tmp_path, rootfs_tar, host):
    """Starts an engine with these flags that serves a page at 8080 and at 8081."""
    engines = []

    def begin(*flags):
        engine = Engine(tmp_path, *flags)
        engines.append(engine)
        engine.start()
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        engine.berth("run", "-d", "--name", "web", "-p", "8080:80", "-p", "8081:80", *PAGE)
        return engine

    yield begin
    for engine in engines:
        engine.__exit__()


def soon(what, condition):
    return wait_until(what, condition, deadline=30)


def way_out(engine):
    """The container reaches another host."""
    return engine.berth("exec", "web", "ping", "-c", "1", "-W", "3", ONE, check=False).returncode == 0


def test_firewalld_is_passed(start, host, firewalld):
    engine = start()
    assert soon("port", lambda: host(8080)) and way_out(engine)
    for command in ("--reload", "--complete-reload"):
        firewalld(command)
        assert soon(f"port and way out after {command}", lambda: host(8080) and way_out(engine))
    firewalld("--set-default-zone=block")
    assert soon("port in a zone that blocks", lambda: host(8080)) and way_out(engine)
    engine.berth("run", "-d", "--name", "late", "-p", "8082:80", *PAGE)
    assert soon("port of a container that came later", lambda: host(8082))


def test_firewalld_is_respected(start, host, firewalld):
    engine = start("--firewall", "respect")
    assert not host(8080) and way_out(engine)
    firewalld("--add-port=8080/tcp")
    assert soon("open port", lambda: host(8080)) and not host(8081)
    firewalld("--permanent", "--add-port=8081/tcp")
    firewalld("--reload")  # forgets what was not permanent
    assert soon("open port", lambda: host(8081)) and not host(8080) and way_out(engine)
    firewalld("--remove-port=8081/tcp")
    assert not host(8081)
    firewalld("--add-rich-rule", f'rule family=ipv4 source address={ONE} port port=8080 protocol=tcp accept')
    assert soon("port that is open for this host", lambda: host(8080))


def test_firewalld_is_respected_over_ipv6(start, host, firewalld):
    """With its check of where a source's way leads (IPv6_rpfilter), which is on unless it is turned off."""
    engine = start("--firewall", "respect")
    assert "oif missing drop" in sh("nft", "list", "chain", "inet", "firewalld", "filter_PREROUTING")
    engine.berth("network", "create", "--ipv6", "six")
    engine.berth("run", "-d", "--network", "six", "-p", "8090:80", "-p", "8091:80", *PAGE)
    assert not host(8090, f"[{HOST6}]") and not host(8090)
    firewalld("--add-port=8090/tcp")
    assert soon("open port over IPv6", lambda: host(8090, f"[{HOST6}]")) and host(8090)
    assert not host(8091, f"[{HOST6}]")


def test_firewalld_may_start_and_end_later(start, host, own_files, request):
    engine = start()
    assert soon("port", lambda: host(8080))
    request.getfixturevalue("firewalld")
    assert soon("port beside firewalld", lambda: host(8080)) and way_out(engine)


def test_ufw_is_passed(start, host, ufw):
    engine = start()
    assert soon("port", lambda: host(8080)) and way_out(engine)
    ufw("reload")
    assert soon("port after a reload", lambda: host(8080)) and way_out(engine)
    ufw("deny", "8080/tcp")
    assert host(8080), "that is what pass means"
    ufw("--force", "disable")
    ufw("--force", "enable")
    assert soon("port after a start", lambda: host(8080)) and way_out(engine)


def test_ufw_is_respected(start, host, ufw):
    engine = start("--firewall", "respect")
    assert not host(8080) and way_out(engine)
    ufw("allow", "8080/tcp")
    assert soon("open port", lambda: host(8080)) and not host(8081)
    ufw("reload")
    assert soon("open port after a reload", lambda: host(8080)) and not host(8081) and way_out(engine)
    ufw("delete", "allow", "8080/tcp")
    ufw("allow", "from", ONE, "to", "any", "port", "8081", "proto", "tcp")
    assert soon("port that is open for this host", lambda: host(8081)) and not host(8080)




@pytest.fixture
def legacy(host):
    """iptables-legacy, where the kernel has its tables."""
    needs("iptables-legacy")
    if subprocess.run(["iptables-legacy", "-t", "filter", "-S"], capture_output=True).returncode != 0:
        pytest.skip("this kernel has no tables of iptables-legacy")
    yield lambda *words: sh("iptables-legacy", *words)
    sh("iptables-legacy", "-P", "FORWARD", "ACCEPT")
    sh("iptables-legacy", "-F")


def test_a_legacy_forward_chain_is_named_with_what_it_needs(start, host, legacy):
    legacy("-P", "FORWARD", "DROP")
    engine = start()
    assert not host(8080) and not way_out(engine)
    line = next(line for line in engine.log().splitlines() if "another firewall" in line)
    need = line.split("containers need: ")[1].split('"')[0].strip()
    assert need.startswith("iptables-legacy -I FORWARD ")
    sh(*need.split())
    assert soon("port", lambda: host(8080)) and way_out(engine)
    legacy("-I", "FORWARD", "-s", ONE, "-j", "DROP")
    assert not host(8080), "its own rules still hold"


def test_legacy_input_rules_are_respected(start, host, legacy):
    engine = start("--firewall", "respect")
    assert soon("port", lambda: host(8080)) and "another firewall" not in engine.log()
    legacy("-A", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP")
    assert not host(8080) and host(8081) and way_out(engine)
    legacy("-D", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP")
    assert soon("port", lambda: host(8080))
