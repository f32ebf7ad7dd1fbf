// SPDX-License-Identifier: Apache-2.0
// A TCP port of the host that is relayed: accepts, as far as there is room. Belongs to the relay's
// thread.
#pragma once

#include "network/port_relay_connection.h"
#include "network/port_relay_parts.h"

#include <cstdint>
#include <memory>
#include <set>

namespace berth::network {

class RelayListener final : public RelayedPort,
                            public SocketHandler,
                            public std::enable_shared_from_this<RelayListener> {
  public:
    static std::shared_ptr<RelayListener>
    create(RelayParts& parts, UniqueFd socket, const RelayTarget& target);

    Result<void> open() override;
    void close() override;
    void on_ready(std::uint32_t events) override;

  private:
    RelayListener(RelayParts& parts, UniqueFd socket, const RelayTarget& target)
        : parts_(parts)
        , socket_(std::move(socket))
        , target_(target) {}

    Result<void> listen();
    // Further clients wait in the kernel's queue.
    void pause();
    void resume();
    void carry(UniqueFd client);
    void forget(const std::shared_ptr<RelayConnection>& connection);

    RelayParts& parts_;
    UniqueFd socket_;
    RelayTarget target_;
    bool is_open_ = false;
    bool is_paused_ = false;
    std::set<std::shared_ptr<RelayConnection>> connections_;
};

} // namespace berth::network
