// SPDX-License-Identifier: Apache-2.0
// A container's /etc/resolv.conf from the host's and the container's own DNS options, by Docker's
// rules: a resolver on the host's loopback cannot be reached from a container and is left out.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::network {

// A resolver as the host names it: "10.0.0.53", "fe80::1%eth0".
struct Nameserver {
    kernel::IpAddress address;
    // Of an IPv6 address alone: the interface of the host that it is reached by, its name or
    // number; empty: whichever leads there.
    std::string zone{};

    Nameserver() = default;

    // NOLINTNEXTLINE(google-explicit-constructor): most have no zone.
    Nameserver(const kernel::IpAddress& ip, std::string interface = {})
        : address(ip)
        , zone(std::move(interface)) {}

    static Result<Nameserver> parse(std::string_view text);

    auto operator<=>(const Nameserver&) const = default;
};

struct ResolvConf {
    std::vector<std::string> nameservers; // as Nameserver::parse() takes them
    std::vector<std::string> search;
    std::vector<std::string> options;
};

// Unknown lines, comments and malformed addresses are left out.
ResolvConf parse_resolv_conf(std::string_view text);
std::string format_resolv_conf(const ResolvConf& conf);

struct HostResolvConf {
    std::string path;
    std::string text;
};

// The host's file that containers should start from: etc_path, unless its only resolver is
// systemd-resolved's stub (127.0.0.53), then resolved_path. An absent file is empty.
Result<HostResolvConf> find_host_resolv_conf(
    const std::string& etc_path = "/etc/resolv.conf",
    const std::string& resolved_path = "/run/systemd/resolve/resolv.conf");

// Its text alone.
Result<std::string> read_host_resolv_conf(
    const std::string& etc_path = "/etc/resolv.conf",
    const std::string& resolved_path = "/run/systemd/resolve/resolv.conf");

// What the user asked for (--dns, --dns-search, --dns-option); each non-empty list replaces the
// host's. A search list of "." alone means none.
struct DnsOptions {
    std::vector<std::string> nameservers;
    std::vector<std::string> search;
    std::vector<std::string> options;
    bool has_ipv6 = false; // the container has an IPv6 address
};

// The container's file. Loopback resolvers of the host go, and those by an interface of the host;
// where none is left, the public
// resolvers that Docker falls back to (8.8.8.8, 8.8.4.4).
std::string container_resolv_conf(std::string_view host_text, const DnsOptions& options);

// The file of a container in a user-defined network, where the embedded server is the only
// resolver, with the comments that Docker writes; and what that server must know.
struct EmbeddedResolvConf {
    std::string text;
    std::vector<kernel::IpAddress> servers; // that the user gave; empty: the host's are asked
    bool has_ndots = false;                 // the user or the host has set it
};

EmbeddedResolvConf embedded_resolv_conf(const HostResolvConf& host, const DnsOptions& options);

} // namespace berth::network
