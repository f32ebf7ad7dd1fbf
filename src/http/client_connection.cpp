// SPDX-License-Identifier: Apache-2.0
// Sockets are non-blocking all along: socket_io.h waits where it must.
#include "http/client_connection.h"

#include "base/free_with.h"

#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace berth::http {

namespace {

Error cannot_connect(const Endpoint& endpoint, int error_number) {
    ErrorKind kind = error_number == EACCES || error_number == EPERM ? ErrorKind::Forbidden
                                                                     : ErrorKind::Unavailable;
    return Error::from_errno("connect to " + endpoint.to_string(), error_number).as(kind);
}

// 0 or an errno.
int connect_within(
    const UniqueFd& fd, const sockaddr* address, socklen_t size, Milliseconds limit) {
    int error = connect(fd.get(), address, size) == 0 ? 0 : errno;
    // A Unix socket whose backlog is full says EAGAIN and cannot be waited for.
    for (int i = 0; error == EAGAIN && i < limit.count() / 5; ++i) {
        poll(nullptr, 0, 5);
        error = connect(fd.get(), address, size) == 0 ? 0 : errno;
    }
    if (error != EINPROGRESS && error != EINTR) {
        return error;
    }
    pollfd watched{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    int ready = 0;
    do {
        ready = poll(
            &watched, 1, static_cast<int>(std::min<Milliseconds::rep>(limit.count(), INT_MAX)));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return ETIMEDOUT;
    }
    socklen_t length = sizeof(error);
    return getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

Result<UniqueFd> open_unix(const Endpoint& endpoint, Milliseconds limit) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (endpoint.path.empty() || endpoint.path.size() >= sizeof(address.sun_path)) {
        return invalid_argument(
            "socket path \"" + endpoint.path + "\" is empty or longer than " +
            std::to_string(sizeof(address.sun_path) - 1) + " bytes");
    }
    std::memcpy(address.sun_path, endpoint.path.data(), endpoint.path.size());
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return errno_error("socket");
    }
    // SAFETY: connect takes every address family through sockaddr.
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (int error = connect_within(fd, generic, sizeof(address), limit); error != 0) {
        return cannot_connect(endpoint, error);
    }
    return fd;
}

Result<UniqueFd> open_tcp(const Endpoint& endpoint, Milliseconds limit) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    std::string port = std::to_string(endpoint.port);
    if (int error = getaddrinfo(endpoint.host.c_str(), port.c_str(), &hints, &found); error != 0) {
        return Error(
            ErrorKind::Unavailable,
            "connect to " + endpoint.to_string() + ": " + gai_strerror(error));
    }
    std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>> addresses(found);
    int error = EADDRNOTAVAIL;
    for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
        UniqueFd fd(
            socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        const std::string control = fd ? hold_back_pacing(fd) : std::string();
        error = fd ? connect_within(fd, address->ai_addr, address->ai_addrlen, limit) : errno;
        if (error == 0) {
            prepare_tcp(fd, control);
            return fd;
        }
    }
    return cannot_connect(endpoint, error);
}

} // namespace

Result<UniqueFd> open_connection(const Endpoint& endpoint, Milliseconds limit) {
    switch (endpoint.kind) {
    case Endpoint::Kind::Unix:
        return open_unix(endpoint, limit);
    case Endpoint::Kind::Tcp:
        return open_tcp(endpoint, limit);
    }
    return invalid_argument("unknown kind of endpoint");
}

bool is_still_open(const UniqueFd& fd) {
    char byte = 0;
    return recv(fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

Result<void> set_blocking(const UniqueFd& fd) {
    int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return errno_error("fcntl");
    }
    return ok();
}

} // namespace berth::http
