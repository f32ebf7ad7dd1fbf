// SPDX-License-Identifier: Apache-2.0
// Pump: the source is watched while the buffer is empty, the sink while it is not.
#include "io/pump.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace berth::io {
namespace {

bool is_transient(int error_number) {
    return error_number == EAGAIN || error_number == EINTR;
}

// MSG_NOSIGNAL where there is a socket: a library must not rely on SIGPIPE being ignored.
ssize_t write_quietly(int fd, std::string_view bytes) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent < 0 && errno == ENOTSOCK ? write(fd, bytes.data(), bytes.size()) : sent;
}

} // namespace

Pump::Pump(EventLoop& loop, UniqueFd source, UniqueFd sink, Options options, Done done)
    : loop_(loop)
    , source_(std::move(source))
    , sink_(std::move(sink))
    , options_(std::move(options))
    , done_(std::move(done))
    , buffer_(std::move(options_.prefix)) {}

Pump::~Pump() {
    unregister();
}

Result<std::unique_ptr<Pump>>
Pump::start(EventLoop& loop, UniqueFd source, UniqueFd sink, Options options, Done done) {
    TRY(set_nonblocking(source));
    TRY(set_nonblocking(sink));
    std::unique_ptr<Pump> pump(
        new Pump(loop, std::move(source), std::move(sink), std::move(options), std::move(done)));
    Pump* self = pump.get();
    const bool writing = !self->buffer_.empty();
    TRY(loop.add(self->source_, writing ? 0U : EPOLLIN, [self](std::uint32_t events) {
        self->handle_source(events);
    }));
    TRY(loop.add(self->sink_, writing ? EPOLLOUT : 0U, [self](std::uint32_t events) {
        self->handle_sink(events);
    }));
    return pump;
}

void Pump::unregister() {
    if (source_) {
        loop_.remove(source_);
    }
    if (sink_) {
        loop_.remove(sink_);
    }
}

void Pump::handle_source(std::uint32_t) {
    if (buffer_.empty()) {
        settle(read_some());
    } else if (source_) {
        // A hang-up, which epoll reports unasked, while the sink still has to take what was read:
        // stop watching, or the loop would spin. What the source holds is read later.
        loop_.remove(source_);
        source_hung_up_ = true;
    }
}

void Pump::handle_sink(std::uint32_t events) {
    if (!buffer_.empty()) {
        settle(write_some());
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        finish(Error::from_errno("write", EPIPE));
    }
}

Result<void> Pump::read_some() {
    buffer_.resize(options_.buffer_size);
    const ssize_t count = read(source_.get(), buffer_.data(), buffer_.size());
    const int error_number = errno;
    buffer_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (count > 0) {
        return write_some();
    }
    // A pseudo terminal's master says EIO once nobody has the other side open.
    if (count == 0 || error_number == EIO) {
        at_end_ = true;
        return ok();
    }
    if (!is_transient(error_number)) {
        return Error::from_errno("read", error_number);
    }
    return ok();
}

Result<void> Pump::write_some() {
    const std::string_view rest = std::string_view(buffer_).substr(written_);
    const ssize_t count = write_quietly(sink_.get(), rest);
    if (count < 0) {
        if (is_transient(errno)) {
            return ok();
        }
        return errno_error("write");
    }
    written_ += static_cast<std::size_t>(count);
    copied_ += static_cast<std::uint64_t>(count);
    if (written_ == buffer_.size()) {
        buffer_.clear();
        written_ = 0;
    }
    return ok();
}

void Pump::settle(Result<void> result) {
    if (!result.ok()) {
        finish(std::move(result).error());
        return;
    }
    if (at_end_) {
        if (options_.close_sink && shutdown(sink_.get(), SHUT_WR) != 0 && errno == ENOTSOCK) {
            loop_.remove(sink_);
            sink_.reset();
        }
        finish(copied_);
        return;
    }
    const bool writing = !buffer_.empty();
    if (!writing && std::exchange(source_hung_up_, false)) {
        result =
            loop_.add(source_, EPOLLIN, [this](std::uint32_t events) { handle_source(events); });
    } else if (!source_hung_up_) {
        result = loop_.modify(source_, writing ? 0U : EPOLLIN);
    }
    if (result.ok()) {
        result = loop_.modify(sink_, writing ? EPOLLOUT : 0U);
    }
    if (!result.ok()) {
        finish(std::move(result).error());
    }
}

void Pump::finish(Result<std::uint64_t> result) {
    unregister();
    source_.reset();
    sink_.reset();
    Done done = std::move(done_);
    done(std::move(result)); // may destroy this
}

} // namespace berth::io
