// SPDX-License-Identifier: Apache-2.0
// A client that went away is an error value, not SIGPIPE: MSG_NOSIGNAL, and where sendfile(2) knows
// no such flag, the signal blocked.
#include "http/socket_io.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>

#include <poll.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

namespace berth::http {

namespace {

Error broken(std::string_view what, int error_number) {
    return Error::from_errno(what, error_number).as(ErrorKind::Cancelled);
}

Result<void> wait_for(FdRef socket, short events, Milliseconds limit) {
    pollfd watched{.fd = socket.get(), .events = events, .revents = 0};
    int timeout = limit.count() == 0
                      ? -1
                      : static_cast<int>(std::min<Milliseconds::rep>(limit.count(), INT_MAX));
    while (true) {
        int ready = poll(&watched, 1, timeout);
        if (ready > 0) {
            return ok();
        }
        if (ready == 0) {
            return Error(
                ErrorKind::DeadlineExceeded,
                "the peer moved no data for " + std::to_string(limit.count()) + " ms");
        }
        if (errno != EINTR) {
            return errno_error("poll");
        }
    }
}

// Keeps this thread from SIGPIPE, and drops the one that was raised meanwhile.
class WithoutSigpipe {
  public:
    WithoutSigpipe() {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }

    ~WithoutSigpipe() {
        if (!was_pending_) {
            timespec now{};
            sigtimedwait(&pipe_, nullptr, &now);
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

    WithoutSigpipe(const WithoutSigpipe&) = delete;
    WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

  private:
    sigset_t pipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
};

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

} // namespace

iovec as_iovec(std::string_view bytes) {
    // SAFETY: iovec has no const form; sendmsg only reads.
    return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
}

Result<std::size_t> receive_some(FdRef socket, std::span<char> buffer, Milliseconds limit) {
    while (true) {
        ssize_t count = recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (would_block(errno)) {
            TRY(wait_for(socket, POLLIN, limit));
        } else if (errno != EINTR) {
            return broken("receive", errno);
        }
    }
}

Result<void> send_parts(FdRef socket, std::span<iovec> parts, Milliseconds limit) {
    skip(parts, 0);
    while (!parts.empty()) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        ssize_t count = sendmsg(socket.get(), &message, MSG_NOSIGNAL);
        if (count >= 0) {
            skip(parts, static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            TRY(wait_for(socket, POLLOUT, limit));
        } else if (errno != EINTR) {
            return broken("send", errno);
        }
    }
    return ok();
}

Result<void> send_bytes(FdRef socket, std::string_view bytes, Milliseconds limit) {
    iovec part = as_iovec(bytes);
    return send_parts(socket, std::span(&part, 1), limit);
}

Result<void> send_from_file(
    FdRef socket, FdRef file, std::uint64_t offset, std::uint64_t length, Milliseconds limit) {
    WithoutSigpipe guard;
    auto position = static_cast<off_t>(offset);
    while (length > 0) {
        std::size_t step = std::min<std::uint64_t>(length, 8U << 20);
        ssize_t count = sendfile(socket.get(), file.get(), &position, step);
        if (count > 0) {
            length -= static_cast<std::uint64_t>(count);
        } else if (count == 0) {
            return Error(ErrorKind::DataLoss, "the file ended before what was announced of it");
        } else if (would_block(errno)) {
            TRY(wait_for(socket, POLLOUT, limit));
        } else if (errno != EINTR) {
            return broken("sendfile", errno);
        }
    }
    return ok();
}

} // namespace berth::http
