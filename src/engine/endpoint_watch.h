// SPDX-License-Identifier: Apache-2.0
// Who wants to know which containers are in which networks: the embedded DNS server. One watcher,
// told of each endpoint that a running container gains or loses, and again of all of them by an
// engine that has just started.
#pragma once

#include "base/unique_fd.h"
#include "engine/container_record.h"
#include "kernel/netlink_address.h"
#include "network/resolv_conf.h"

#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

// A link that is private to one container: `alias` stands for another container's name there.
struct EndpointLink {
    std::string container; // name or id
    std::string alias;
};

struct JoinedEndpoint {
    const ContainerDefinition&
        definition; // dns servers, search domains and options of the container
    std::string network_id;
    std::string network_name;
    bool user_defined = false; // the embedded DNS serves these; the default bridge has none
    bool internal = false;     // no way out: queries are not forwarded from here
    // Docker's DNSNames, the first is what a reverse look-up says: the container's name, aliases,
    // short id, host name.
    std::vector<std::string> names;
    std::vector<EndpointLink> links;
    network::ResolvConf dns; // of the network itself
    std::optional<kernel::IpAddress> ip;
    std::optional<kernel::IpAddress> ip_v6;
    FdRef netns; // the container's network namespace
};

class EndpointWatch {
  public:
    virtual ~EndpointWatch() = default;

    // Before the container's program starts, or while it runs. Called again for the same container
    // and network when its names have changed: the later call counts.
    virtual void joined(const JoinedEndpoint& endpoint) = 0;

    // When the container is disconnected or has ended.
    virtual void left(const std::string& container_id, const std::string& network_id) = 0;
};

} // namespace berth::engine
