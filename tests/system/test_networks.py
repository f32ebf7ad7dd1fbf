"""Networks that users make: containers that reach each other in them and nobody else, over the docker client, berth and
the API. Traffic is real; what a command is refused is asked for in Docker's words."""
import json
import subprocess
import time
import urllib.request

import pytest

from engine import BIN, Engine, wait_until
from hostile import LONG


@pytest.fixture(autouse=True)
def no_networks_left(request):
    """No test leaves networks behind for the next one."""
    yield
    if "engine" in request.fixturenames:
        running = request.getfixturevalue("engine")
        left = running.berth("ps", "-aq").stdout.split()
        if left:
            running.berth("rm", "-f", "-v", *left)
        running.berth("network", "prune", "-f")
        left = running.berth("network", "ls", "-q", "-f", "type=custom").stdout.split()
        if left:
            running.berth("network", "rm", *left)


def network(engine, name, *flags):
    return engine.docker("network", "create", *flags, name).stdout.strip()


def show(engine, name):
    return json.loads(engine.docker("network", "inspect", name).stdout)[0]


def sleeper(engine, name, *flags):
    return engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000").stdout.strip()


def inside(engine, container, *command, check=True):
    return engine.berth("exec", container, *command, check=check)


def settings(engine, container, name):
    return engine.inspect(container)["NetworkSettings"]["Networks"][name]


def reaches(engine, container, address):
    return inside(engine, container, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def host(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def refused(engine, method, target, body, status, words):
    got, answer = engine.request(method, target, body)
    assert (got, answer["message"]) == (status, words)


def test_create_inspect_and_remove(engine):
    identity = network(engine, "front", "--subnet", "10.50.0.0/24", "--label", "tier=web")
    assert len(identity) == 64
    shown = show(engine, "front")
    created = shown.pop("Created")
    assert created.startswith("20")
    assert shown == {
        "Name": "front", "Id": identity, "Scope": "local", "Driver": "bridge", "EnableIPv4": True, "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.50.0.0/24"}]},
        "Internal": False, "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""}, "ConfigOnly": False,
        "Containers": {}, "Options": {}, "Labels": {"tier": "web"}}
    assert show(engine, identity[:12])["Name"] == "front"
    bridge = "br-" + identity[:12]
    assert "inet 10.50.0.1/24" in host("ip", "-4", "address", "show", "dev", bridge)
    assert engine.docker("network", "rm", "front").stdout == "front\n"
    refused(engine, "GET", "/networks/front", None, 404, "network front not found")
    wait_until("removed bridge", lambda: bridge not in host("ip", "link"))


def test_list_and_filters(engine):
    network(engine, "one", "--label", "a=1")
    network(engine, "two", "--label", "a=2")
    sleeper(engine, "user", "--network", "two")

    def names(*filters):
        flags = [word for item in filters for word in ("--filter", item)]
        return engine.docker("network", "ls", "--format", "{{.Name}}", *flags).stdout.split()

    assert names() == ["bridge", "host", "none", "one", "two"]
    assert names("type=custom") == ["one", "two"]
    assert names("type=builtin") == ["bridge", "host", "none"]
    assert names("label=a") == ["one", "two"] and names("label=a=2") == ["two"]
    assert names("driver=host") == ["host"] and names("scope=local", "name=tw") == ["two"]
    assert names("dangling=true") == ["one"]
    assert names("dangling=false") == ["bridge", "host", "none", "two"]
    identity = show(engine, "one")["Id"]
    assert names("id=" + identity[:10]) == ["one"]
    assert engine.berth("network", "prune", "-f").stdout == "Deleted Networks:\none\n\n"
    assert names("type=custom") == ["two"]


def test_containers_meet_in_their_network_only(engine):
    network(engine, "left")
    network(engine, "right")
    for name, where in (("l1", "left"), ("l2", "left"), ("r1", "right"), ("b1", "bridge")):
        sleeper(engine, name, "--network", where)
    address = {name: settings(engine, name, where)["IPAddress"]
               for name, where in (("l1", "left"), ("l2", "left"), ("r1", "right"), ("b1", "bridge"))}
    assert reaches(engine, "l1", address["l2"]) and reaches(engine, "l2", address["l1"])
    assert not reaches(engine, "l1", address["r1"]) and not reaches(engine, "r1", address["l1"])
    assert not reaches(engine, "b1", address["l1"]) and not reaches(engine, "l1", address["b1"])
    shown = show(engine, "left")["Containers"]
    assert {entry["Name"] for entry in shown.values()} == {"l1", "l2"}
    assert {entry["IPv4Address"].split("/")[0] for entry in shown.values()} == {address["l1"], address["l2"]}


