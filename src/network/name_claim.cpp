// SPDX-License-Identifier: Apache-2.0
// Claims are abstract Unix sockets: exactly these belong to a network namespace, as bridges do.
#include "network/name_claim.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>

namespace berth::network {

namespace {

constexpr int attempts = 100; // 0.5 s
constexpr std::chrono::milliseconds interval{5};

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
    int bound = ::bind(socket.get(), generic, size);
    for (int i = 0; i < attempts && bound != 0 && errno == EADDRINUSE; ++i) {
        std::this_thread::sleep_for(interval);
        bound = ::bind(socket.get(), generic, size);
    }
    if (bound == 0) {
        return socket;
    }
    if (errno == EADDRINUSE) {
        return conflict(
            std::string(kind) + " " + name + " belongs to another engine that runs on this host");
    }
    return errno_error("claim " + std::string(kind) + " " + name);
}

} // namespace berth::network
