// SPDX-License-Identifier: Apache-2.0
// A container's /etc/hosts as Docker writes it.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::network {

struct HostsOptions {
    std::string hostname;
    std::string domainname;
    std::vector<kernel::IpAddress> addresses; // the container's own, one line each
    std::vector<std::string> extra_hosts;     // "name:ip" or "name:host-gateway", as --add-host
    // The address that host-gateway stands for; absent makes host-gateway an error.
    std::optional<kernel::IpAddress> host_gateway;
};

// InvalidArgument for a malformed extra host.
Result<std::string> hosts_file(const HostsOptions& options);

} // namespace berth::network
