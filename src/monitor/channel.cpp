// SPDX-License-Identifier: Apache-2.0
// Framing over kernel/socket.h.
#include "monitor/channel.h"

#include "kernel/socket.h"

#include <array>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace berth::monitor {
namespace {

constexpr std::size_t receive_size = 4096;

} // namespace

Result<bool> MessageReceiver::receive(FdRef socket) {
    std::array<char, receive_size> bytes;
    auto result = kernel::receive_with_descriptors(socket, bytes);
    if (!result.ok()) {
        if (result.error().error_number() == EAGAIN) {
            return true;
        }
        return std::move(result).error();
    }
    kernel::Received received = std::move(result).value();
    buffer_.append(bytes.data(), received.size);
    for (UniqueFd& fd : received.descriptors) {
        descriptors_.push_back(std::move(fd));
    }
    if (descriptors_.size() > kernel::max_passed_descriptors) {
        return invalid_argument("more descriptors than messages of the monitor protocol");
    }
    return received.size > 0;
}

Result<std::optional<Message>> MessageReceiver::next() {
    if (buffer_.size() < message_header_size) {
        return std::optional<Message>();
    }
    Message message;
    message.header = TRY(decode_header(std::string_view(buffer_).substr(0, message_header_size)));
    const std::size_t whole = message_header_size + message.header.body_size;
    if (buffer_.size() < whole) {
        return std::optional<Message>();
    }
    if (descriptors_.size() < message.header.descriptors) {
        return invalid_argument("a message of the monitor protocol lacks its descriptors");
    }
    message.body = buffer_.substr(message_header_size, message.header.body_size);
    buffer_.erase(0, whole);
    if (buffer_.empty()) {
        buffer_ = std::string(); // a big message must not stay as capacity
    }
    for (std::uint16_t i = 0; i < message.header.descriptors; ++i) {
        message.descriptors.push_back(std::move(descriptors_.front()));
        descriptors_.pop_front();
    }
    return std::optional(std::move(message));
}

Result<std::size_t>
send_some(FdRef socket, std::string_view bytes, std::span<const int> descriptors) {
    auto sent = kernel::send_with_descriptors(socket, bytes, descriptors);
    if (!sent.ok() && sent.error().error_number() == EAGAIN) {
        return std::size_t{0};
    }
    return sent;
}

Result<void> send_whole(FdRef socket, std::string_view bytes, std::span<const int> descriptors) {
    while (!bytes.empty()) {
        const std::size_t count = TRY(send_some(socket, bytes, descriptors));
        if (count == 0) {
            pollfd writable{.fd = socket.get(), .events = POLLOUT, .revents = 0};
            (void)poll(&writable, 1, -1);
            continue;
        }
        descriptors = {};
        bytes.remove_prefix(count);
    }
    return ok();
}

bool peer_is_trusted(FdRef socket) {
    const Result<ucred> peer = kernel::peer_credentials(socket);
    return peer.ok() && (peer.value().uid == 0 || peer.value().uid == geteuid());
}

} // namespace berth::monitor
