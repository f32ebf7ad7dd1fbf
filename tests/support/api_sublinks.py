"""Macvlan and ipvlan networks as dockerd 28.5 has them: several subnets, several networks on a parent; and
which networks keep no address for a gateway.

The same scenes are played to both engines: by tests/api/test_sublink_scenes.py to Berth, by tests/conformance/test_api_sublinks.py to
dockerd. Statuses are compared where dockerd does not take the client's mistake for its own (500)."""
import json
import subprocess
import urllib.parse

from engine import UnixConnection

OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Lan:
    """An engine and the parent "lan0". The image busybox is there already."""

    def __init__(self, socket):
        self.socket = socket
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        ip("link", "set", "lan0", "up")
        ip("link", "set", "lan1", "up")

    def close(self):
        self.clear()
        ip("link", "delete", "lan0")

    def clear(self):
        for container in self.ask("GET", "/containers/json?all=1")[1]:
            self.ask("DELETE", f"/containers/{container['Id']}?force=1")
        for network in self.ask("GET", "/networks?filters=" + urllib.parse.quote(json.dumps({"type": ["custom"]})))[1]:
            self.ask("DELETE", f"/networks/{network['Id']}")

    def ask(self, method, target, body=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, "/v1.51" + target, None if body is None else json.dumps(body),
                               {} if body is None else {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text.strip() else None

    def create(self, name, *pools, driver="macvlan", options=None, **members):
        """The id; or, refused, status and message. A pool is a subnet or all that is to be said of it."""
        config = [pool if isinstance(pool, dict) else {"Subnet": pool} for pool in pools]
        status, document = self.ask("POST", "/networks/create", {
            "Name": name, "Driver": driver, "IPAM": {"Config": config}, "Options": {"parent": "lan0", **(options or {})}, **members})
        return document["Id"] if status == 201 else (status, document["message"])

    def remove(self, name):
        status, document = self.ask("DELETE", f"/networks/{name}")
        assert status == 204, document

    def pools(self, name):
        return self.ask("GET", f"/networks/{name}")[1]["IPAM"]["Config"]

    def join(self, network, container, address=None):
        """The new container's place in the network; or, refused, status and message."""
        settings = {"IPAMConfig": {"IPv4Address": address}} if address else {}
        status, document = self.ask("POST", f"/containers/create?name={container}", {
            "Image": "busybox", "Cmd": ["sleep", "3600"], "HostConfig": {"NetworkMode": network},
            "NetworkingConfig": {"EndpointsConfig": {network: settings}}})
        if status == 201:
            status, document = self.ask("POST", f"/containers/{container}/start")
        if status != 204:
            return status, document["message"]
        return self.place(network, container)

    def place(self, network, container):
        place = self.ask("GET", f"/containers/{container}/json")[1]["NetworkSettings"]["Networks"][network]
        return (f"{place['IPAddress']}/{place['IPPrefixLen']}", place["Gateway"],
                f"{place['GlobalIPv6Address']}/{place['GlobalIPv6PrefixLen']}", place["IPv6Gateway"])

    def leave(self, container):
        status, document = self.ask("DELETE", f"/containers/{container}?force=1")
        assert status == 204, document


def v4(place):
    assert len(place) == 4, place
    return place[:2]


def subnets_give_addresses_one_after_the_other(lan):
    pools = [{"Subnet": "10.66.0.0/29", "Gateway": "10.66.0.6", "IPRange": "10.66.0.0/31"},
             {"Subnet": "10.67.0.0/16", "IPRange": "10.67.7.0/24", "AuxiliaryAddresses": {"router": "10.67.7.1"}},
             {"Subnet": "fd66::/126"}, {"Subnet": "fd67::/64", "Gateway": "fd67::99"}]
    assert isinstance(lan.create("lan", *pools, EnableIPv6=True), str)
    assert lan.pools("lan") == pools
    assert lan.join("lan", "one") == ("10.66.0.1/29", "10.66.0.6", "fd66::2/126", "fd66::1")
    assert lan.join("lan", "two") == ("10.67.7.2/16", "10.67.7.0", "fd66::3/126", "fd66::1")
    assert lan.join("lan", "three") == ("10.67.7.3/16", "10.67.7.0", "fd67::1/64", "fd67::99")
    lan.leave("one")
    assert lan.join("lan", "four") == ("10.66.0.1/29", "10.66.0.6", "fd66::2/126", "fd66::1")


def an_address_of_any_subnet_can_be_asked_for(lan):
    assert isinstance(lan.create("lan", "10.66.0.0/24", {"Subnet": "10.67.0.0/16", "IPRange": "10.67.7.0/24",
                                                         "AuxiliaryAddresses": {"router": "10.67.7.1"}}), str)
    assert v4(lan.join("lan", "one", "10.67.9.9")) == ("10.67.9.9/16", "10.67.7.0")
    assert v4(lan.join("lan", "two", "10.66.0.9")) == ("10.66.0.9/24", "10.66.0.1")
    for number, taken in enumerate(("10.67.9.9", "10.67.7.0", "10.67.7.1", "10.66.0.1")):
        message = lan.join("lan", f"refused{number}", taken)[1]
        assert message == "failed to set up container networking: Address already in use", taken
    assert lan.join("lan", "outside", "10.69.0.1") == (
        400, "invalid config for network lan: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.69.0.1")


def full_subnets_are_told_of(lan):
    network = lan.create("lan", "10.66.0.0/30", "10.67.0.0/30")
    assert v4(lan.join("lan", "one")) == ("10.66.0.2/30", "10.66.0.1")
    assert v4(lan.join("lan", "two")) == ("10.67.0.2/30", "10.67.0.1")
    assert lan.join("lan", "three")[1] == (
        f"failed to set up container networking: no available IPv4 addresses on this network's address pools: lan ({network})")


def subnets_of_a_network_may_not_overlap(lan):
    # Of other addresses than elsewhere: dockerd never gives back what it has taken by then.
    assert lan.create("lan", "10.46.0.0/16", "10.46.7.0/24") == (403, OVERLAP)
    assert lan.create("lan", "10.47.0.0/24", "10.47.0.0/24") == (403, OVERLAP)


def a_bridge_has_one_subnet(lan):
    assert lan.create("lan", "10.66.0.0/24", "10.67.0.0/24", driver="bridge") == (403, "bridge driver doesn't support multiple subnets")


def macvlan_networks_share_a_parent(lan):
    first = lan.create("first", "10.66.0.0/24")
    assert isinstance(lan.create("second", "10.67.0.0/24", options={"macvlan_mode": "private"}), str)
    assert v4(lan.join("first", "one")) == ("10.66.0.2/24", "10.66.0.1")
    assert v4(lan.join("second", "two")) == ("10.67.0.2/24", "10.67.0.1")
    lan.leave("two")
    lan.remove("second")
    assert lan.create("third", "10.68.0.0/24", options={"macvlan_mode": "passthru"})[1] == (
        f"cannot use mode passthru, macvlan network {first} is already using parent interface lan0")
    lan.leave("one")
    lan.remove("first")
    alone = lan.create("alone", "10.69.0.0/24", options={"macvlan_mode": "passthru"})
    assert lan.create("third", "10.70.0.0/24")[1] == f"macvlan network {alone} is already using parent interface lan0 in mode passthru"
    assert lan.create("third", "10.71.0.0/24", options={"macvlan_mode": "passthru"})[1] == (
        f"cannot use mode passthru, macvlan network {alone} is already using parent interface lan0")


def an_ipvlan_network_has_its_parent_alone(lan):
    only = lan.create("only", "10.66.0.0/24", driver="ipvlan")
    assert lan.create("second", "10.67.0.0/24", driver="ipvlan")[1] == f"network di-{only[:12]} is already using parent interface lan0"
    assert isinstance(lan.create("other", "10.68.0.0/24"), str)  # each driver knows its own networks


def networks_without_a_way_out_have_no_gateway(lan):
    assert isinstance(lan.create("lan", "10.66.0.0/24", {"Subnet": "fd66::/64"}, Internal=True, EnableIPv6=True), str)
    assert lan.join("lan", "one") == ("10.66.0.1/24", "", "fd66::1/64", "")
    # One that is named is kept free.
    assert isinstance(lan.create("named", {"Subnet": "10.67.0.0/24", "Gateway": "10.67.0.1"}, Internal=True), str)
    assert v4(lan.join("named", "two")) == ("10.67.0.2/24", "")
    for name, driver, options, internal in (("internal", "macvlan", {}, True), ("layer3", "ipvlan", {"ipvlan_mode": "l3"}, False)):
        assert isinstance(lan.create(name, driver=driver, options=options, Internal=internal), str)
        assert [sorted(pool) for pool in lan.pools(name)] == [["Subnet"]]
    assert isinstance(lan.create("open"), str)
    assert [sorted(pool) for pool in lan.pools("open")] == [["Gateway", "Subnet"]]


def an_internal_bridge_without_an_address_has_no_gateway(lan):
    options = {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert isinstance(lan.create("pair", "10.66.0.0/31", driver="bridge", options=options, Internal=True), str)
    assert v4(lan.join("pair", "one")) == ("10.66.0.0/31", "")
    assert v4(lan.join("pair", "two")) == ("10.66.0.1/31", "")
    assert isinstance(lan.create("chosen", driver="bridge", options=options, Internal=True, EnableIPv6=True), str)
    assert [sorted(pool) for pool in lan.pools("chosen")] == [["Subnet"], ["Gateway", "Subnet"]]


SCENES = [subnets_give_addresses_one_after_the_other, an_address_of_any_subnet_can_be_asked_for, full_subnets_are_told_of,
          subnets_of_a_network_may_not_overlap, a_bridge_has_one_subnet, macvlan_networks_share_a_parent,
          an_ipvlan_network_has_its_parent_alone, networks_without_a_way_out_have_no_gateway,
          an_internal_bridge_without_an_address_has_no_gateway]
