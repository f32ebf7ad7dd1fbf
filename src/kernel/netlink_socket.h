// SPDX-License-Identifier: Apache-2.0
// A netlink socket over libmnl: sends a batch and gathers the kernel's answers, with the extended
// acknowledgement's sentence in the error. A socket belongs to the network namespace of the thread
// that opened it, for good. Not thread-safe.
#pragma once

#include "base/result.h"
#include "kernel/netlink_message.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct mnl_socket;
struct nlmsghdr;

namespace berth::kernel {

// One answer to one message of a batch.
struct NetlinkReply {
    std::uint32_t sequence = 0;
    int error_number = 0; // 0: done
    std::string message;  // the kernel's own words, often empty
};

// The replies (acknowledgements and errors) in a buffer that recv(2) filled.
std::vector<NetlinkReply> parse_netlink_replies(std::span<const std::byte> buffer);

// The protocols in use: NETLINK_ROUTE and NETLINK_NETFILTER, whose headers clash with those of the
// C library.
constexpr int route_protocol = 0;
constexpr int netfilter_protocol = 12;

// No datagram of the kernel is larger.
constexpr std::size_t receive_buffer_bytes = 32U << 10;

class NetlinkSocket {
  public:
    // In the calling thread's network namespace.
    static Result<NetlinkSocket> open(int protocol);

    // Sends and returns all replies. Netlink handles requests before sendmsg returns, so nothing
    // here waits.
    Result<std::vector<NetlinkReply>> exchange(NetlinkBatch& batch);

    // The same, where any error reply becomes the Error "<message's description>: <errno text>
    // (<kernel's words>)". Messages that want an acknowledgement carry NLM_F_ACK.
    Result<void> execute(NetlinkBatch& batch);

    // Sends one request that is answered with one message, or with an error reply.
    Result<void> query(NetlinkBatch& request, const std::function<void(const nlmsghdr&)>& visit);

    // Sends one NLM_F_DUMP request and calls visit for each message of the answer. Starts again
    // (so visit must be idempotent or reset by restart()) when the kernel says that the dump was
    // interrupted by a change.
    Result<void> dump(
        NetlinkBatch& request,
        const std::function<void()>& restart,
        const std::function<void(const nlmsghdr&)>& visit);

    // By which the kernel tells whose request a change was.
    std::uint32_t port_id() const;

    // The interface keeps the socket's namespace alive; this ends that.
    void close() { socket_.reset(); }

  private:
    struct Closer {
        void operator()(mnl_socket* socket) const;
    };

    explicit NetlinkSocket(std::unique_ptr<mnl_socket, Closer> socket)
        : socket_(std::move(socket)) {}

    Result<void> send(std::span<const std::byte> bytes);

    std::unique_ptr<mnl_socket, Closer> socket_;
};

// The Error for a reply to a batch's message.
Error netlink_error(const NetlinkBatch& batch, const NetlinkReply& reply);

} // namespace berth::kernel
