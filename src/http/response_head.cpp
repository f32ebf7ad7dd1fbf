// SPDX-License-Identifier: Apache-2.0
// Heads are written by hand: there is nothing to parse in them.
#include "http/response_head.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

namespace berth::http {

namespace {

void append_field(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ");
    for (char c : value) {
        head += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? ' ' : c;
    }
    head += "\r\n";
}

std::string date_text() {
    std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 40> text{};
    // Berth never calls setlocale(), so %a and %b are English.
    std::size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return std::string(text.data(), size);
}

void append_framing(std::string& head, const Headers& headers, const Framing& framing) {
    switch (framing.kind) {
    case Framing::Kind::Length:
        append_field(head, "Content-Length", std::to_string(framing.length));
        break;
    case Framing::Kind::Chunked:
        append_field(head, "Transfer-Encoding", "chunked");
        break;
    case Framing::Kind::Close:
    case Framing::Kind::None:
        break;
    }
    if (headers.contains("Connection")) {
        return;
    }
    if (!framing.keep_alive) {
        append_field(head, "Connection", "close");
    } else if (framing.minor_version == 0) {
        append_field(head, "Connection", "keep-alive");
    }
}

bool is_framing(std::string_view name) {

    return equals_ignoring_case(name, "Content-Length") ||
           equals_ignoring_case(name, "Transfer-Encoding");
}

} // namespace

std::string response_head(
    const ServerOptions& options, unsigned status, const Headers& headers, const Framing& framing) {
    std::string head;
    head.reserve(512);
    head.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    head.append(reason_phrase(status)).append("\r\n");
    for (const Headers::Field& field : headers) {
        if (!is_framing(field.name)) {
            append_field(head, field.name, field.value);
        }
    }
    for (const Headers::Field& field : options.default_headers) {
        if (!headers.contains(field.name)) {
            append_field(head, field.name, field.value);
        }
    }
    if (!headers.contains("Date")) {
        append_field(head, "Date", date_text());
    }
    append_framing(head, headers, framing);
    head += "\r\n";
    return head;
}

std::string
error_response(const ServerOptions& options, unsigned status, std::string_view message) {
    ErrorBody answer{"text/plain; charset=utf-8", std::string(message) + "\n"};
    if (options.error_body) {
        answer = options.error_body(status, message);
    }
    Headers headers{{"Content-Type", answer.content_type}};
    Framing framing{
        .kind = Framing::Kind::Length, .length = answer.body.size(), .keep_alive = false};
    return response_head(options, status, headers, framing) + answer.body;
}

void drop_empty_lines(std::string& bytes) {
    bytes.erase(0, bytes.find_first_not_of("\r\n"));
}

bool may_be_request(std::string_view bytes) {
    constexpr std::size_t longest_method = 32;
    std::string_view method = bytes.substr(0, bytes.find(' '));
    bool letters = std::ranges::all_of(method, [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
    });
    return letters && method.size() <= longest_method;
}

// The worker parses the head and judges it; what is odd here is its affair.
bool may_be_served(std::string_view bytes, const Limits& limits) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        return false;
    }
    std::optional<std::uint64_t> length;
    std::string_view rest = bytes.substr(0, end);
    while (const auto lines = cut(rest, "\r\n")) {
        const std::size_t next = lines->after.find("\r\n");
        const auto field = cut(lines->after.substr(0, next), ":");
        const std::string_view name = field ? field->before : std::string_view();
        if (equals_ignoring_case(name, "Content-Length")) {
            const auto told = parse_number<std::uint64_t>(trim(field->after));
            if (length || !told.ok()) {
                return true;
            }
            length = *told;
        } else if (
            equals_ignoring_case(name, "Expect") || // such a client waits for us
            equals_ignoring_case(name, "Transfer-Encoding")) {
            return true;
        }
        rest = lines->after;
    }
    return !length ||
           *length > std::min<std::uint64_t>(limits.awaited_body_bytes, limits.body_bytes) ||
           bytes.size() - end - 4 >= *length;
}

} // namespace berth::http
