// SPDX-License-Identifier: Apache-2.0
// A UDP port of the host that is relayed. Each client has a socket of its own towards the
// container, so that answers find back to it. Belongs to the relay's thread.
#pragma once

#include "network/port_relay_parts.h"

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include <netinet/in.h>

namespace berth::network {

class RelayDatagrams final : public RelayedPort,
                             public SocketHandler,
                             public std::enable_shared_from_this<RelayDatagrams> {
  public:
    static std::shared_ptr<RelayDatagrams>
    create(RelayParts& parts, UniqueFd socket, const RelayTarget& target);

    Result<void> open() override;
    void close() override;
    void on_ready(std::uint32_t events) override;

  private:
    // Who sends, and which address of the host it sends to: that is where answers come from.
    struct Parties {
        std::array<std::uint8_t, 16> client{};
        std::array<std::uint8_t, 16> own{};
        std::uint32_t scope = 0; // of a link-local client
        std::uint16_t port = 0;

        auto operator<=>(const Parties&) const = default;
    };

    struct Client;
    using Clients = std::list<std::shared_ptr<Client>>; // longest silent first

    struct Client final : SocketHandler {
        explicit Client(RelayDatagrams& port)
            : owner(port) {}

        void on_ready(std::uint32_t /*events*/) override { owner.answer(*this); }

        RelayDatagrams& owner;
        Parties parties{};
        sockaddr_in6 address{};
        in6_pktinfo own{};
        UniqueFd socket{};
        SocketLoop::Clock::time_point heard{};
        bool was_answered = false;
        Clients::iterator place{};
    };

    RelayDatagrams(RelayParts& parts, UniqueFd socket, const RelayTarget& target)
        : parts_(parts)
        , socket_(std::move(socket))
        , target_(target) {}

    // Nothing when there is nothing.
    std::optional<std::size_t> receive(sockaddr_in6& from, in6_pktinfo& to);
    // nullptr when there is no room or no socket for it.
    Client* find(const sockaddr_in6& from, const in6_pktinfo& to);
    Result<std::shared_ptr<Client>> admit(const sockaddr_in6& from, const in6_pktinfo& to);
    bool make_room();
    void answer(Client& client);
    void touch(Client& client, bool is_answer);
    void forget(const std::shared_ptr<Client>& client);
    void expire();
    void await_expiry();

    Clients& list_of(const Client& client) { return client.was_answered ? answered_ : unanswered_; }

    RelayParts& parts_;
    UniqueFd socket_;
    RelayTarget target_;
    bool is_open_ = false;
    std::map<Parties, std::shared_ptr<Client>> clients_;
    Clients answered_;
    Clients unanswered_;
    std::optional<SocketLoop::TimerId> timer_;
};

} // namespace berth::network
