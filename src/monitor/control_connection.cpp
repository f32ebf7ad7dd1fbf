// SPDX-License-Identifier: Apache-2.0
// Requests are answered one after the other, in their order.
#include "monitor/control_connection.h"

#include <utility>

#include <sys/socket.h>

namespace berth::monitor {

ControlConnection::ControlConnection(io::EventLoop& loop, UniqueFd socket, Handlers handlers)
    : loop_(loop)
    , socket_(std::move(socket))
    , handlers_(std::move(handlers)) {}

ControlConnection::~ControlConnection() {
    loop_.remove(socket_);
}

Result<std::unique_ptr<ControlConnection>>
ControlConnection::open(io::EventLoop& loop, UniqueFd socket, Handlers handlers) {
    TRY(io::set_nonblocking(socket));
    std::unique_ptr<ControlConnection> connection(
        new ControlConnection(loop, std::move(socket), std::move(handlers)));
    ControlConnection* self = connection.get();
    TRY(loop.add(self->socket_, EPOLLIN, [self](std::uint32_t events) { self->handle(events); }));
    return connection;
}

void ControlConnection::handle(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
        flush();
    }
    if (!broken_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        broken_ = !handle_readable().value_or(false) || broken_;
    }
    if (broken_) {
        handlers_.on_closed(*this);
    }
}

// False when the other side has closed; an error when it does not speak the protocol.
Result<bool> ControlConnection::handle_readable() {
    const bool open = TRY(receiver_.receive(socket_));
    while (auto message = TRY(receiver_.next())) {
        Result<Request> request = decode_request(message->header, message->body);
        const Notice answer =
            request.ok() ? handlers_.on_request(std::move(request).value(), message->descriptors)
                         : Notice(Failed{.error = std::move(request).error()});
        send(encode(answer, message->header.request));
    }
    return open;
}

void ControlConnection::send(std::string_view message) {
    if (!broken_) {
        queue_ += message;
        flush();
    }
}

void ControlConnection::flush() {
    while (!queue_.empty()) {
        const Result<std::size_t> sent = send_some(socket_, queue_, {});
        if (!sent.ok() || queue_.size() - sent.value() > queue_limit) {
            broken_ = true;
            queue_.clear();
            (void)shutdown(socket_.get(), SHUT_RDWR); // the hang-up event tells the owner
            return;
        }
        if (sent.value() == 0) {
            break;
        }
        queue_.erase(0, sent.value());
    }
    VERIFY(loop_.modify(socket_, queue_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT).ok());
}

} // namespace berth::monitor
