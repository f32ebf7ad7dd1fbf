// SPDX-License-Identifier: Apache-2.0
// Addresses of sockets in tests, of either version of IP.
#pragma once

#include "kernel/netlink_address.h"

#include <cstdint>
#include <cstring>
#include <span>

#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }

    // Also as a socket for both versions sees a client of IPv4: ::ffff:a.b.c.d.
    kernel::IpAddress ip() const {
        if (storage.ss_family == AF_INET) {
            sockaddr_in v4{};
            std::memcpy(&v4, &storage, sizeof v4);
            return kernel::IpAddress::from_v4(ntohl(v4.sin_addr.s_addr));
        }
        sockaddr_in6 v6{};
        std::memcpy(&v6, &storage, sizeof v6);
        const std::span<const std::uint8_t> bytes(v6.sin6_addr.s6_addr);
        const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        return kernel::IpAddress::from_bytes(mapped ? bytes.last(4) : bytes);
    }

    std::uint16_t port() const {
        sockaddr_in either{}; // the port has the same place in both
        std::memcpy(&either, &storage, sizeof either);
        return ntohs(either.sin_port);
    }
};

inline SocketAddress socket_address(const kernel::IpAddress& ip, std::uint16_t port) {
    SocketAddress address;
    if (ip.is_v4()) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v4.sin_addr.s_addr = htonl(ip.v4());
        std::memcpy(&address.storage, &v4, sizeof v4);
        address.size = sizeof v4;
    } else {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&v6.sin6_addr, ip.bytes().data(), sizeof v6.sin6_addr);
        std::memcpy(&address.storage, &v6, sizeof v6);
        address.size = sizeof v6;
    }
    return address;
}

inline int family_of(const kernel::IpAddress& ip) {
    return ip.is_v4() ? AF_INET : AF_INET6;
}

} // namespace berth::network
