"""Published ports as the docker command line shows them, and as clients of the host meet them: the same of dockerd and of Berth."""
import http.client
import json
import re
import socket

from engine import wait_until

HTTPD = ("busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
FLAGS = ("-p", "8320:80", "-p", "81", "-p", "[::1]:8322:80", "-p", "127.0.0.1:8321:80")
SHOWN = {"80/tcp": ["0.0.0.0 8320", ":: 8320", "127.0.0.1 8321", "::1 8322"], "81/tcp": ["0.0.0.0 free", ":: free"]}
PS = "0.0.0.0:8320->80/tcp, 127.0.0.1:8321->80/tcp, [::]:8320->80/tcp, [::1]:8322->80/tcp, 0.0.0.0:free->81/tcp, [::]:free->81/tcp"
# The networks that a container joins: how its ports are shown then.
JOINED = {"pair": SHOWN, "six": {**SHOWN, "80/tcp": ["0.0.0.0 8320", "127.0.0.1 8321", ":: 8320", "::1 8322"]}}
TAKEN = "failed to bind host port for {}:8325:ADDRESS:80/tcp: address already in use"


class Published:
    def __init__(self, docker):
        self.docker = docker

    def run(self, name, *flags):
        return self.docker("run", "-d", "--name", name, *flags, *HTTPD, check=False)

    def ports(self, name):
        """A number that the engine has chosen is "free", and one for both families."""
        ports = json.loads(self.docker("inspect", name).stdout)[0]["NetworkSettings"]["Ports"]
        free = {binding["HostPort"] for binding in ports.get("81/tcp") or []}
        assert len(free) <= 1
        return {port: [f"{binding['HostIp']} {'free' if binding['HostPort'] in free else binding['HostPort']}" for binding in bindings]
                for port, bindings in ports.items()}

    def ps(self, name):
        shown = self.docker("ps", "--filter", f"name=^{name}$", "--format", "{{.Ports}}").stdout.strip()
        return re.sub(r":\d+->81/", ":free->81/", shown)


def fetch(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", "/hostname")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionError, http.client.HTTPException):
        return "broken"  # accepted, and nobody there
    finally:
        connection.close()


def check_published(docker):
    published = Published(docker)
    docker("network", "create", "--ipv6", "--subnet", "10.71.0.0/24", "--subnet", "fd71::/64", "pair")
    docker("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd72::/64", "six")
    try:
        assert published.run("web", *FLAGS).returncode == 0
        assert published.ports("web") == SHOWN and published.ps("web") == PS
        wait_until("server", lambda: fetch("::1", 8320) == 200)
        assert [fetch("127.0.0.1", port) for port in (8320, 8321, 8322)] == [200, 200, "refused"]
        assert [fetch("::1", port) for port in (8321, 8322)] == ["refused", 200]
        # IPv6 that the container gets is used, and what it had is back when it goes.
        for network, shown in JOINED.items():
            docker("network", "connect", network, "web")
            assert published.ports("web") == shown and published.ps("web") == PS, network
            assert fetch("127.0.0.1", 8320) == 200
            docker("network", "disconnect", network, "web")
            assert published.ports("web") == SHOWN and published.ps("web") == PS, network
            assert fetch("::1", 8320) == fetch("127.0.0.1", 8320) == 200
        docker("rm", "-f", "web")
        assert fetch("::1", 8320) == fetch("127.0.0.1", 8320) == "refused"
        # Not the other way round: IPv4 ports do not lead to a container that has IPv6 alone.
        assert published.run("only", "--network", "six", "-p", "8323:80", "-p", "127.0.0.1:8324:80").returncode == 0
        assert published.ports("only") == {"80/tcp": [":: 8323"]} and fetch("127.0.0.1", 8324) == "refused"
        with socket.create_server(("::1", 8325), family=socket.AF_INET6):
            for flag, address in (("8325:80", "[::]"), ("[::1]:8325:80", "[::1]")):
                done = published.run(f"refused-{len(flag)}", "-p", flag)
                said = re.sub(r"\d+\.\d+\.\d+\.\d+(?=:80/tcp)", "ADDRESS", done.stderr)
                assert done.returncode == 125 and TAKEN.format(address) in said, said
    finally:
        docker("rm", "-f", *docker("ps", "-aq").stdout.split(), check=False)
        docker("network", "rm", "pair", "six", check=False)


def check_published_without_proxy(docker):
    """userland-proxy false."""
    published = Published(docker)
    try:
        assert published.run("web", *FLAGS).returncode == 0
        assert published.ports("web") == {"80/tcp": ["0.0.0.0 8320", "127.0.0.1 8321"], "81/tcp": ["0.0.0.0 free"]}
        wait_until("server", lambda: fetch("127.0.0.1", 8320) == 200)
        assert fetch("::1", 8320) == fetch("::1", 8322) == "refused"
    finally:
        docker("rm", "-f", "web", check=False)
