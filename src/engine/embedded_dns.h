// SPDX-License-Identifier: Apache-2.0
// The embedded DNS server as the engine has it: told of every endpoint, it knows the names in each
// user-defined network and serves the containers in them. Thread-safe; calls for one container come
// one at a time.
#pragma once

#include "base/synchronized.h"
#include "engine/daemon_config.h"
#include "engine/endpoint_watch.h"
#include "network/dns_server.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace berth::engine {

class EmbeddedDns final : public EndpointWatch {
  public:
    static Result<std::unique_ptr<EmbeddedDns>> start(const DaemonConfig& config);

    // A container whose DNS cannot be served runs without it; the log says so.
    void joined(const JoinedEndpoint& endpoint) override;
    void left(const std::string& container_id, const std::string& network_id) override;

  private:
    struct Member {
        network::DnsNetwork network;
        std::int64_t priority = 0;
        bool user_defined = false;
        bool internal = false;
        network::ResolvConf dns{}; // of the network itself
    };

    struct Container {
        std::vector<Member> members; // in the order in which names are looked up
        network::DnsView view;       // of these members
        // The user's or the daemon's; those of a network go before the daemon's.
        std::vector<kernel::IpAddress> servers{};
        bool has_own_servers = false;
    };

    EmbeddedDns(const DaemonConfig& config, std::unique_ptr<network::DnsServer> server)
        : config_(config)
        , server_(std::move(server)) {}

    static void refresh_view(Container& container);

    const DaemonConfig& config_;
    std::unique_ptr<network::DnsServer> server_;
    Synchronized<std::unordered_map<std::string, Container>> containers_;
};

} // namespace berth::engine
