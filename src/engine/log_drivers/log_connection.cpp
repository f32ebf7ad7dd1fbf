// SPDX-License-Identifier: Apache-2.0
// Sockets that do not block, waited for in short steps so that an engine that stops need not wait.
#include "engine/log_drivers/log_connection.h"

#include "base/free_with.h"
#include "base/strings.h"
#include "engine/log_drivers/log_tls.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds poll_step{100};

class Socket final : public LogConnection {
  public:
    Socket(UniqueFd fd, bool is_datagram, bool may_be_lost)
        : fd_(std::move(fd))
        , is_datagram_(is_datagram)
        , may_be_lost_(may_be_lost) {}

    Result<void> send(std::string_view bytes, std::stop_token stop) override {
        bool refused = false;
        while (!bytes.empty()) {
            const ssize_t count =
                ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count >= 0) {
                bytes.remove_prefix(is_datagram_ ? bytes.size() : static_cast<std::size_t>(count));
            } else if (errno == ECONNREFUSED && may_be_lost_) {
                if (refused) {
                    return ok(); // told of an earlier datagram, and again: nobody is there
                }
                refused = true;
            } else if (errno == EAGAIN || errno == ENOBUFS) {
                TRY(wait_for_socket(fd_, POLLOUT, send_limit(), stop));
            } else if (errno != EINTR) {
                return errno_error("write");
            }
        }
        return ok();
    }

    Result<std::size_t>
    receive(std::span<char> buffer, milliseconds limit, std::stop_token stop) override {
        while (true) {
            const ssize_t count = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (count > 0) {
                return static_cast<std::size_t>(count);
            }
            if (count == 0) {
                return Error(ErrorKind::Cancelled, "the connection was closed");
            }
            if (errno == EAGAIN) {
                TRY(wait_for_socket(fd_, POLLIN, limit, stop));
            } else if (errno != EINTR) {
                return errno_error("read");
            }
        }
    }

    bool is_closed() override {
        char byte = 0;
        return !is_datagram_ && recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }

  private:
    UniqueFd fd_;
    bool is_datagram_;
    bool may_be_lost_;
};

Result<UniqueFd> open_unix(const std::string& path, int type, std::stop_token stop) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return invalid_argument("dial unix " + path + ": no path of a socket");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return errno_error("socket");
    }
    const auto limit = Clock::now() + log_connection_time;
    // SAFETY: a sockaddr_un is what AF_UNIX expects.
    while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int number = errno;
        // A full backlog: there is nothing to poll for.
        if (number != EAGAIN || stop.stop_requested() || Clock::now() > limit) {
            return Error::from_errno(
                std::string("dial ") + (type == SOCK_DGRAM ? "unixgram " : "unix ") + path +
                    ": connect",
                number);
        }
        (void)poll(nullptr, 0, static_cast<int>(poll_step.count()));
    }
    return fd;
}

Result<UniqueFd> connect_one(const addrinfo& found, std::stop_token stop) {
    UniqueFd fd(socket(found.ai_family, found.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return errno_error("socket");
    }
    if (connect(fd.get(), found.ai_addr, found.ai_addrlen) == 0) {
        return fd;
    }
    if (errno != EINPROGRESS) {
        return errno_error("connect");
    }
    TRY(wait_for_socket(fd, POLLOUT, log_connection_time, stop));
    int failure = 0;
    socklen_t size = sizeof failure;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) {
        return Error::from_errno("connect", failure);
    }
    return fd;
}

Result<UniqueFd> open_network(const LogAddress& address, std::stop_token stop) {
    const bool is_udp = address.kind == LogAddress::Kind::Udp;
    const std::string what =
        std::string("dial ") + (is_udp ? "udp " : "tcp ") + address.host + ":" + address.port;
    addrinfo hints{};
    hints.ai_socktype = is_udp ? SOCK_DGRAM : SOCK_STREAM;
    addrinfo* list = nullptr;
    const char* host = address.host.empty() ? "localhost" : address.host.c_str();
    if (const int failure = getaddrinfo(host, address.port.c_str(), &hints, &list); failure != 0) {
        return Error(ErrorKind::Unavailable, what + ": lookup: " + gai_strerror(failure));
    }
    const std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>> owner(list);
    std::optional<Error> last;
    for (const addrinfo* found = list; found != nullptr; found = found->ai_next) {
        auto connected = connect_one(*found, stop);
        if (connected.ok()) {
            return connected;
        }
        last = std::move(connected).error();
    }
    return last.value_or(Error(ErrorKind::Unavailable, "no address")).with_context(what);
}

} // namespace

Result<void>
wait_for_socket(FdRef fd, short events, milliseconds limit, const std::stop_token& stop) {
    const auto end = Clock::now() + limit;
    while (true) {
        pollfd wanted{.fd = fd.get(), .events = events, .revents = 0};
        const int ready = poll(&wanted, 1, static_cast<int>(poll_step.count()));
        if (ready > 0) {
            return ok();
        }
        if (ready < 0 && errno != EINTR) {
            return errno_error("poll");
        }
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the engine stops");
        }
        if (Clock::now() > end) {
            return Error(ErrorKind::DeadlineExceeded, "i/o timeout");
        }
    }
}

Result<HostPort> parse_host_port(std::string_view text, std::string_view default_port) {
    HostPort parsed;
    std::string_view rest = text;
    if (rest.starts_with('[')) {
        const auto parts = cut(rest.substr(1), "]");
        if (!parts) {
            return invalid_argument("address " + std::string(text) + ": missing ']' in address");
        }
        parsed.host = parts->before;
        rest = parts->after;
    } else {
        const std::size_t colon = std::min(rest.find(':'), rest.size());
        parsed.host = rest.substr(0, colon);
        rest.remove_prefix(colon);
    }
    if (rest.starts_with(':') && rest.find(':', 1) == std::string_view::npos) {
        parsed.port = rest.substr(1);
    } else if (!rest.empty()) {
        return invalid_argument("address " + std::string(text) + ": too many colons in address");
    } else if (default_port.empty()) {
        return invalid_argument("address " + std::string(text) + ": missing port in address");
    } else {
        parsed.port = default_port;
    }
    return parsed;
}

Result<std::unique_ptr<LogConnection>>
LogConnection::open(const LogAddress& address, const LogTls& tls, std::stop_token stop) {
    using Kind = LogAddress::Kind;
    UniqueFd fd;
    if (address.kind == Kind::UnixStream || address.kind == Kind::UnixDatagram) {
        const int type = address.kind == Kind::UnixStream ? SOCK_STREAM : SOCK_DGRAM;
        fd = TRY(open_unix(address.path, type, stop));
    } else {
        fd = TRY(open_network(address, stop));
    }
    if (address.kind == Kind::Tls) {
        return open_log_tls(std::move(fd), address.host, tls, stop);
    }
    return std::unique_ptr<LogConnection>(
        std::make_unique<Socket>(std::move(fd), address.is_datagram(), address.kind == Kind::Udp));
}

} // namespace berth::engine
