// SPDX-License-Identifier: Apache-2.0
// Claims are abstract Unix sockets: exactly these belong to a network namespace, as bridges do.
#include "network/name_claim.h"

#include "base/poll.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>

#include <sys/socket.h>
#include <sys/un.h>

namespace berth::network {

namespace {

constexpr std::chrono::milliseconds interval{5};
constexpr std::chrono::milliseconds longest_claim_wait{500};

} // namespace

Result<UniqueFd> claim_name(std::string_view kind, const std::string& name) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno_error("open a socket");
    }
    const std::string text = "berth/network/" + std::string(kind) + "/" + name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (text.size() + 1 > sizeof address.sun_path) {
        return invalid_argument("the name of a " + std::string(kind) + " is too long: " + name);
    }
    // The zero byte in front makes it abstract: no file, gone with its last descriptor.
    std::copy(text.begin(), text.end(), address.sun_path + 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    // SAFETY: the sockets interface takes every address type through sockaddr.
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    // What an engine was just starting when it was killed has its claims until it executes its
    // program.
    int error = 0;
    const auto bind_it = [&] {
        error = ::bind(socket.get(), generic, size) == 0 ? 0 : errno;
        return error != EADDRINUSE;
    };
    if (!poll_until(bind_it, interval, longest_claim_wait)) {
        return conflict(
            std::string(kind) + " " + name + " belongs to another engine that runs on this host");
    }
    if (error != 0) {
        return Error::from_errno("claim " + std::string(kind) + " " + name, error);
    }
    return socket;
}

} // namespace berth::network
