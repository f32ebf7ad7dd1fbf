// SPDX-License-Identifier: Apache-2.0
// The embedded server within one container: its UDP socket, its TCP connections, and what of the
// answers is known here. Made by any thread; all else belongs to the loop's.
#pragma once

#include "base/synchronized.h"
#include "network/dns_forwarder.h"
#include "network/dns_names.h"
#include "network/dns_sockets.h"
#include "network/socket_loop.h"

#include <list>
#include <memory>
#include <optional>
#include <span>

namespace berth::network {

// What we answer ourselves; nullopt is for other servers to know.
std::optional<DnsReply>
resolve_dns(const DnsNames& names, const DnsView& view, const DnsQuestion& question);

class DnsTcpConnection;

class DnsClient final : public SocketHandler,
                        public DnsReplySink,
                        public std::enable_shared_from_this<DnsClient> {
  public:
    struct Parts {
        SocketLoop& loop;
        DnsForwarder& forwarder;
        const DnsNames& names;
        DnsListeners listeners;
        UniqueFd netns;
        DnsView view;
    };

    static std::shared_ptr<DnsClient> create(Parts parts);
    ~DnsClient() override;

    // From any thread: holds for the next question.
    void set_view(DnsView view);

    Result<void> open();
    // REQUIRES: nobody calls open() afterwards.
    void close();

    void on_ready(std::uint32_t events) override; // datagrams
    void send(const sockaddr_in& to, const DnsBytes& message) override;

    // The answer, or nothing when it comes later, through the sink, or never.
    DnsBytes answer(
        std::span<const std::uint8_t> request,
        const std::shared_ptr<DnsReplySink>& sink,
        const sockaddr_in& from,
        bool is_datagram);

    void drop(const DnsTcpConnection& connection);

  private:
    class Acceptor;

    explicit DnsClient(Parts parts);
    void accept_connections();

    SocketLoop& loop_;
    DnsForwarder& forwarder_;
    const DnsNames& names_;
    DnsListeners listeners_;
    Synchronized<std::shared_ptr<const DnsView>> view_;
    std::shared_ptr<DnsSource> source_;
    std::list<std::shared_ptr<DnsTcpConnection>> connections_; // the oldest first
};

} // namespace berth::network
