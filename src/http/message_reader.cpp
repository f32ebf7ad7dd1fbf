// SPDX-License-Identifier: Apache-2.0
// Bodies with a length go from the socket straight into the reader's buffer.
#include "http/message_reader.h"

#include <algorithm>
#include <cstring>

namespace berth::http {

namespace {

constexpr std::size_t read_step = 16U << 10;
constexpr std::size_t chunk_line_limit = 64U << 10; // a chunk's header with extensions, or trailers

Error ended_early(std::string_view where) {
    return Error(
        ErrorKind::DataLoss, "the connection ended in the middle of " + std::string(where));
}

} // namespace

Result<std::size_t> MessageReader::fill() {
    if (before_waiting_) {
        auto action = std::exchange(before_waiting_, nullptr);
        TRY(action());
    }
    std::size_t size = buffer_.size();
    buffer_.resize(size + read_step);
    auto count = receive_some(wire_, std::span(buffer_).subspan(size), options_.wait);
    buffer_.resize(size + (count.ok() ? *count : 0));
    if (count.ok()) {
        ended_ = *count == 0;
        received_ = received_ || *count > 0;
    }
    return count;
}

void MessageReader::consume(std::size_t count) {
    position_ += count;
    if (position_ == buffer_.size()) {
        buffer_.clear();
        position_ = 0;
    } else if (position_ >= read_step) {
        buffer_.erase(0, position_);
        position_ = 0;
    }
}

Result<void> MessageReader::read_head() {
    while (true) {
        if (!unread().empty()) {
            consume(TRY(parser_.parse_head(unread())));
            if (parser_.head_done()) {
                return ok();
            }
        }
        if (TRY(fill()) == 0) {
            return ended_early("a message's head");
        }
    }
}

bool MessageReader::until_close() const {
    const Head& head = parser_.head();
    return options_.kind == MessageKind::Response && !head.chunked && !head.content_length;
}

std::optional<std::uint64_t> MessageReader::body_length() const {
    const Head& head = parser_.head();
    if (no_body_) {
        return 0;
    }
    if (head.chunked || until_close()) {
        return std::nullopt;
    }
    return head.content_length.value_or(0);
}

bool MessageReader::body_done() const {
    if (std::optional<std::uint64_t> length = body_length()) {
        return body_read_ >= *length;
    }
    return until_close() ? ended_ && position_ == buffer_.size() : parser_.chunks_done();
}

Result<std::size_t> MessageReader::read_counted(std::span<char> buffer, std::uint64_t left) {
    std::size_t wanted = std::min<std::uint64_t>(buffer.size(), left);
    if (unread().empty() && wanted < read_step) {
        TRY(fill());
    }
    std::size_t count = std::min(wanted, unread().size());
    if (count > 0) {
        std::memcpy(buffer.data(), unread().data(), count);
        consume(count);
    } else if (!ended_) {
        if (before_waiting_) {
            auto action = std::exchange(before_waiting_, nullptr);
            TRY(action());
        }
        count = TRY(receive_some(wire_, buffer.first(wanted), options_.wait));
        ended_ = count == 0;
    }
    body_read_ += count;
    return count;
}

Result<std::size_t> MessageReader::read_chunks(std::span<char> buffer) {
    while (!parser_.chunks_done()) {
        Parser::Progress progress = TRY(parser_.parse_chunks(unread(), buffer));
        consume(progress.consumed);
        if (progress.produced > 0) {
            return progress.produced;
        }
        if (progress.consumed > 0) {
            continue;
        }
        if (unread().size() > chunk_line_limit) {
            return invalid_argument("malformed HTTP message: a chunk's header is too long");
        }
        if (TRY(fill()) == 0) {
            return ended_early("a chunked body");
        }
    }
    return std::size_t{0};
}

Result<std::size_t> MessageReader::read(std::span<char> buffer) {
    if (buffer.empty() || body_done()) {
        return std::size_t{0};
    }
    std::optional<std::uint64_t> length = body_length();
    if (!length && !until_close()) {
        return read_chunks(buffer);
    }
    std::size_t count = TRY(read_counted(buffer, length ? *length - body_read_ : UINT64_MAX));
    if (count == 0 && length) {
        return ended_early("a body");
    }
    return count;
}

bool MessageReader::discard_body(std::uint64_t limit) {
    char buffer[16384];
    std::uint64_t dropped = 0;
    while (!body_done() && dropped <= limit) {
        auto count = read(buffer);
        if (!count.ok()) {
            return false;
        }
        dropped += *count;
    }
    return body_done();
}

std::string MessageReader::take_leftover() {
    std::string leftover = std::move(buffer_).substr(position_);
    buffer_.clear();
    position_ = 0;
    return leftover;
}

} // namespace berth::http
