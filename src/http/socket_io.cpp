// SPDX-License-Identifier: Apache-2.0
// A client that went away is an error value, not SIGPIPE: MSG_NOSIGNAL, and where sendfile(2) knows
// no such flag, the signal blocked.
#include "http/socket_io.h"

#include "base/without_sigpipe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::http {

namespace {

constexpr std::size_t record_bytes = 16U << 10; // of TLS

Error broken(std::string_view what, int error_number) {
    return Error::from_errno(what, error_number).as(ErrorKind::Cancelled);
}

Result<void> check_deadline(const Wire& wire) {
    if (wire.deadline && std::chrono::steady_clock::now() >= *wire.deadline) {
        return Error(ErrorKind::DeadlineExceeded, "the peer took too long");
    }
    return ok();
}

int poll_time(Milliseconds time) {
    return static_cast<int>(std::clamp<Milliseconds::rep>(time.count(), 0, INT_MAX));
}

Result<void> wait_for(const Wire& wire, short events, Milliseconds limit) {
    pollfd watched{.fd = wire.fd.get(), .events = events, .revents = 0};
    int timeout = limit.count() == 0 ? -1 : poll_time(limit);
    if (wire.deadline) {
        const int left = poll_time(
            std::chrono::ceil<Milliseconds>(*wire.deadline - std::chrono::steady_clock::now()));
        timeout = timeout < 0 ? left : std::min(timeout, left);
    }
    while (true) {
        int ready = poll(&watched, 1, timeout);
        if (ready > 0) {
            return ok();
        }
        if (ready == 0) {
            TRY(check_deadline(wire));
            return Error(
                ErrorKind::DeadlineExceeded,
                "the peer moved no data for " + std::to_string(limit.count()) + " ms");
        }
        if (errno != EINTR) {
            return errno_error("poll");
        }
    }
}

bool would_block(int error_number) {
    return error_number == EAGAIN || error_number == EWOULDBLOCK;
}

void skip(std::span<iovec>& parts, std::size_t count) {
    while (count > 0 || (!parts.empty() && parts.front().iov_len == 0)) {
        iovec& part = parts.front();
        std::size_t taken = std::min(count, part.iov_len);
        part.iov_base = static_cast<char*>(part.iov_base) + taken;
        part.iov_len -= taken;
        count -= taken;
        if (part.iov_len == 0) {
            parts = parts.subspan(1);
        }
    }
}

Result<void> send_encrypted(const Wire& wire, std::string_view bytes, Milliseconds limit) {
    while (!bytes.empty()) {
        ssize_t count = wire.send(bytes);
        if (count >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            TRY(wait_for(wire, POLLOUT, limit));
        } else {
            return broken("send", errno);
        }
    }
    return ok();
}

// Small parts go together: each call makes a record, and a packet.
Result<void> send_encrypted(const Wire& wire, std::span<const iovec> parts, Milliseconds limit) {
    std::string gathered;
    for (const iovec& part : parts) {
        std::string_view bytes(static_cast<const char*>(part.iov_base), part.iov_len);
        if (gathered.size() + bytes.size() <= record_bytes) {
            gathered += bytes;
            continue;
        }
        std::size_t fitting = record_bytes - gathered.size();
        gathered += bytes.substr(0, fitting);
        TRY(send_encrypted(wire, gathered, limit));
        gathered.clear();
        TRY(send_encrypted(wire, bytes.substr(fitting), limit));
    }
    return send_encrypted(wire, gathered, limit);
}

Result<void>
encrypt_from_file(const Wire& wire, std::string_view head, FilePart part, Milliseconds limit) {
    constexpr std::size_t buffer_bytes = 8 * record_bytes;
    std::vector<char> buffer(std::min<std::uint64_t>(head.size() + part.length, buffer_bytes));
    std::size_t filled = std::min(head.size(), buffer.size());
    std::copy_n(head.data(), filled, buffer.data());
    TRY(send_encrypted(wire, head.substr(filled), limit)); // of none but a huge one
    while (filled > 0 || part.length > 0) {
        std::size_t step = std::min<std::uint64_t>(part.length, buffer.size() - filled);
        ssize_t count =
            pread(part.file.get(), buffer.data() + filled, step, static_cast<off_t>(part.offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return errno_error("read a file");
        }
        if (count == 0 && step > 0) {
            return Error(ErrorKind::DataLoss, "the file ended before what was announced of it");
        }
        auto size = static_cast<std::size_t>(count);
        TRY(send_encrypted(wire, std::string_view(buffer.data(), filled + size), limit));
        part.offset += size;
        part.length -= size;
        filled = 0;
    }
    return ok();
}

// With a promise of more, so that no packet goes out with the head alone.
Result<void> send_first(const Wire& wire, std::string_view head, int flags, Milliseconds limit) {
    while (!head.empty()) {
        ssize_t count = send(wire.fd.get(), head.data(), head.size(), MSG_NOSIGNAL | flags);
        if (count >= 0) {
            head.remove_prefix(static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            TRY(wait_for(wire, POLLOUT, limit));
        } else if (errno != EINTR) {
            return broken("send", errno);
        }
    }
    return ok();
}

// The address at one end of a connection, as bytes; empty when it cannot be told.
std::string_view address_of(const sockaddr_storage& address) {
    // SAFETY: the family says which of the structures the kernel wrote.
    if (address.ss_family == AF_INET) {
        const auto& internet = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
        return {reinterpret_cast<const char*>(&internet), sizeof(internet)};
    }
    if (address.ss_family == AF_INET6) {
        const auto& internet = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
        return {reinterpret_cast<const char*>(&internet), sizeof(internet)};
    }
    return {};
}

// A machine reaches its own addresses from the same one.
bool is_within_machine(FdRef fd) {
    sockaddr_storage own{};
    sockaddr_storage other{};
    socklen_t own_size = sizeof(own);
    socklen_t other_size = sizeof(other);
    // SAFETY: both calls write at most the size that they are given.
    return getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
           getpeername(fd.get(), reinterpret_cast<sockaddr*>(&other), &other_size) == 0 &&
           !address_of(own).empty() && address_of(own) == address_of(other);
}

} // namespace

iovec as_iovec(std::string_view bytes) {
    // SAFETY: iovec has no const form; sendmsg only reads.
    return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
}

ssize_t Wire::receive(std::span<char> buffer) const {
    return tls != nullptr ? tls->receive(buffer) : recv(fd.get(), buffer.data(), buffer.size(), 0);
}

ssize_t Wire::send(std::string_view bytes) const {
    return tls != nullptr
               ? tls->send(bytes)
               : ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Result<void> wait_readable(Wire wire, Milliseconds limit) {
    return wait_for(wire, POLLIN, limit);
}

Result<void> wait_writable(Wire wire, Milliseconds limit) {
    return wait_for(wire, POLLOUT, limit);
}

Result<std::size_t> receive_some(Wire wire, std::span<char> buffer, Milliseconds limit) {
    while (true) {
        TRY(check_deadline(wire));
        ssize_t count = wire.receive(buffer);
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (would_block(errno)) {
            TRY(wait_for(wire, POLLIN, limit));
        } else if (errno != EINTR) {
            return broken("receive", errno);
        }
    }
}

Result<void> send_parts(Wire wire, std::span<iovec> parts, Milliseconds limit) {
    if (wire.tls != nullptr) {
        return send_encrypted(wire, parts, limit);
    }
    skip(parts, 0);
    while (!parts.empty()) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        ssize_t count = sendmsg(wire.fd.get(), &message, MSG_NOSIGNAL);
        if (count >= 0) {
            skip(parts, static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            TRY(wait_for(wire, POLLOUT, limit));
        } else if (errno != EINTR) {
            return broken("send", errno);
        }
    }
    return ok();
}

Result<void> send_bytes(Wire wire, std::string_view bytes, Milliseconds limit) {
    iovec part = as_iovec(bytes);
    return send_parts(wire, std::span(&part, 1), limit);
}

std::string hold_back_pacing(FdRef fd) {
    std::array<char, 32> control{};
    auto size = static_cast<socklen_t>(control.size() - 1);
    constexpr std::string_view plain = "reno"; // in every kernel, open to every user: tcp(7)
    if (getsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, control.data(), &size) != 0 ||
        setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, plain.data(), plain.size()) != 0) {
        return {};
    }
    return control.data();
}

void prepare_tcp(FdRef fd, const std::string& control) {
    int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!control.empty() && !is_within_machine(fd)) {
        setsockopt(
            fd.get(),
            IPPROTO_TCP,
            TCP_CONGESTION,
            control.data(),
            static_cast<socklen_t>(control.size()));
    }
}

Result<void> send_from_file(Wire wire, std::string_view head, FilePart part, Milliseconds limit) {
    if (wire.tls != nullptr) {
        return encrypt_from_file(wire, head, part, limit);
    }
    TRY(send_first(wire, head, part.length > 0 ? MSG_MORE : 0, limit));
    WithoutSigpipe guard;
    auto position = static_cast<off_t>(part.offset);
    while (part.length > 0) {
        std::size_t step = std::min<std::uint64_t>(part.length, 8U << 20);
        ssize_t count = sendfile(wire.fd.get(), part.file.get(), &position, step);
        if (count > 0) {
            part.length -= static_cast<std::uint64_t>(count);
        } else if (count == 0) {
            return Error(ErrorKind::DataLoss, "the file ended before what was announced of it");
        } else if (would_block(errno)) {
            TRY(wait_for(wire, POLLOUT, limit));
        } else if (errno != EINTR) {
            return broken("sendfile", errno);
        }
    }
    return ok();
}

} // namespace berth::http
