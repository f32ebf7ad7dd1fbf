// SPDX-License-Identifier: Apache-2.0
// One message read from a socket: head, then body piece by piece, then what came behind it.
// Internal to this library; used by one thread.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"
#include "http/parser.h"
#include "http/socket_io.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace berth::http {

class MessageReader final : public ByteSource {
  public:
    struct Options {
        MessageKind kind = MessageKind::Request;
        ParserLimits limits{64U << 10, 256};
        Milliseconds wait{0}; // without a byte
    };

    // The connection must outlive the object; buffered is what was read from it already.
    MessageReader(Wire wire, std::string buffered, Options options)
        : wire_(wire)
        , options_(options)
        , buffer_(std::move(buffered))
        , parser_(options.kind, options.limits) {}

    // Blocks until the head is there. DataLoss when the peer ends before.
    Result<void> read_head();

    Head& head() { return parser_.head(); }

    // A response to HEAD, or with status 1xx, 204, 304: whatever its head says.
    void ignore_body() { no_body_ = true; }

    // Called once, before the first byte of a body is awaited that is not here yet (100-continue).
    void before_waiting(std::function<Result<void>()> action) {
        before_waiting_ = std::move(action);
    }

    // nullopt: chunked, or until the connection closes.
    std::optional<std::uint64_t> body_length() const;
    Result<std::size_t> read(std::span<char> buffer) override;
    bool body_done() const;

    // Reads and drops at most `limit` bytes; whether the body is done now.
    bool discard_body(std::uint64_t limit);

    // What was read behind the message.
    std::string take_leftover();

    bool has_received() const { return received_; }

  private:
    bool until_close() const;
    Result<std::size_t> fill();
    Result<std::size_t> read_counted(std::span<char> buffer, std::uint64_t left);
    Result<std::size_t> read_chunks(std::span<char> buffer);

    void consume(std::size_t count);

    std::string_view unread() const { return std::string_view(buffer_).substr(position_); }

    Wire wire_;
    Options options_;
    std::string buffer_;
    std::size_t position_ = 0;
    Parser parser_;
    std::function<Result<void>()> before_waiting_;
    std::uint64_t body_read_ = 0;
    bool no_body_ = false;
    bool ended_ = false; // the peer finished
    bool received_ = false;
};

} // namespace berth::http
