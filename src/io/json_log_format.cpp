// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/master/daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go has
// the order of the members and the escapes. Written by hand: the monitor links no JSON library, and
// a log is read back at the speed of the disk.
#include "io/json_log_format.h"

#include "base/strings.h"
#include "base/utf8.h"

#include <array>
#include <cstdint>

namespace berth::io {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

// 1: stands for itself. Everything from 0x80 on is looked at as UTF-8.
constexpr std::array<bool, 256> make_plain() {
    std::array<bool, 256> plain{};
    for (std::size_t i = 0x20; i < 0x80; ++i) {
        plain[i] = i != '"' && i != '\\' && i != '<' && i != '>' && i != '&';
    }
    return plain;
}

constexpr std::array<bool, 256> is_plain = make_plain();

// How many bytes at the front stand for themselves. Whole blocks first, without a branch for each
// byte: compilers make vector instructions of that.
std::size_t plain_size(std::string_view text) {
    constexpr std::size_t block = 32;
    std::size_t size = 0;
    for (; size + block <= text.size(); size += block) {
        unsigned char special = 0;
        for (std::size_t i = 0; i < block; ++i) {
            const auto byte = static_cast<unsigned char>(text[size + i]);
            special |= static_cast<unsigned char>(
                (byte < 0x20) | (byte >= 0x80) | (byte == '"') | (byte == '\\') | (byte == '<') |
                (byte == '>') | (byte == '&'));
        }
        if (special != 0) {
            break;
        }
    }
    while (size < text.size() && is_plain[static_cast<unsigned char>(text[size])]) {
        ++size;
    }
    return size;
}

// The escape of what stands at the front; how many bytes it stands for.
std::size_t append_escaped(std::string& out, std::string_view text) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte >= 0x80) {
        const std::size_t size = utf8_size(text);
        const std::string_view character = text.substr(0, size);
        if (size == 0) {
            out += "\\ufffd";
        } else if (character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9") {
            out += "\\u202";
            out += hex_digits[static_cast<unsigned char>(character[2]) & 0xfU];
        } else {
            out += character;
        }
        return size == 0 ? 1 : size;
    }
    switch (byte) {
    case '"':
        out += "\\\"";
        break;
    case '\\':
        out += "\\\\";
        break;
    case '\n':
        out += "\\n";
        break;
    case '\r':
        out += "\\r";
        break;
    default:
        out += "\\u00";
        out += hex_digits[byte >> 4U];
        out += hex_digits[byte & 0xfU];
        break;
    }
    return 1;
}

void append_utf8(std::string& out, std::uint32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xc0U | code >> 6U);
        out += static_cast<char>(0x80U | (code & 0x3fU));
    } else if (code < 0x10000) {
        out += static_cast<char>(0xe0U | code >> 12U);
        out += static_cast<char>(0x80U | (code >> 6U & 0x3fU));
        out += static_cast<char>(0x80U | (code & 0x3fU));
    } else {
        out += static_cast<char>(0xf0U | code >> 18U);
        out += static_cast<char>(0x80U | (code >> 12U & 0x3fU));
        out += static_cast<char>(0x80U | (code >> 6U & 0x3fU));
        out += static_cast<char>(0x80U | (code & 0x3fU));
    }
}

std::size_t find_end_or_escape(std::string_view text) {
    constexpr std::size_t block = 32;
    std::size_t at = 0;
    for (; at + block <= text.size(); at += block) {
        unsigned char special = 0;
        for (std::size_t i = 0; i < block; ++i) {
            const char byte = text[at + i];
            special |= static_cast<unsigned char>((byte == '"') | (byte == '\\'));
        }
        if (special != 0) {
            break;
        }
    }
    while (at < text.size() && text[at] != '"' && text[at] != '\\') {
        ++at;
    }
    return at;
}

// Reads one line from its front.
class LineParser {
  public:
    explicit LineParser(std::string_view rest)
        : rest_(rest) {}

    bool take(char byte) {
        skip_space();
        if (!rest_.starts_with(byte)) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }

    // Appends a string's characters.
    bool string(std::string& out) {
        if (!take('"')) {
            return false;
        }
        while (true) {
            const std::size_t end = find_end_or_escape(rest_);
            if (end == rest_.size()) {
                return false;
            }
            out += rest_.substr(0, end);
            const bool is_escape = rest_[end] == '\\';
            rest_.remove_prefix(end + 1);
            if (!is_escape) {
                return true;
            }
            if (!unescape_one(out)) {
                return false;
            }
        }
    }

    std::string_view rest() const { return rest_; }

