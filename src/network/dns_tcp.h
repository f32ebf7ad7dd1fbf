// SPDX-License-Identifier: Apache-2.0
// One client's connection to the embedded server (RFC 7766): queries one behind the other, answers
// as they come. Belongs to the loop's thread.
#pragma once

#include "network/dns_forwarder.h"
#include "network/socket_loop.h"

#include <memory>
#include <optional>

namespace berth::network {

class DnsClient;

class DnsTcpConnection final : public SocketHandler,
                               public DnsReplySink,
                               public std::enable_shared_from_this<DnsTcpConnection> {
  public:
    struct Parts {
        SocketLoop& loop;
        std::weak_ptr<DnsClient> client;
        UniqueFd socket;
    };

    static std::shared_ptr<DnsTcpConnection> create(Parts parts);

    Result<void> open();
    void close(); // the client drops it

    void on_ready(std::uint32_t events) override;
    void send(const sockaddr_in& to, const DnsBytes& message) override;

  private:
    explicit DnsTcpConnection(Parts parts)
        : parts_(std::move(parts)) {}

    void await_more();
    bool read();
    void answer_queries();
    void flush();

    Parts parts_;
    DnsBytes received_;
    DnsBytes unsent_;
    bool waits_to_write_ = false;
    std::optional<SocketLoop::TimerId> timer_; // idle
};

} // namespace berth::network
