// SPDX-License-Identifier: Apache-2.0
// Sockets of the embedded DNS server. Those that listen are on 127.0.0.11 within a container's
// network namespace, on ports that the kernel picked: port 53 stays free for a server of the
// container's own, and what is sent to 127.0.0.11:53 is rewritten on its way.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "network/resolv_conf.h"

#include <cstdint>

#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {

inline constexpr std::uint32_t dns_server_address = 0x7f00000b; // 127.0.0.11
inline constexpr std::uint16_t dns_server_port = 53;

struct DnsListeners {
    UniqueFd udp;
    UniqueFd tcp; // listening
};

// Opens them and leads 127.0.0.11:53 to them; rules of an earlier call are replaced. Both are
// non-blocking.
Result<DnsListeners> open_dns_listeners(FdRef netns);

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

    static SocketAddress of(const kernel::IpAddress& ip, std::uint16_t port);
    // By its interface, if it names one, in the calling thread's network namespace. NotFound for an
    // interface that is not there.
    static Result<SocketAddress> of(const Nameserver& server, std::uint16_t port);
};

// A non-blocking socket that is, or will be, connected there: its port is the kernel's random
// choice, and it receives from that address alone. type: SOCK_DGRAM or SOCK_STREAM.
Result<UniqueFd> connect_to_dns_server(int type, const SocketAddress& server);

} // namespace berth::network
