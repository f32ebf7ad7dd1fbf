// SPDX-License-Identifier: Apache-2.0
// One SOCK_SEQPACKET message each.
#include "runtime/sync.h"

#include "kernel/socket.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::size_t max_message = 8192;
constexpr std::string_view end_of_sync = "the other side is gone";

// The child is ours, but it has seen a container's files: its bytes are checked as any others.
Error decode_error(std::string_view bytes) {
    constexpr std::size_t header = 1 + sizeof(std::int32_t);
    if (bytes.size() < header ||
        static_cast<unsigned char>(bytes[0]) > static_cast<unsigned char>(ErrorKind::Internal)) {
        return internal_error("a container's process sent a broken message");
    }
    auto kind = static_cast<ErrorKind>(bytes[0]);
    std::int32_t number = 0;
    std::memcpy(&number, bytes.data() + 1, sizeof number);
    std::string text(bytes.substr(header));
    return Error(kind, std::move(text));
}

} // namespace

Result<void> send_sync(FdRef socket, SyncKind kind, const UniqueFd& descriptor) {
    const char byte = static_cast<char>(kind);
    const int fd = descriptor.get();
    TRY(kernel::send_with_descriptors(
        socket, std::string_view(&byte, 1), std::span<const int>(&fd, descriptor ? 1 : 0)));
    return ok();
}

void send_sync_error(FdRef socket, const Error& error) {
    std::string message(1, static_cast<char>(SyncKind::Error));
    message += static_cast<char>(error.kind());
    const std::int32_t number = error.error_number();
    std::array<char, sizeof number> bytes;
    std::memcpy(bytes.data(), &number, sizeof number);
    message.append(bytes.data(), bytes.size());
    message += error.message().substr(0, max_message - message.size());
    // Nobody is left to tell when the creator is gone.
    [[maybe_unused]] auto sent = kernel::send_with_descriptors(socket, message, {});
}

Result<void> offer_listener(FdRef socket, const UniqueFd& listener) {
    std::array<char, 1 + sizeof(std::int32_t)> message{static_cast<char>(SyncKind::Listener)};
    const std::int32_t number = listener.get();
    std::memcpy(message.data() + 1, &number, sizeof number);
    if (::write(socket.get(), message.data(), message.size()) < 0) {
        return errno_error("offer the seccomp listener");
    }
    char answer = 0;
    ssize_t got = 0;
    while ((got = ::read(socket.get(), &answer, 1)) < 0 && errno == EINTR) {
    }
    if (got != 1 || answer != static_cast<char>(SyncKind::Go)) {
        return Error(ErrorKind::Unavailable, "nobody takes the seccomp listener");
    }
    return ok();
}

bool is_end_of_sync(const Error& error) {
    return error.kind() == ErrorKind::Unavailable && error.message() == end_of_sync;
}

Result<SyncMessage> receive_sync(FdRef socket) {
    std::array<char, max_message> buffer;
    Result<kernel::Received> result = kernel::receive_with_descriptors(socket, buffer);
    // A reset is an end with a message of ours unread.
    if (result.ok() ? result->size == 0 : result.error().error_number() == ECONNRESET) {
        return Error(ErrorKind::Unavailable, std::string(end_of_sync));
    }
    kernel::Received received = TRY(std::move(result));
    SyncMessage message;
    switch (buffer[0]) {
    case static_cast<char>(SyncKind::Error):
        return decode_error(std::string_view(buffer.data(), received.size).substr(1));
    case static_cast<char>(SyncKind::Hooks):
    case static_cast<char>(SyncKind::Ready):
    case static_cast<char>(SyncKind::Go):
        message.kind = static_cast<SyncKind>(buffer[0]);
        break;
    case static_cast<char>(SyncKind::Listener): {
        std::int32_t number = -1;
        if (received.size < 1 + sizeof number) {
            return internal_error("a container's process sent a broken message");
        }
        std::memcpy(&number, buffer.data() + 1, sizeof number);
        message.kind = SyncKind::Listener;
        message.listener = number;
        break;
    }
    default:
        return internal_error("a container's process sent a broken message");
    }
    if (received.descriptors.size() == 1) {
        message.descriptor = std::move(received.descriptors[0]);
    }
    return message;
}

} // namespace berth::runtime