    // Whatever value stands here.
    bool skip_value() {
        std::string ignored;
        skip_space();
        if (rest_.starts_with('"')) {
            return string(ignored);
        }
        std::size_t depth = 0;
        while (!rest_.empty()) {
            const char byte = rest_.front();
            if (byte == '"') {
                if (!string(ignored)) {
                    return false;
                }
                continue;
            }
            if (depth == 0 && (byte == ',' || byte == '}')) {
                return true;
            }
            depth += byte == '{' || byte == '[' ? 1U : 0U;
            if ((byte == '}' || byte == ']') && depth-- == 0) {
                return false;
            }
            rest_.remove_prefix(1);
        }
        return false;
    }

    bool at_end() {
        skip_space();
        return rest_.empty();
    }

  private:
    void skip_space() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
            rest_.remove_prefix(1);
        }
    }

    bool unescape_one(std::string& out) {
        if (rest_.empty()) {
            return false;
        }
        const char kind = rest_.front();
        rest_.remove_prefix(1);
        constexpr std::string_view from = "nrtbf\"\\/";
        constexpr std::string_view to = "\n\r\t\b\f\"\\/";
        if (const std::size_t at = from.find(kind); at != std::string_view::npos) {
            out += to[at];
            return true;
        }
        return kind == 'u' && unescape_code(out);
    }

    bool unescape_code(std::string& out) {
        auto code = parse_number<std::uint32_t>(rest_.substr(0, 4), 16);
        if (rest_.size() < 4 || !code.ok()) {
            return false;
        }
        rest_.remove_prefix(4);
        std::uint32_t value = code.value();
        if (value >= 0xd800 && value < 0xdc00 && rest_.starts_with("\\u") && rest_.size() >= 6) {
            const auto low = parse_number<std::uint32_t>(rest_.substr(2, 4), 16);
            if (low.ok() && low.value() >= 0xdc00 && low.value() < 0xe000) {
                value = 0x10000 + ((value - 0xd800) << 10U) + (low.value() - 0xdc00);
                rest_.remove_prefix(6);
            }
        }
        append_utf8(out, value >= 0xd800 && value < 0xe000 ? 0xfffdU : value);
        return true;
    }

    std::string_view rest_;
};

} // namespace

void append_json_text(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t plain = plain_size(text);
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (!text.empty()) {
            text.remove_prefix(append_escaped(out, text));
        }
    }
}

void append_json_log_line(
    std::string& out, std::string_view text, bool has_feed, std::string_view tail) {
    out += R"({"log":")";
    append_json_text(out, text);
    if (has_feed) {
        out += "\\n";
    }
    out += tail;
}

std::string json_log_tail(Stream stream, std::string_view attributes, Timestamp time) {
    std::string tail = R"(","stream":")";
    tail += stream == Stream::Stderr ? "stderr" : "stdout";
    tail += '"';
    if (!attributes.empty()) {
        tail += R"(,"attrs":)";
        tail += attributes;
    }
    tail += R"(,"time":")";
    tail += format_rfc3339(time);
    tail += "\"}\n";
    return tail;
}

std::optional<JsonLogLine> JsonLogParser::parse(std::string_view line, std::string& text) {
    constexpr std::string_view head = R"({"log":)";
    const std::size_t before = text.size();
    std::string_view behind;
    if (line.starts_with(head)) {
        LineParser parser(line.substr(head.size()));
        if (parser.string(text)) {
            behind = parser.rest();
        }
        if (!behind.empty() && behind == tail_) {
            JsonLogLine parsed = tail_line_;
            parsed.text = std::string_view(text).substr(before);
            return parsed;
        }
        text.resize(before);
    }
    const auto parsed = parse_whole(line, text);
    if (!parsed) {
        text.resize(before);
    } else if (behind.find("log") == std::string_view::npos) { // named once, so this is its tail
        tail_ = behind;
        tail_line_ = *parsed;
    }
    return parsed;
}

std::optional<JsonLogLine> JsonLogParser::parse_whole(std::string_view line, std::string& text) {
    LineParser parser(line);
    JsonLogLine parsed;
    bool has_time = false;
    const std::size_t before = text.size();
    if (!parser.take('{')) {
        return std::nullopt;
    }
    while (!parser.take('}')) {
        std::string name;
        std::string value;
        if (!parser.string(name) || !parser.take(':')) {
            return std::nullopt;
        }
        if (name == "log") {
            text.resize(before);
            if (!parser.string(text)) {
                return std::nullopt;
            }
        } else if (name == "stream") {
            if (!parser.string(value)) {
                return std::nullopt;
            }
            parsed.stream = value == "stderr" ? Stream::Stderr : Stream::Stdout;
        } else if (name == "time") {
            const auto time = parser.string(value) ? parse_rfc3339(value)
                                                   : Result<Timestamp>(invalid_argument("no text"));
            if (!time.ok()) {
                return std::nullopt;
            }
            parsed.time = time.value();
            has_time = true;
        } else if (!parser.skip_value()) {
            return std::nullopt;
        }
        (void)parser.take(',');
    }
    parsed.text = std::string_view(text).substr(before);
    return has_time && parser.at_end() ? std::optional(parsed) : std::nullopt;
}

} // namespace berth::io
