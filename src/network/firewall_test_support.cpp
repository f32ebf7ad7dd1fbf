// SPDX-License-Identifier: Apache-2.0
// The laboratory: iproute2 wires it, raw sockets attack it.
#include "network/firewall_test_support.h"

#include "kernel/netlink_namespace.h"
#include "kernel/netlink_test_support.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <array>
#include <cstring>

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::NetworkNamespaceScope;
using kernel::output_of;

constexpr int frame_milliseconds = 300;

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& frame, std::span<const std::uint8_t> bytes) {
    frame.insert(frame.end(), bytes.begin(), bytes.end());
}

std::string v4_of(int bridge, int host) {
    return "172." + std::to_string(16 + bridge) + ".0." + std::to_string(host);
}

std::string v6_of(int bridge, int host) {
    return "fd00:" + std::to_string(bridge) + "::" + std::to_string(host);
}

ContainerAddresses addresses_of(int bridge, int container) {
    ContainerAddresses addresses;
    addresses.v4 = *IpAddress::parse(v4_of(bridge, container));
    addresses.v6 = *IpAddress::parse(v6_of(bridge, container));
    return addresses;
}

std::vector<BoundPort> ports_of(std::uint16_t host, std::uint16_t port) {
    std::vector<BoundPort> ports;
    for (const char* any : {"0.0.0.0", "::"}) {
        for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
            ports.push_back({protocol, port, *IpAddress::parse(any), host});
        }
    }
    return ports;
}

UniqueFd socket_in(const UniqueFd& netns, int family, int type, int protocol) {
    NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
    return UniqueFd(::socket(family, type | SOCK_CLOEXEC, protocol));
}

UniqueFd packet_socket(const UniqueFd& netns) {
    NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
    UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return socket;
}

sockaddr_in address_v4(std::uint32_t number, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(number);
    return address;
}

bool send_datagram(const UniqueFd& socket, const sockaddr_in& to, const Bytes& payload) {
    return ::sendto(
               socket.get(),
               payload.data(),
               payload.size(),
               0,
               reinterpret_cast<const sockaddr*>(&to),
               sizeof to) == static_cast<ssize_t>(payload.size());
}

Bytes frame_of(const kernel::MacAddress& source, std::uint16_t ether_type) {
    Bytes frame(6, 0xff);
    append(frame, source.bytes);
    frame.push_back(static_cast<std::uint8_t>(ether_type >> 8));
    frame.push_back(static_cast<std::uint8_t>(ether_type & 0xff));
    return frame;
}

} // namespace

Bytes Frames::arp(const kernel::MacAddress& sender) const {
    Bytes frame = frame_of(mac_, ETH_P_ARP);
    append(frame, std::array<std::uint8_t, 8>{0, 1, 8, 0, 6, 4, 0, 2});
    append(frame, sender.bytes);
    append(frame, v4_.bytes());
    append(frame, Bytes(6, 0xff));
    append(frame, v4_.bytes());
    return frame;
}

Bytes Frames::ipv4() const {
    Bytes header{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0};
    append(header, v4_.bytes());
    append(header, Bytes(4, 0xff));
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < header.size(); i += 2) {
        sum += static_cast<std::uint32_t>(header[i] << 8 | header[i + 1]);
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    header[10] = static_cast<std::uint8_t>(sum >> 8 & 0xff);
    header[11] = static_cast<std::uint8_t>(sum & 0xff);
    Bytes frame = frame_of(mac_, ETH_P_IP);
    append(frame, header);
    return frame;
}

Bytes Frames::ipv6() const {
    Bytes frame = frame_of(mac_, ETH_P_IPV6);
    append(frame, std::array<std::uint8_t, 8>{0x60, 0, 0, 0, 0, 0, 59, 64});
    append(frame, v6_.bytes());
    append(frame, IpAddress::parse("ff02::1")->bytes());
    return frame;
}

Bytes Frames::icmp_v6(const IpAddress& source, std::uint8_t type, const IpAddress& target) const {
    Bytes frame = frame_of(mac_, ETH_P_IPV6);
    append(frame, std::array<std::uint8_t, 8>{0x60, 0, 0, 0, 0, 24, IPPROTO_ICMPV6, 255});
    append(frame, source.bytes());
    append(frame, IpAddress::parse("ff02::1")->bytes());
    append(frame, std::array<std::uint8_t, 8>{type, 0, 0, 0, 0, 0, 0, 0});
    append(frame, target.bytes());
    return frame;
}

