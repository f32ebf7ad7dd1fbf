// SPDX-License-Identifier: Apache-2.0
// Boost.Beast's HTTP/1 parser behind a small wall: its headers take seconds to compile and stay in
// parser.cpp. For the server and the client of this library only.
#pragma once

#include "base/result.h"
#include "http/headers.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::http {

enum class MessageKind : std::uint8_t { Request, Response };

struct Head {
    std::string method; // of a request
    std::string target;
    unsigned status = 0; // of a response
    std::string reason;
    Headers headers;
    std::uint8_t minor_version = 1;
    bool keep_alive = true;
    bool chunked = false;
    std::optional<std::uint64_t> content_length;
};

struct ParserLimits {
    std::size_t head_bytes;
    std::size_t header_fields;
};

class Parser {
  public:
    explicit Parser(MessageKind kind, ParserLimits limits);
    ~Parser();

    // Bytes from the start of what was not consumed yet; how many of them are consumed now. Once
    // head_done(), head() is complete. ResourceExhausted when a limit is passed, InvalidArgument
    // for what is no HTTP.
    Result<std::size_t> parse_head(std::string_view bytes);
    bool head_done() const;
    const Head& head() const;
    Head& head();

    struct Progress {
        std::size_t consumed = 0;
        std::size_t produced = 0;
    };

    // Decodes chunks. REQUIRES: head().chunked. No progress means that more bytes are needed.
    Result<Progress> parse_chunks(std::string_view bytes, std::span<char> out);
    bool chunks_done() const;

    class Machine;

  private:
    std::unique_ptr<Machine> machine_;
};

} // namespace berth::http
