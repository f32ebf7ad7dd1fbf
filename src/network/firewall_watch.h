// SPDX-License-Identifier: Apache-2.0
// Writes the firewall again, within milliseconds, when another program removes of it: after
// `nft flush ruleset` or a firewall's reload, networks would be open to each other and published
// ports closed until the next change. One thread that sleeps until then; a program that removes
// rules again and again is answered ever more slowly, up to once a second.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace berth::network {

struct FirewallWatchCallbacks {
    std::function<Result<void>()> rebuild; // something of the table was removed
    std::function<Result<void>()> follow;  // other tables got a chain, or more than one
    std::function<Result<void>()> look;    // other tables were changed in another way
};

class FirewallWatch {
  public:
    // In the calling thread's network namespace. The callbacks come from the watch's thread;
    // changes by the netlink socket with the given port id are not noticed.
    static Result<std::unique_ptr<FirewallWatch>>
    start(std::string table, std::uint32_t own_port_id, FirewallWatchCallbacks callbacks);
    ~FirewallWatch();
    FirewallWatch(const FirewallWatch&) = delete;
    FirewallWatch& operator=(const FirewallWatch&) = delete;

  private:
    struct State;
    explicit FirewallWatch(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
