// SPDX-License-Identifier: Apache-2.0
// Tells at once when somebody deletes a bridge or a labeled interface of the host, which containers
// may be joined by. One thread that sleeps until then. While something cannot be made good, each
// change of the host's interfaces is told of, since it may be what was in the way; a host whose
// interfaces change all the time is answered ever more seldom, once a second at least.
#pragma once

#include "base/result.h"
#include "kernel/netlink_link_watch.h"

#include <functional>
#include <memory>

namespace berth::network {

class BridgeWatch {
  public:
    // Comes from the watch's thread. False: something is still to be made good.
    using Heal = std::function<bool(const kernel::LinkNews&)>;

    // `links` may be older than what the caller knows of the host: nothing that went since then is
    // missed. The thread belongs to the calling thread's network namespace.
    static Result<std::unique_ptr<BridgeWatch>> start(kernel::LinkWatch links, Heal heal);
    ~BridgeWatch();
    BridgeWatch(const BridgeWatch&) = delete;
    BridgeWatch& operator=(const BridgeWatch&) = delete;

  private:
    struct State;
    explicit BridgeWatch(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::network
