// SPDX-License-Identifier: Apache-2.0
// One question to other servers, until one has answered: over UDP from a fresh socket (so with a
// random port) with a random id each time, over TCP where the answer was cut short, the next server
// where one fails or stays silent. Belongs to the loop's thread.
#pragma once

#include "network/dns_message.h"
#include "network/dns_sockets.h"
#include "network/resolv_conf.h"
#include "network/socket_loop.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace berth::network {

struct DnsExchangeOptions {
    std::uint16_t port = dns_server_port; // of the servers
    // A round asks every server once; the second one is more patient.
    std::chrono::milliseconds first_patience{1500};
    std::chrono::milliseconds second_patience{3000};
};

class DnsExchange final : public SocketHandler, public std::enable_shared_from_this<DnsExchange> {
  public:
    struct Parts {
        SocketLoop& loop;
        const DnsExchangeOptions& options;
        DnsQuery query;
        std::vector<Nameserver> servers;
        int netns = -1; // -1: the loop's own; else it must stay open until the end
        std::function<void(const Nameserver&)> on_silence;
        // Called once, with nothing when nobody answered.
        std::function<void(std::optional<DnsAnswer>)> on_end;
    };

    static std::shared_ptr<DnsExchange> create(Parts parts);
    ~DnsExchange() override;

    // May end at once, within the call.
    void start() { attempt(); }

    // Ends without an answer, and without a call of on_end.
    void abandon();

    void on_ready(std::uint32_t events) override;

  private:
    explicit DnsExchange(Parts parts)
        : parts_(std::move(parts)) {}

    const Nameserver& server() const { return parts_.servers[attempts_ % parts_.servers.size()]; }

    void attempt(); // asks the server whose turn it is
    bool open(int type);
    void next(); // the turn of the server after it
    void close();
    void on_timeout();
    void on_datagram();
    void on_stream(std::uint32_t events);
    void read_stream();
    void take(DnsAnswer answer);
    void end(std::optional<DnsAnswer> answer);

    Parts parts_;
    std::size_t attempts_ = 0;
    std::uint16_t id_ = 0;
    UniqueFd socket_;
    bool is_stream_ = false;
    bool is_sent_ = false; // over TCP
    bool ended_ = false;
    int strays_ = 0;
    DnsBytes received_;                  // over TCP
    std::optional<DnsAnswer> truncated_; // what UDP gave
    std::optional<SocketLoop::TimerId> timer_;
};

} // namespace berth::network
