// SPDX-License-Identifier: Apache-2.0
// A container's /etc/hosts as Docker writes it.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::network {

struct HostsOptions {
    std::string hostname;
    std::string domainname;
    std::vector<kernel::IpAddress> addresses; // the container's own, one line each
    std::vector<std::string> extra_hosts;     // "name:ip" or "name:host-gateway", as --add-host
    // What host-gateway stands for, a line each; none makes host-gateway an error.
    std::vector<kernel::IpAddress> host_gateways;
    bool has_ipv6 = true; // else nothing of it is listed
};

// InvalidArgument for a malformed extra host.
Result<std::string> hosts_file(const HostsOptions& options);

// In place of the lines whose names begin with these ("alias hostname"), which go. A text without
// such a line stays as it is.
std::string replace_hosts_lines(
    std::string_view text, std::string_view names, const std::vector<std::string>& lines);

} // namespace berth::network
