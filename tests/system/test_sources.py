"""What a privileged container sends with addresses that are not its own: frames from its packet socket, whole. They are dropped before the
host's bridge learns from them; in a network with com.berth.bridge.any_source the same frames arrive, which shows that they were sent."""
import json

import pytest

from neighbors import collecting, enter, hosts, sh  # noqa: F401

SUBNETS = ("--ipv6", "--subnet", "10.63.0.0/24", "--subnet", "fd63::/64")
FOLDERS = [word for name in ("usr", "lib", "lib64") for word in ("-v", f"/{name}:/{name}:ro")]
PORT = 7000
# send.py MAC-TO MAC-FROM FROM TO TEXT: a datagram; send.py MAC-TO MAC-FROM FROM TO advertise ADDRESS MAC: "I have the address".
SEND = r"""
import ipaddress, socket, struct, sys
to_mac, from_mac = (bytes.fromhex(word.replace(":", "")) for word in sys.argv[1:3])
source, destination = (ipaddress.ip_address(word) for word in sys.argv[3:5])
def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff
if sys.argv[5] == "advertise":
    protocol, at = 58, 2
    solicited_and_override = 0x60000000
    message = struct.pack(">BBHI", 136, 0, 0, solicited_and_override) + ipaddress.ip_address(sys.argv[6]).packed
    message += b"\2\1" + bytes.fromhex(sys.argv[7].replace(":", ""))
else:
    protocol, at = 17, 6
    text = sys.argv[5].encode()
    message = struct.pack(">HHHH", 5000, PORT, 8 + len(text), 0) + text
pseudo = source.packed + destination.packed + struct.pack(">II" if source.version == 6 else ">HH",
    *((len(message), protocol) if source.version == 6 else (protocol, len(message))))
message = message[:at] + struct.pack(">H", checksum(pseudo + message)) + message[at + 2:]
if source.version == 4:
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(message), 0, 0, 64, protocol, 0) + source.packed + destination.packed
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
else:
    header = struct.pack(">IHBB", 0x60000000, len(message), protocol, 255) + source.packed + destination.packed
kind = b"\x08\x00" if source.version == 4 else b"\x86\xdd"
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0))
    wire.send(to_mac + from_mac + kind + header + message)
""".replace("PORT", str(PORT))


def addresses(engine, name):
    shown = engine.inspect(name)["NetworkSettings"]["Networks"]["net"]
    return {4: shown["IPAddress"], 6: shown["GlobalIPv6Address"], "mac": shown["MacAddress"]}


class Attacker:
    """A privileged container beside a victim."""

    def __init__(self, engine, tmp_path, any_source):
        options = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false", "-o", f"com.berth.bridge.any_source={any_source}"]
        engine.berth("network", "create", *SUBNETS, *options, "net")
        (tmp_path / "send.py").write_text(SEND)
        engine.berth("run", "-d", "--name", "victim", "--network", "net", "busybox", "sleep", "1000")
        engine.berth("run", "-d", "--name", "attacker", "--network", "net", "--privileged", *FOLDERS, "-v", f"{tmp_path}/send.py:/send.py:ro",
                     "busybox", "sleep", "1000")
        self.engine = engine
        self.own, self.victim = addresses(engine, "attacker"), addresses(engine, "victim")
        self.bridge = "br-" + engine.request("GET", "/networks/net")[1]["Id"][:12]
        self.gateway_mac = json.loads(sh("ip", "-j", "link", "show", self.bridge))[0]["address"]

    def send(self, source, destination, *what, mac=None, to_mac=None):
        self.engine.berth("exec", "attacker", "/usr/bin/python3", "/send.py", to_mac or self.gateway_mac, mac or self.own["mac"], source,
                          destination, *what)

    def forge(self, family, destination, other, to_mac=None):
        """Sends what claims to be another container's, what is from nobody, and what has another's MAC; then an honest one. The forged
        sources."""
        nobody = {4: "10.63.0.99", 6: "fd63::99"}[family]
        forged = [(other[family], None), (nobody, None), (self.own[family], "02:00:00:00:00:99"), (other[family], other["mac"])]
        for source, mac in forged:
            self.send(source, destination, "forged", mac=mac, to_mac=to_mac)
        self.send(self.own[family], destination, "control", to_mac=to_mac)
        return [source for source, _ in forged]

    def neighbor(self, address):
        """The MAC that the host has for it."""
        return json.loads(sh("ip", "-j", "neigh", "show", address, "dev", self.bridge))[0].get("lladdr")


@pytest.fixture
def attacker(engine, tmp_path):
    yield lambda any_source: Attacker(engine, tmp_path, any_source)
    engine.remove_all()
    engine.berth("network", "rm", "net", check=False)


def check(arrived, forged, attacker, family, any_source):
    """What comes after the forged ones, and is honest, arrives after them."""
    expected = [(source, "forged") for source in forged if any_source == "true"] + [(attacker.own[family], "control")]
    assert [arrived.readline() for _ in expected] == [f"{PORT} {source} b'{text}'\n" for source, text in expected]


@pytest.mark.parametrize("any_source", ["false", "true"])
def test_datagrams_have_the_containers_own_sources(attacker, hosts, any_source):
    this = attacker(any_source)
    machine = {4: hosts[1].address, 6: hosts[1].address_v6}
    with hosts[1].collecting(PORT) as arrived:
        for family in (4, 6):
            check(arrived, this.forge(family, machine[family], this.victim), this, family, any_source)


@pytest.mark.parametrize("any_source", ["false", "true"])
def test_datagrams_for_other_containers_have_them_too(engine, attacker, any_source):
    """They go a shorter way, past the bridge (docs/decisions/0026)."""
    this = attacker(any_source)
    engine.berth("run", "-d", "--name", "third", "--network", "net", "busybox", "sleep", "1000")
    third = addresses(engine, "third")
    with collecting(enter(engine, "victim"), PORT) as arrived:
        for family in (4, 6):
            check(arrived, this.forge(family, this.victim[family], third, this.victim["mac"]), this, family, any_source)


@pytest.mark.parametrize("any_source", ["false", "true"])
def test_neighbor_advertisements_are_of_the_containers_own_addresses(attacker, hosts, any_source):
    this = attacker(any_source)
    with hosts[1].collecting(PORT) as arrived:
        for source in (this.own[6], this.victim[6]):
            sh("ip", "neigh", "flush", "dev", this.bridge)
            sh("busybox", "ping", "-c", "1", "-W", "2", this.victim[6])
            assert this.neighbor(this.victim[6]) == this.victim["mac"]
            this.send(source, "fd63::1", "advertise", this.victim[6], this.own["mac"])
            this.send(this.own[4], hosts[1].address, "control")
            assert arrived.readline() == f"{PORT} {this.own[4]} b'control'\n"
            assert this.neighbor(this.victim[6]) == (this.own["mac"] if any_source == "true" else this.victim["mac"])
