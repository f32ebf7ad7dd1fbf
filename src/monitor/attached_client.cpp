// SPDX-License-Identifier: Apache-2.0
// Reading from and writing to an attached client without waiting.
#include "monitor/attached_client.h"

#include <array>
#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <sys/uio.h>

namespace berth::monitor {

AttachedClient::AttachedClient(UniqueFd connection, AttachStreams streams)
    : connection_(std::move(connection))
    , streams_(std::move(streams))
    , detach_filter_(streams_.detach_sequence)
    , input_open_(streams_.want_stdin) {}

bool AttachedClient::wants(io::Stream stream) const {
    switch (stream) {
    case io::Stream::Stdout:
        return streams_.want_stdout;
    case io::Stream::Stderr:
        return streams_.want_stderr;
    case io::Stream::Stdin:
    case io::Stream::SystemError:
    case io::Stream::Bookmark:
        return false;
    }
    return false;
}

// How many bytes of both parts the socket took.
std::size_t AttachedClient::send_now(std::string_view header, std::string_view bytes) {
    std::array<iovec, 2> parts{{
        {.iov_base = const_cast<char*>(header.data()), .iov_len = header.size()},
        {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()},
    }};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    ssize_t count = 0;
    do {
        count = sendmsg(connection_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno != EAGAIN) {
        output_open_ = false;
        queue_ = std::string();
        sent_ = 0;
    }
    return count < 0 ? 0 : static_cast<std::size_t>(count);
}

void AttachedClient::deliver(io::Stream stream, std::string_view bytes) {
    if (!output_open_ || finishing_ || !wants(stream)) {
        return;
    }
    const io::FrameHeader frame = io::make_frame_header(stream, bytes.size());
    std::string_view header(frame.data(), streams_.multiplexed ? frame.size() : 0);
    if (queued() == 0) {
        const std::size_t taken = send_now(header, bytes);
        const std::size_t of_header = std::min(taken, header.size());
        header.remove_prefix(of_header);
        bytes.remove_prefix(taken - of_header);
    }
    if (output_open_ && header.size() + bytes.size() > 0) {
        queue_.erase(0, std::exchange(sent_, 0));
        queue_ += header;
        queue_ += bytes;
    }
}

void AttachedClient::flush() {
    while (queued() > 0) {
        const std::size_t taken = send_now({}, std::string_view(queue_).substr(sent_));
        if (taken == 0) {
            return;
        }
        sent_ += taken;
    }
    queue_ = std::string(); // gives the memory back
    sent_ = 0;
}

AttachedClient::Input AttachedClient::read_input(std::span<char> buffer, std::string& typed) {
    typed.clear();
    const ssize_t count = recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return Input::Nothing;
    }
    if (count <= 0) {
        return Input::Ended; // a reset connection ends like one that was closed
    }
    auto filtered = detach_filter_.feed({buffer.data(), static_cast<std::size_t>(count)});
    typed = std::move(filtered.bytes);
    return filtered.detached ? Input::Detached : Input::Bytes;
}

std::string AttachedClient::take_leftover() {
    auto filtered = detach_filter_.feed(std::exchange(streams_.leftover, {}));
    return std::move(filtered.bytes);
}

void AttachedClient::finish() {
    finishing_ = true;
    input_open_ = false;
}

void AttachedClient::close() {
    if (!connection_) {
        return;
    }
    (void)shutdown(connection_.get(), SHUT_RDWR);
    // Closing a socket with unread input resets the connection, and the client would get an error
    // in place of the end, or even lose output (TCP).
    std::array<char, 4096> unread;
    for (int i = 0; i < 64; ++i) {
        if (recv(connection_.get(), unread.data(), unread.size(), MSG_DONTWAIT) <= 0) {
            break;
        }
    }
    connection_.reset();
}

} // namespace berth::monitor