Bytes Frames::neighbor_advertisement(const std::string& target) const {
    return icmp_v6(v6_, 136, *IpAddress::parse(target));
}

Bytes Frames::duplicate_detection(const std::string& target) const {
    return icmp_v6(*IpAddress::parse("::"), 135, *IpAddress::parse(target));
}

Bytes Frames::router_message(std::uint8_t type) const {
    return icmp_v6(link_local_address(mac_), type, v6_);
}

Bytes Frames::with_type(std::uint16_t ether_type) const {
    Bytes frame = frame_of(mac_, ether_type);
    append(frame, Bytes(46, 0));
    return frame;
}

FirewallLab::FirewallLab(HostFirewall host)
    : outside(make_outside_world())
    , firewall(Firewall::open("lab", {.host = host}).value()) {
    const Result<void> written = firewall.rebuild();
    EXPECT_TRUE(written.ok()) << (written.ok() ? "" : written.error().message());
    output_of({"sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"});
    output_of({"ip", "address", "add", "fd99::1/64", "dev", "wan0", "nodad"});
    const Endpoint far = world();
    inside(far, {"ip", "address", "add", "fd99::2/64", "dev", "wan1", "nodad"});
    inside(far, {"ip", "route", "add", "default", "via", "10.99.0.1"});
    inside(far, {"ip", "route", "add", "default", "via", "fd99::1"});
}

Endpoint FirewallLab::world() const {
    Endpoint far;
    far.netns = outside.duplicate().value();
    return far;
}

kernel::MacAddress FirewallLab::mac(int bridge, int container) {
    return {{2, 0, 0, 0, static_cast<std::uint8_t>(bridge), static_cast<std::uint8_t>(container)}};
}

void FirewallLab::add_bridge(int bridge, FirewallBridge options) {
    const std::string name = "br" + std::to_string(bridge);
    const std::string v4 = v4_of(bridge, 1) + "/16";
    output_of({"ip", "link", "add", name, "type", "bridge"});
    output_of({"ip", "address", "add", v4, "dev", name});
    output_of({"ip", "address", "add", v6_of(bridge, 1) + "/64", "dev", name, "nodad"});
    output_of({"ip", "link", "set", name, "up"});
    output_of({"sysctl", "-qw", "net.ipv4.conf." + name + ".route_localnet=1"});
    options.subnet = kernel::IpPrefix::parse(v4)->network();
    options.subnet_v6 = kernel::IpPrefix::parse(v6_of(bridge, 0) + "/64")->network();
    EXPECT_TRUE(firewall.add_bridge(name, options).ok());
}

Endpoint FirewallLab::add_container(int bridge, int number, FirewallEndpoint options) {
    const std::string host = "vc" + std::to_string(bridge) + "-" + std::to_string(number);
    Endpoint container;
    container.netns = NetworkNamespaceScope::enter_new().value().take();
    container.host_interface = host;
    options.bridge = "br" + std::to_string(bridge);
    options.mac = mac(bridge, number);
    const ContainerAddresses addresses = addresses_of(bridge, number);
    options.addresses = {*addresses.v4, *addresses.v6};
    EXPECT_TRUE(firewall.add_endpoint(host, options).ok());
    inside(container, {"ip", "link", "set", "lo", "up"});
    inside(
        container,
        {"ip",
         "link",
         "add",
         "eth0",
         "address",
         options.mac.to_string(),
         "type",
         "veth",
         "peer",
         "name",
         host,
         "netns",
         "/proc/" + std::to_string(::getpid()) + "/ns/net"});
    output_of({"ip", "link", "set", host, "master", options.bridge, "up"});
    output_of({"ip", "link", "set", host, "type", "bridge_slave", "hairpin", "on"});
    inside(container, {"ip", "address", "add", v4_of(bridge, number) + "/16", "dev", "eth0"});
    inside(
        container, {"ip", "address", "add", v6_of(bridge, number) + "/64", "dev", "eth0", "nodad"});
    inside(container, {"ip", "link", "set", "eth0", "up"});
    inside(container, {"ip", "route", "add", "default", "via", v4_of(bridge, 1)});
    inside(container, {"ip", "route", "add", "default", "via", v6_of(bridge, 1)});
    return container;
}