def test_static_addresses_survive_a_restart(engine):
    network(engine, "fixed", "--subnet", "10.51.0.0/24", "--ip-range", "10.51.0.128/25", "--gateway", "10.51.0.9",
            "--aux-address", "printer=10.51.0.128")
    sleeper(engine, "still", "--network", "fixed", "--ip", "10.51.0.20", "--mac-address", "02:00:00:00:00:77",
            "--network-alias", "quiet")
    sleeper(engine, "any", "--network", "fixed")
    assert settings(engine, "any", "fixed")["IPAddress"] == "10.51.0.129"
    for _ in range(2):
        shown = settings(engine, "still", "fixed")
        assert (shown["IPAddress"], shown["MacAddress"], shown["Gateway"]) == (
            "10.51.0.20", "02:00:00:00:00:77", "10.51.0.9")
        assert shown["IPAMConfig"] == {"IPv4Address": "10.51.0.20"} and shown["Aliases"] == ["quiet"]
        assert shown["DNSNames"][:2] == ["still", "quiet"]
        text = inside(engine, "still", "ip", "address", "show", "eth0").stdout
        assert "inet 10.51.0.20/24" in text and "link/ether 02:00:00:00:00:77" in text
        assert "default via 10.51.0.9 dev eth0" in inside(engine, "still", "ip", "route").stdout
        engine.docker("restart", "-t", "0", "still")
    done = engine.docker("run", "--rm", "--network", "fixed", "--ip", "10.51.0.20", "busybox", "true", check=False)
    assert done.returncode == 125 and "Address already in use" in done.stderr


def test_connect_and_disconnect_a_running_container(engine):
    network(engine, "home", "--subnet", "10.52.0.0/24")
    network(engine, "away", "--subnet", "10.53.0.0/24")
    sleeper(engine, "guest", "--network", "home")
    sleeper(engine, "native", "--network", "away")
    there = settings(engine, "native", "away")["IPAddress"]
    assert not reaches(engine, "guest", there)
    engine.docker("network", "connect", "--ip", "10.53.0.77", "--alias", "visitor", "away", "guest")
    assert reaches(engine, "guest", there)
    assert "10.53.0.77/24" in inside(engine, "guest", "ip", "address", "show", "eth1").stdout
    assert "10.53.0.77\t" in inside(engine, "guest", "cat", "/etc/hosts").stdout
    assert settings(engine, "guest", "away")["Aliases"] == ["visitor"]
    # "away" comes before "home", so it is the way out now, as with Docker.
    assert "default via 10.53.0.1 dev eth1" in inside(engine, "guest", "ip", "route").stdout
    done = engine.docker("network", "connect", "away", "guest", check=False)
    assert "endpoint with name guest already exists in network away" in done.stderr
    done = engine.docker("network", "rm", "away", check=False)
    assert 'error while removing network: network away has active endpoints (name:"' in done.stderr
    engine.docker("network", "disconnect", "away", "guest")
    assert not reaches(engine, "guest", there)
    assert "eth1" not in inside(engine, "guest", "ip", "link").stdout
    assert "10.53.0.77" not in inside(engine, "guest", "cat", "/etc/hosts").stdout
    assert "default via 10.52.0.1 dev eth0" in inside(engine, "guest", "ip", "route").stdout
    assert "away" not in engine.inspect("guest")["NetworkSettings"]["Networks"]
    done = engine.docker("network", "disconnect", "away", "guest", check=False)
    assert f"container {engine.inspect('guest')['Id']} is not connected to network away" in done.stderr


def test_connect_and_disconnect_a_stopped_container(engine):
    network(engine, "early")
    network(engine, "late")
    engine.docker("create", "--name", "later", "--network", "early", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "late", "later")
    engine.docker("start", "later")
    assert set(engine.inspect("later")["NetworkSettings"]["Networks"]) == {"early", "late"}
    links = inside(engine, "later", "ls", "/sys/class/net").stdout.split()
    assert set(links) == {"lo", "eth0", "eth1"}
    engine.docker("stop", "-t", "0", "later")
    engine.docker("network", "disconnect", "late", "later")
    engine.docker("network", "rm", "late")
    engine.docker("start", "later")
    assert set(engine.inspect("later")["NetworkSettings"]["Networks"]) == {"early"}


