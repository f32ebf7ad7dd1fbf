// SPDX-License-Identifier: Apache-2.0
// The sender's own thread writes while the socket takes it; the loop only finishes what is left.
#include "http/connection_stream.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include <sys/socket.h>

namespace berth::http {

ConnectionStream::ConnectionStream(
    std::shared_ptr<Server::Loop> loop, ConnectionRef connection, Setup setup)
    : loop_(std::move(loop))
    , connection_(std::move(connection))
    , setup_(std::move(setup)) {}

void ConnectionStream::push(std::string message) {
    queued_bytes_ += message.size();
    queue_.push_back(std::move(message));
}

void ConnectionStream::enqueue(std::string_view bytes) {
    if (!setup_.chunked) {
        push(std::string(bytes));
        return;
    }
    std::array<char, 20> size{};
    char* end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
    std::string message;
    message.reserve(bytes.size() + 12);
    message.append(size.data(), end).append("\r\n").append(bytes).append("\r\n");
    push(std::move(message));
}

// Breaks the connection; the loop hears of it and calls hang_up().
void ConnectionStream::disconnect() {
    broken_ = true;
    shutdown(connection_->fd.get(), SHUT_RDWR);
}

void ConnectionStream::write_queued() {
    while (!queue_.empty() && !broken_) {
        std::string_view rest = std::string_view(queue_.front()).substr(sent_of_front_);
        ssize_t count = connection_->wire().send(rest);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            loop_->watch_stream(*connection_, true);
            return;
        }
        if (count < 0) {
            disconnect();
            return;
        }
        sent_of_front_ += static_cast<std::size_t>(count);
        queued_bytes_ -= static_cast<std::size_t>(count);
        if (sent_of_front_ == queue_.front().size()) {
            queue_.pop_front();
            sent_of_front_ = 0;
        }
    }
}

ConnectionStream::Room ConnectionStream::ensure_room(std::size_t size) {
    std::size_t limit = setup_.options.buffer_limit;
    if (queue_.empty() || queued_bytes_ + size <= limit) {
        return Room::Yes;
    }
    switch (setup_.options.slow_reader) {
    case SlowReader::Disconnect:
        disconnect();
        return Room::Broken;
    case SlowReader::BackPressure:
        starved_ = true;
        return Room::Full;
    case SlowReader::DropOldest: {
        // A message that was begun must be finished, or the framing is lost.
        std::size_t first = sent_of_front_ > 0 ? 1 : 0;
        while (queue_.size() > first && queued_bytes_ + size > limit) {
            auto oldest = queue_.begin() + static_cast<std::ptrdiff_t>(first);
            queued_bytes_ -= oldest->size();
            queue_.erase(oldest);
        }
        return Room::Yes;
    }
    }
    return Room::Broken;
}

Stream::Outcome ConnectionStream::send(std::string bytes) {
    std::lock_guard lock(mutex_);
    if (closed_ || finished_ || broken_) {
        return Outcome::Closed;
    }
    if (bytes.empty() || setup_.discard) {
        return Outcome::Sent; // an empty chunk would end the response
    }
    switch (ensure_room(bytes.size())) {
    case Room::Broken:
        return Outcome::Closed;
    case Room::Full:
        return Outcome::Full;
    case Room::Yes:
        break;
    }
    bool idle = queue_.empty();
    enqueue(bytes);
    if (idle) {
        write_queued();
    }
    return broken_ ? Outcome::Closed : Outcome::Sent;
}

void ConnectionStream::finish() {
    std::unique_lock lock(mutex_);
    if (closed_ || finished_ || broken_) {
        return;
    }
    finished_ = true;
    bool idle = queue_.empty();
    if (setup_.chunked && !setup_.discard) {
        push("0\r\n\r\n");
    }
    if (idle) {
        write_queued();
    }
    if (queue_.empty()) {
        end(std::move(lock));
    }
}

// All is sent: the connection goes on, or ends.
void ConnectionStream::end(std::unique_lock<std::mutex> lock) {
    closed_ = true;
    auto callback = std::exchange(close_callback_, nullptr);
    writable_callback_ = nullptr;
    lock.unlock();
    if (setup_.keep_alive) {
        loop_->resume(connection_, std::move(setup_.leftover));
    } else {
        loop_->close_gently(connection_);
    }
    if (callback) {
        callback();
    }
}

void ConnectionStream::flush() {
    std::unique_lock lock(mutex_);
    if (closed_) {
        return;
    }
    write_queued();
    if (queue_.empty() && finished_ && !broken_) {
        end(std::move(lock));
        return;
    }
    if (queue_.empty() || broken_) {
        loop_->watch_stream(*connection_, false);
    }
    std::function<void()> callback;
    if (starved_ && queued_bytes_ <= setup_.options.buffer_limit / 2) {
        starved_ = false;
        callback = writable_callback_;
    }
    lock.unlock();
    if (callback) {
        callback();
    }
}

bool ConnectionStream::hang_up() {
    std::unique_lock lock(mutex_);
    if (closed_) {
        return false;
    }
    closed_ = true;
    queue_.clear();
    auto callback = std::exchange(close_callback_, nullptr);
    writable_callback_ = nullptr;
    lock.unlock();
    if (callback) {
        callback();
    }
    return true;
}

void ConnectionStream::on_close(std::function<void()> callback) {
    {
        std::lock_guard lock(mutex_);
        if (!closed_) {
            close_callback_ = std::move(callback);
            return;
        }
    }
    callback();
}

void ConnectionStream::on_writable(std::function<void()> callback) {
    std::lock_guard lock(mutex_);
    if (!closed_) {
        writable_callback_ = std::move(callback);
    }
}

bool ConnectionStream::closed() const {
    std::lock_guard lock(mutex_);
    return closed_ || broken_;
}

} // namespace berth::http
