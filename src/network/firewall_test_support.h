// SPDX-License-Identifier: Apache-2.0
// A host with bridges and containers that a test wires by hand around a Firewall, and frames that
// an attacker would send.
#pragma once

#include "network/firewall.h"
#include "network/network_test_support.h"

#include <cstdint>
#include <string>
#include <vector>

namespace berth::network {

// Ethernet frames of a container with the given MAC that claims the given addresses; all to
// everybody.
class Frames {
  public:
    Frames(kernel::MacAddress mac, const std::string& v4, const std::string& v6)
        : mac_(mac)
        , v4_(*kernel::IpAddress::parse(v4))
        , v6_(*kernel::IpAddress::parse(v6)) {}

    std::vector<std::uint8_t> arp() const { return arp(mac_); }

    std::vector<std::uint8_t> arp(const kernel::MacAddress& sender) const;
    std::vector<std::uint8_t> ipv4() const;
    std::vector<std::uint8_t> ipv6() const;
    std::vector<std::uint8_t> neighbor_advertisement(const std::string& target) const;
    std::vector<std::uint8_t> duplicate_detection(const std::string& target) const;
    std::vector<std::uint8_t> router_message(std::uint8_t type) const;
    std::vector<std::uint8_t> with_type(std::uint16_t ether_type) const;

  private:
    std::vector<std::uint8_t> icmp_v6(
        const kernel::IpAddress& source, std::uint8_t type, const kernel::IpAddress& target) const;

    kernel::MacAddress mac_;
    kernel::IpAddress v4_;
    kernel::IpAddress v6_;
};

// The lab's host, and the world outside of it.
inline constexpr char host_v4[] = "10.99.0.1";
inline constexpr char host_v6[] = "fd99::1";
inline constexpr char outside_v4[] = "10.99.0.2";
inline constexpr char outside_v6[] = "fd99::2";

// Bridge n is "br<n>" with 172.16+n.0.1/16 and fd00:n::1/64; its container m has 172.16+n.0.m and
// fd00:n::m, and "vc<n>-<m>" on the host. The world outside (make_outside_world) is at 10.99.0.2
// and fd99::2 and has routes to all of it.
class FirewallLab {
  public:
    explicit FirewallLab(HostFirewall host = HostFirewall::Passed);

    void add_bridge(int bridge, FirewallBridge options);
    Endpoint add_container(int bridge, int number, FirewallEndpoint options = {});
    // TCP and UDP, of 0.0.0.0 and of ::.
    void publish(std::uint16_t host, std::uint16_t port, int bridge, int container);
    void withdraw(std::uint16_t host, std::uint16_t port, int bridge, int container);
    // TCP, at the container's own IPv6 address.
    void publish_routed(std::uint16_t port, int bridge, int container);
    void withdraw_routed(std::uint16_t port, int bridge, int container);

    // The frame, sent by one container, is seen by the other.
    bool
    arrives(const Endpoint& from, const Endpoint& to, const std::vector<std::uint8_t>& frame) const;
    void
    send_frames(const Endpoint& from, const std::vector<std::vector<std::uint8_t>>& frames) const;
    // A datagram to each of so many ports of so many addresses; how many were sent.
    int flood(const Endpoint& from, const std::string& first, int addresses, int ports) const;

    static kernel::MacAddress mac(int bridge, int container);
    Endpoint world() const;

    UniqueFd outside;
    Firewall firewall;
};

// A packet of that protocol, from a raw socket in one namespace to one in the other: what the other
// receives, with its IP header; empty when it receives nothing.
std::vector<std::uint8_t> send_raw(
    const UniqueFd& from,
    const UniqueFd& to,
    int protocol,
    const std::string& address,
    const std::vector<std::uint8_t>& payload);

std::vector<std::uint8_t> with_sctp_checksum(std::vector<std::uint8_t> packet);

} // namespace berth::network