def test_the_last_network_can_go_and_another_one_come(engine):
    network(engine, "only")
    sleeper(engine, "alone", "--network", "only")
    engine.docker("network", "disconnect", "only", "alone")
    assert inside(engine, "alone", "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert engine.inspect("alone")["NetworkSettings"]["Networks"] == {}
    engine.docker("network", "connect", "only", "alone")
    assert "default via" in inside(engine, "alone", "ip", "route").stdout
    engine.docker("network", "disconnect", "only", "alone")
    engine.docker("restart", "-t", "0", "alone")
    assert inside(engine, "alone", "ls", "/sys/class/net").stdout.split() == ["lo"]


def test_the_way_out(engine):
    """The highest priority, else by name; never an internal network."""
    for name, octet in (("aa", 61), ("bb", 62), ("cc", 63)):
        network(engine, name, "--subnet", f"10.{octet}.0.0/24", *(["--internal"] if name == "aa" else []))
    sleeper(engine, "plain", "--network", "cc", "--network", "bb", "--network", "aa")
    assert "default via 10.62.0.1" in inside(engine, "plain", "ip", "route").stdout
    engine.berth("run", "-d", "--name", "prior", "--network", "bb", "--network", "name=cc,gw-priority=1", "busybox", "sleep",
                 "1000")
    assert "default via 10.63.0.1" in inside(engine, "prior", "ip", "route").stdout
    assert settings(engine, "prior", "cc")["GwPriority"] == 1
    sleeper(engine, "inner", "--network", "aa")
    assert "default" not in inside(engine, "inner", "ip", "route").stdout
    # It moves when a network comes that is better, and back when that goes.
    engine.berth("network", "connect", "--gw-priority", "5", "bb", "inner")
    assert "default via 10.62.0.1" in inside(engine, "inner", "ip", "route").stdout
    engine.berth("network", "disconnect", "bb", "inner")
    assert "default" not in inside(engine, "inner", "ip", "route").stdout


def test_the_main_network_is_the_one_of_that_name(engine):
    """Its name may be the beginning of another one's id."""
    main = network(engine, "other")[:3]
    network(engine, main, "--subnet", "10.67.0.0/24")
    sleeper(engine, "both", "--network", main, "--network", "other")
    assert "inet 10.67.0." in inside(engine, "both", "ip", "address", "show", "eth0").stdout


def test_published_ports_follow_the_way_out(engine):
    network(engine, "za")
    network(engine, "zb")
    sleeper(engine, "server", "--network", "zb", "-p", "127.0.0.1:18080:80")
    engine.berth("exec", "-d", "server", "httpd", "-f", "-h", "/etc")

    def answers():
        try:
            return b"root" in urllib.request.urlopen("http://127.0.0.1:18080/passwd", timeout=2).read()
        except OSError:
            return False

    wait_until("server", answers)
    engine.docker("network", "connect", "za", "server")
    assert answers()
    engine.docker("network", "disconnect", "zb", "server")
    assert answers()
    assert engine.docker("port", "server").stdout == "80/tcp -> 127.0.0.1:18080\n"


def test_internal_networks_have_no_way_out(engine):
    network(engine, "closed", "--internal", "--subnet", "10.54.0.0/24")
    sleeper(engine, "in", "--network", "closed")
    sleeper(engine, "in2", "--network", "closed")
    assert show(engine, "closed")["Internal"]
    assert reaches(engine, "in", settings(engine, "in2", "closed")["IPAddress"])
    assert settings(engine, "in", "closed")["Gateway"] == ""


def test_bridge_options(engine):
    network(engine, "custom", "-o", "com.docker.network.bridge.name=mybridge", "-o", "com.docker.network.driver.mtu=1400",
            "-o", "com.docker.network.bridge.enable_icc=false", "-o", "com.docker.network.container_iface_prefix=net",
            "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "--subnet", "10.55.0.0/24")
    assert "mtu 1400" in host("ip", "link", "show", "mybridge")
    sleeper(engine, "x1", "--network", "custom", "-p", "80")
    sleeper(engine, "y1", "--network", "custom")
    text = inside(engine, "x1", "ip", "link").stdout
    assert "net0" in text and "mtu 1400" in text
    assert not reaches(engine, "x1", settings(engine, "y1", "custom")["IPAddress"])
    assert engine.inspect("x1")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
    assert show(engine, "custom")["Options"]["com.docker.network.bridge.name"] == "mybridge"
    # The name is free again at once.
    engine.docker("rm", "-f", "x1", "y1")
    engine.docker("network", "rm", "custom")
    network(engine, "again", "-o", "com.docker.network.bridge.name=mybridge", "--subnet", "10.55.0.0/24")
    assert "inet 10.55.0.1/24" in host("ip", "address", "show", "dev", "mybridge")


def test_a_bridge_of_the_administrator_stays(engine):
    host("ip", "link", "add", "theirs", "type", "bridge")
    try:
        network(engine, "borrowed", "-o", "com.docker.network.bridge.name=theirs", "--subnet", "10.56.0.0/24")
        sleeper(engine, "z1", "--network", "borrowed")
        engine.docker("rm", "-f", "z1")
        engine.docker("network", "rm", "borrowed")
        network(engine, "other")  # what was removed has gone behind by now
        assert "theirs" in host("ip", "link") and "10.56.0.1" not in host("ip", "address", "show", "dev", "theirs")
    finally:
        host("ip", "link", "delete", "theirs")


def test_endpoint_options(engine):
    network(engine, "tuned")
    engine.berth("run", "-d", "--name", "t1", "--network",
                 'name=tuned,driver-opt=com.docker.network.endpoint.ifname=wan0,'
                 '"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,'
                 'net.ipv4.conf.IFNAME.forwarding=0"', "busybox", "sleep", "1000")
    assert "wan0" in inside(engine, "t1", "ls", "/sys/class/net").stdout
    assert inside(engine, "t1", "cat", "/proc/sys/net/ipv4/conf/wan0/log_martians").stdout == "1\n"
    assert inside(engine, "t1", "cat", "/proc/sys/net/ipv4/conf/wan0/forwarding").stdout == "0\n"
    done = engine.berth("run", "--network", "name=tuned,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.x=1",
                        "busybox", "true", check=False)
    assert "unrecognised network interface sysctl 'net.ipv4.x=1'" in done.stderr


@pytest.mark.parametrize("flags", [["--ipv6"], ["--ipv6", "--ipv4=false"]], ids=["dual", "v6only"])
def test_ipv6(engine, flags):
    engine.berth("network", "create", *flags, "--subnet", "fd00:77::/64", "six")
    assert show(engine, "six")["EnableIPv6"]
    for name in ("s1", "s2"):
        sleeper(engine, name, "--network", "six")
    shown = settings(engine, "s2", "six")
    assert (shown["GlobalIPv6Address"], shown["GlobalIPv6PrefixLen"], shown["IPv6Gateway"]) == (
        "fd00:77::3", 64, "fd00:77::1")
    assert bool(shown["IPAddress"]) == ("--ipv4=false" not in flags)
    assert reaches(engine, "s1", "fd00:77::3") and reaches(engine, "s1", "fd00:77::1")
    assert "default via fd00:77::1 dev eth0" in inside(engine, "s1", "ip", "-6", "route").stdout
    assert inside(engine, "s1", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").stdout == "0\n"
    assert "fd00:77::2\t" in inside(engine, "s1", "cat", "/etc/hosts").stdout
    sleeper(engine, "s3", "--network", "six", "--ip6", "fd00:77::abcd")
    assert reaches(engine, "s1", "fd00:77::abcd")


def test_ipv6_without_a_subnet_gets_one_of_its_own(engine):
    engine.berth("network", "create", "--ipv6", "six")
    subnet = show(engine, "six")["IPAM"]["Config"][1]["Subnet"]
    assert subnet.startswith("fd") and subnet.endswith("/64")


def test_subnets_are_chosen_around_what_is_there(engine):
    host("ip", "link", "add", "busy", "type", "bridge")
    try:
        host("ip", "address", "add", "172.18.77.1/24", "dev", "busy")
        host("ip", "link", "set", "busy", "up")
        for name in ("n1", "n2", "n3"):
            network(engine, name)
        subnets = [show(engine, name)["IPAM"]["Config"][0]["Subnet"] for name in ("n1", "n2", "n3")]
        assert subnets == ["172.17.0.0/16", "172.19.0.0/16", "172.20.0.0/16"]
        assert show(engine, "n1")["IPAM"]["Config"][0]["Gateway"] == "172.17.0.1"
        engine.docker("network", "rm", "n2")
        network(engine, "n4")
        assert show(engine, "n4")["IPAM"]["Config"][0]["Subnet"] == "172.19.0.0/16"
    finally:
        host("ip", "link", "delete", "busy")


def test_config_only_networks(engine):
    network(engine, "plan", "--config-only", "--subnet", "10.57.0.0/24", "-o", "com.docker.network.driver.mtu=1300",
            "--label", "x=y")
    assert show(engine, "plan")["ConfigOnly"] and show(engine, "plan")["Driver"] == "null"
    network(engine, "real", "--config-from", "plan")
    shown = show(engine, "real")
    assert shown["ConfigFrom"] == {"Network": "plan"} and shown["Labels"] == {"x": "y"}
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.57.0.0/24"}]
    done = engine.docker("network", "rm", "plan", check=False)
    assert 'configuration network "plan" is in use' in done.stderr
    done = engine.docker("run", "--rm", "--network", "plan", "busybox", "true", check=False)
    assert "cannot connect container to configuration network: plan" in done.stderr
    refused(engine, "POST", "/networks/create", {"Name": "q", "ConfigFrom": {"Network": "nope"}}, 404,
            'configuration network "nope" does not exist')


def test_errors_are_dockers(engine):
    network(engine, "taken", "--subnet", "10.58.0.0/16")
    create = "/networks/create"
    refused(engine, "POST", create, {"Name": "taken"}, 409, "network with name taken already exists")
    refused(engine, "POST", create, {"Name": "host"}, 403, "operation is not permitted on predefined host network ")
    refused(engine, "POST", create, {"Name": "x", "Driver": "nope"}, 404, 'plugin "nope" not found')
    refused(engine, "POST", create, {"Name": "x", "EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled")
    refused(engine, "POST", create, {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.58.7.0/24"}]}}, 403,
            "invalid pool request: Pool overlaps with other one on this address space")
    refused(engine, "POST", create, {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.9.1.1/16"}, {"Subnet": "a"}]}}, 400,
            "invalid network config:\n* invalid subnet 10.9.1.1/16: it should be 10.9.0.0/16\n"
            "* invalid subnet a: invalid CIDR block notation")
    refused(engine, "POST", create,
            {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.9.0.0/16", "Gateway": "10.8.0.1"}]}}, 400,
            "invalid network config:\ninvalid gateway 10.8.0.1: parent subnet 10.9.0.0/16 doesn't contain this address")
    refused(engine, "POST", create,
            {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}, {"Subnet": "10.10.0.0/16"}]}}, 403,
            "bridge driver doesn't support multiple subnets")
    refused(engine, "POST", create,
            {"Name": "x", "Options": {"com.docker.network.bridge.enable_icc": "perhaps"}}, 400,
            "failed to parse com.docker.network.bridge.enable_icc value: perhaps "
            '(strconv.ParseBool: parsing "perhaps": invalid syntax)')
    refused(engine, "DELETE", "/networks/bridge", None, 403, "bridge is a pre-defined network and cannot be removed")
    refused(engine, "POST", "/networks/taken/connect", {"Container": "nobody"}, 404, "No such container: nobody")
    refused(engine, "POST", "/networks/nope/connect", {"Container": "nobody"}, 404, "network nope not found")
    sleeper(engine, "c1", "--network", "none")
    refused(engine, "POST", "/networks/taken/connect", {"Container": "c1"}, 400,
            "container cannot be connected to multiple networks with one of the networks in private (none) mode")
    refused(engine, "POST", "/networks/host/connect", {"Container": "c1"}, 400,
            "cannot connect container to host network - container must be created in host network mode")
    sleeper(engine, "d1", "--network", "taken")
    refused(engine, "POST", "/networks/bridge/connect",
            {"Container": "d1", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "172.17.0.9"}, "Aliases": ["a"]}}, 400,
            "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n"
            "* network-scoped alias is supported only for containers in user defined networks\n"
            "* user specified IP address is supported only when connecting to networks with user configured subnets")
    # Nothing of what was refused is there.
    assert engine.docker("network", "ls", "-q", "-f", "type=custom").stdout.count("\n") == 1


def test_links_on_the_default_bridge(engine):
    engine.docker("run", "-d", "--name", "db", "-e", "SECRET=x=y", "--expose", "5432", "--hostname", "dbhost", "busybox",
                  "sleep", "1000")
    address = settings(engine, "db", "bridge")["IPAddress"]
    done = engine.docker("run", "--rm", "--name", "web", "--link", "db:store", "busybox", "sh", "-c",
                         "cat /etc/hosts; env | sort; ping -c 1 -W 1 store").stdout
    assert f"{address}\tstore dbhost db\n" in done and " 0% packet loss" in done
    for line in (f"STORE_PORT=tcp://{address}:5432", f"STORE_PORT_5432_TCP=tcp://{address}:5432",
                 f"STORE_PORT_5432_TCP_ADDR={address}", "STORE_PORT_5432_TCP_PORT=5432", "STORE_PORT_5432_TCP_PROTO=tcp",
                 "STORE_NAME=/web/store", "STORE_ENV_SECRET=x=y"):
        assert line in done.splitlines(), done
    engine.docker("create", "--name", "later", "--link", "db", "busybox", "true")
    assert engine.inspect("later")["HostConfig"]["Links"] == ["/db:/later/db"]
    engine.docker("rm", "-f", "db")
    done = engine.docker("start", "later", check=False)
    assert done.returncode == 1
    done = engine.docker("run", "--rm", "--link", "nobody:x", "busybox", "true", check=False)
    assert "could not get container for nobody" in done.stderr


def test_address_pools_and_ipv6_of_the_default_bridge(tmp_path, rootfs_tar):
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({
        "default-address-pools": [{"base": "10.77.0.0/23", "size": 24}],
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1390"}},
        "ipv6": True, "fixed-cidr-v6": "fd00:78::/64"}))
    with Engine(tmp_path, f"--config-file={config}") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        for name in ("p1", "p2"):
            network(engine, name)
        assert [show(engine, name)["IPAM"]["Config"][0]["Subnet"] for name in ("p1", "p2")] == ["10.77.0.0/24", "10.77.1.0/24"]
        assert show(engine, "p1")["Options"] == {"com.docker.network.driver.mtu": "1390"}
        done = engine.docker("network", "create", "p3", check=False)
        assert "all predefined address pools have been fully subnetted" in done.stderr
        engine.docker("network", "rm", "p1")
        network(engine, "p3")
        assert show(engine, "p3")["IPAM"]["Config"][0]["Subnet"] == "10.77.0.0/24"
        sleeper(engine, "six")
        assert settings(engine, "six", "bridge")["GlobalIPv6Address"] == "fd00:78::2"
        assert reaches(engine, "six", "fd00:78::1")
        engine.kill()
        engine.start()
        assert settings(engine, "six", "bridge")["GlobalIPv6Address"] == "fd00:78::2"
        engine.docker("network", "rm", "p2", "p3")


def test_events(engine):
    log = subprocess.Popen([str(BIN / "berth"), "events", "--filter", "type=network", "--format",
                            "{{.Action}} {{.Actor.Attributes.name}}"], env=engine.environment, stdout=subprocess.PIPE,
                           text=True)
    try:
        wait_until("listener", lambda: engine.request("GET", "/info")[1]["NEventsListener"] == 1)
        network(engine, "watched")
        sleeper(engine, "e1", "--network", "bridge")
        engine.docker("network", "connect", "watched", "e1")
        engine.docker("network", "disconnect", "watched", "e1")
        engine.docker("network", "rm", "watched")
        seen = [log.stdout.readline().strip() for _ in range(5)]
    finally:
        log.terminate()
        log.wait()
    assert seen == ["create watched", "connect bridge", "connect watched", "disconnect watched", "destroy watched"]


def test_networks_and_endpoints_survive_a_killed_engine(fresh_engine):
    engine = fresh_engine
    identity = network(engine, "kept", "--subnet", "10.59.0.0/24", "--ipv6", "--subnet", "fd00:59::/64")
    sleeper(engine, "k1", "--network", "kept", "--ip", "10.59.0.50")
    sleeper(engine, "k2", "--network", "bridge")
    engine.docker("network", "connect", "kept", "k2")
    before = [settings(engine, name, "kept") for name in ("k1", "k2")]
    engine.kill()
    engine.start()
    assert [settings(engine, name, "kept") for name in ("k1", "k2")] == before
    assert show(engine, "kept")["Id"] == identity
    assert reaches(engine, "k1", before[1]["IPAddress"]) and reaches(engine, "k2", "10.59.0.50")
    assert reaches(engine, "k2", before[0]["GlobalIPv6Address"])
    sleeper(engine, "k3", "--network", "kept")
    assert settings(engine, "k3", "kept")["IPAddress"] not in (before[0]["IPAddress"], before[1]["IPAddress"])
    engine.docker("network", "disconnect", "kept", "k2")
    engine.docker("rm", "-f", "k1", "k2", "k3")
    engine.docker("network", "rm", "kept")
    wait_until("removed bridge", lambda: "br-" + identity[:12] not in host("ip", "link"))


def test_who_else_is_the_gateway(engine):
    """The bridge has no address: one of the containers is the router that is told."""
    network(engine, "router", "-o", "com.docker.network.bridge.inhibit_ipv4=true", "--subnet", "10.57.0.0/24", "--gateway", "10.57.0.7")
    bridge = "br-" + show(engine, "router")["Id"][:12]
    assert "inet " not in host("ip", "-4", "address", "show", "dev", bridge)
    sleeper(engine, "i1", "--network", "router")
    assert "default via 10.57.0.7" in inside(engine, "i1", "ip", "route").stdout
    sleeper(engine, "i2", "--network", "router")
    assert reaches(engine, "i1", settings(engine, "i2", "router")["IPAddress"])


def test_gateway_modes(engine):
    """What they are refused for. What each does to packets: test_gateway_modes.py."""
    network(engine, "alone", "--internal", "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated")
    bridge = "br-" + show(engine, "alone")["Id"][:12]
    assert "inet " not in host("ip", "-4", "address", "show", "dev", bridge)
    for number in (1, 2):
        sleeper(engine, f"a{number}", "--network", "alone")
    assert reaches(engine, "a1", settings(engine, "a2", "alone")["IPAddress"])
    assert "default" not in inside(engine, "a1", "ip", "route").stdout
    for mode in ("nat", "nat-unprotected", "routed"):
        network(engine, mode, "-o", f"com.docker.network.bridge.gateway_mode_ipv4={mode}", "-o",
                f"com.docker.network.bridge.gateway_mode_ipv6={mode}", "--ipv6")
    refused(engine, "POST", "/networks/create",
            {"Name": "x", "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}}, 400,
            "gateway mode 'isolated' can only be used for an internal network")
    refused(engine, "POST", "/networks/create",
            {"Name": "x", "Options": {"com.docker.network.bridge.gateway_mode_ipv6": "wide"}}, 400,
            "failed to parse com.docker.network.bridge.gateway_mode_ipv6 value: wide (unknown gateway mode wide)")


def test_many_networks(tmp_path, rootfs_tar):
    """A thousand of them (BERTH_TEST_LONG), fewer otherwise: each is there, the next engine finds them, and nothing is left."""
    count = 1000 if LONG else 100
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"default-address-pools": [{"base": "10.64.0.0/10", "size": 24}]}))
    with Engine(tmp_path, f"--config-file={config}") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        begin = time.monotonic()
        bridges = ["br-" + engine.request("POST", "/networks/create", {"Name": f"n{number}"})[1]["Id"][:12] for number in range(count)]
        made = time.monotonic() - begin

        def there():
            return {link["ifname"] for link in json.loads(host("ip", "-j", "link"))} & set(bridges)

        assert len(set(bridges)) == count == len(there())
        subnets = {entry["IPAM"]["Config"][0]["Subnet"] for entry in engine.request("GET", "/networks")[1] if entry["IPAM"]["Config"]}
        assert len(subnets) == count + 1
        for name in ("n0", f"n{count - 1}"):
            sleeper(engine, f"of-{name}", "--network", name)
        engine.kill()
        begin = time.monotonic()
        engine.start()
        started = time.monotonic() - begin
        assert len(there()) == count
        last = f"n{count - 1}"
        sleeper(engine, "second", "--network", last)
        assert reaches(engine, "second", settings(engine, f"of-{last}", last)["IPAddress"])
        engine.berth("rm", "-f", "second", "of-n0", f"of-{last}")
        begin = time.monotonic()
        for number in range(count):
            assert engine.request("DELETE", f"/networks/n{number}")[0] == 204
        print(f"{count} networks: made in {made:.2f} s, found in {started:.2f} s, removed in {time.monotonic() - begin:.2f} s")
        wait_until("no bridge", lambda: not there(), 120)
