// SPDX-License-Identifier: Apache-2.0
// The networks of a container on the command line: --network in both its forms, and the older flags
// that say something about the first one.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <string>
#include <vector>

namespace berth::cli {

// What is said about one network: by `network connect`'s flags, by --network name=…,ip=…, or by
// run's own flags.
struct NetworkAttachment {
    std::string target;
    std::vector<std::string> aliases;
    std::vector<std::string> links;
    std::vector<std::string> link_local_ips;
    std::vector<std::string> driver_options; // name=value
    std::string ip;
    std::string ip6;
    std::string mac_address;
    std::string gateway_priority;

    // EndpointSettings. InvalidArgument for a priority that is no number.
    Result<json::Object> settings() const;
};

// "web" or "name=web,alias=a,ip=10.0.0.5,driver-opt=x=y"
Result<NetworkAttachment> parse_network_flag(const std::string& text);

// The attachments of `run`: those of --network, the first one with what `flags` says about it.
// InvalidArgument, in docker's words, for what cannot stand together.
Result<std::vector<NetworkAttachment>>
network_attachments(const std::vector<std::string>& networks, const NetworkAttachment& flags);

} // namespace berth::cli
