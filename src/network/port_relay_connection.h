// SPDX-License-Identifier: Apache-2.0
// One TCP connection of a client to a relayed port, and the one to the container that goes with it.
// The end of either direction is passed on by itself, a reset is passed on as one, and nothing is
// read that there is no room for. Belongs to the relay's thread.
#pragma once

#include "network/port_relay_parts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace berth::network {

class RelayConnection : public std::enable_shared_from_this<RelayConnection> {
  public:
    using Ended = std::function<void(const std::shared_ptr<RelayConnection>&)>;

    // `ended` is called once.
    static std::shared_ptr<RelayConnection> create(RelayParts& parts, UniqueFd client, Ended ended);

    // A container that cannot be reached resets the client.
    void open(const RelayTarget& container);
    // The port is withdrawn.
    void finish();

  private:
    struct Side final : SocketHandler {
        explicit Side(RelayConnection& connection)
            : owner(connection) {}

        void on_ready(std::uint32_t events) override { owner.on_ready(*this, events); }

        RelayConnection& owner;
        UniqueFd socket{};
        std::uint32_t awaited = 0;
        bool is_watched = false;
    };

    // One direction.
    struct Flow {
        Side& from;
        Side& to;
        std::optional<Pipe> pipe{};
        std::size_t pending = 0; // bytes in the pipe
        bool is_done = false;    // read to the end, and the other side was told
    };

    RelayConnection(RelayParts& parts, UniqueFd client, Ended ended)
        : parts_(parts)
        , ended_(std::move(ended)) {
        client_.socket = std::move(client);
    }

    Result<void> connect(const RelayTarget& container);
    void on_ready(Side& side, std::uint32_t events);
    // False when one of the two connections is broken.
    bool move(Flow& flow);
    bool fill(Flow& flow);
    bool drain(Flow& flow);
    Result<void> await(Side& side, std::uint32_t events);
    Result<void> await_more();
    // Resets both sides.
    void break_off();
    void end();

    RelayParts& parts_;
    Ended ended_;
    Side client_{*this};
    Side container_{*this};
    Flow inward_{client_, container_};
    Flow outward_{container_, client_};
    bool is_connecting_ = true;
};

// Of a listening socket too, for those that it accepts.
void set_relay_options(FdRef socket);

} // namespace berth::network