void FirewallLab::publish(std::uint16_t host, std::uint16_t port, int bridge, int container) {
    EXPECT_TRUE(firewall.add_ports(ports_of(host, port), addresses_of(bridge, container)).ok());
}

void FirewallLab::withdraw(std::uint16_t host, std::uint16_t port, int bridge, int container) {
    EXPECT_TRUE(firewall.remove_ports(ports_of(host, port), addresses_of(bridge, container)).ok());
}

void FirewallLab::publish_routed(std::uint16_t port, int bridge, int container) {
    const BoundPort bound{Protocol::Tcp, port, *IpAddress::parse("::"), 0};
    EXPECT_TRUE(firewall.add_ports({bound}, addresses_of(bridge, container)).ok());
}

void FirewallLab::withdraw_routed(std::uint16_t port, int bridge, int container) {
    const BoundPort bound{Protocol::Tcp, port, *IpAddress::parse("::"), 0};
    EXPECT_TRUE(firewall.remove_ports({bound}, addresses_of(bridge, container)).ok());
}

bool FirewallLab::arrives(
    const Endpoint& from, const Endpoint& to, const std::vector<std::uint8_t>& frame) const {
    const UniqueFd receiver = packet_socket(to.netns);
    send_frames(from, {frame});
    pollfd entry{.fd = receiver.get(), .events = POLLIN, .revents = 0};
    while (::poll(&entry, 1, frame_milliseconds) > 0) {
        Bytes received(2048);
        const ssize_t size = ::recv(receiver.get(), received.data(), received.size(), 0);
        received.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        if (received == frame) {
            return true;
        }
    }
    return false;
}

void FirewallLab::send_frames(
    const Endpoint& from, const std::vector<std::vector<std::uint8_t>>& frames) const {
    const UniqueFd sender = packet_socket(from.netns);
    for (const Bytes& frame : frames) {
        EXPECT_EQ(
            ::send(sender.get(), frame.data(), frame.size(), 0),
            static_cast<ssize_t>(frame.size()));
    }
}

int FirewallLab::flood(
    const Endpoint& from, const std::string& first, int addresses, int ports) const {
    NetworkNamespaceScope scope = NetworkNamespaceScope::enter(from.netns).value();
    const std::uint32_t start = IpAddress::parse(first)->v4();
    int sent = 0;
    UniqueFd socket;
    for (int i = 0; i < addresses * ports; ++i) {
        // A new socket has a new source port: another flow again.
        if (i % 100 == 0) {
            socket = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        }
        const auto host = static_cast<std::uint32_t>(i % addresses);
        const auto port = static_cast<std::uint16_t>(10000 + i / addresses % 50000);
        sent += send_datagram(socket, address_v4(start + host, port), {0}) ? 1 : 0;
    }
    return sent;
}

std::vector<std::uint8_t> send_raw(
    const UniqueFd& from,
    const UniqueFd& to,
    int protocol,
    const std::string& address,
    const std::vector<std::uint8_t>& payload) {
    const UniqueFd receiver = socket_in(to, AF_INET, SOCK_RAW, protocol);
    const UniqueFd sender = socket_in(from, AF_INET, SOCK_RAW, protocol);
    EXPECT_TRUE(send_datagram(sender, address_v4(IpAddress::parse(address)->v4(), 0), payload));
    pollfd entry{.fd = receiver.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 2000) <= 0) {
        return {};
    }
    Bytes received(2048);
    const ssize_t size = ::recv(receiver.get(), received.data(), received.size(), 0);
    received.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return received;
}

// RFC 9260, appendix A: CRC32c over the packet with a zero checksum, least significant byte first.
std::vector<std::uint8_t> with_sctp_checksum(std::vector<std::uint8_t> packet) {
    std::uint32_t crc = 0xffffffff;
    for (const std::uint8_t byte : packet) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
    }
    crc = ~crc;
    for (std::size_t i = 0; i < 4; ++i) {
        packet[8 + i] = static_cast<std::uint8_t>(crc >> (8 * i) & 0xff);
    }
    return packet;
}

} // namespace berth::network
