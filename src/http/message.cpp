// SPDX-License-Identifier: Apache-2.0
// Limits of bodies, status phrases, and the head of a hijacked stream.
#include "http/message.h"

#include "http/response_writer.h"

#include <algorithm>
#include <utility>

namespace berth::http {

std::string_view Request::upgrade_protocol() const {
    return headers.has_token("Connection", "upgrade") ? headers.get("Upgrade") : std::string_view();
}

Error Body::too_large() {
    limit_passed_ = true;
    return Error(
        ErrorKind::ResourceExhausted,
        "the request body is larger than the limit of " + std::to_string(limit_) + " bytes");
}

Result<std::size_t> Body::read(std::span<char> buffer) {
    if (length_ && *length_ > limit_) {
        return too_large();
    }
    std::size_t count = TRY(source_.read(buffer));
    consumed_ += count;
    if (consumed_ > limit_) {
        return too_large();
    }
    return count;
}

Result<std::string> Body::read_all(std::uint64_t limit) {
    set_limit(std::min(limit_, limit));
    std::string bytes;
    if (length_ && *length_ <= limit_) {
        bytes.reserve(std::min<std::uint64_t>(*length_, 1U << 20)); // do not trust it further
    }
    char buffer[16384];
    while (std::size_t count = TRY(read(buffer))) {
        bytes.append(buffer, count);
    }
    return bytes;
}

std::string_view reason_phrase(unsigned status) {
    static constexpr std::pair<unsigned, std::string_view> phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Request Entity Too Large"},
        {415, "Unsupported Media Type"},
        {416, "Requested Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };
    const auto* found =
        std::ranges::find(phrases, status, &std::pair<unsigned, std::string_view>::first);
    return found == std::end(phrases) ? std::string_view() : found->second;
}

std::string upgrade_response(const Request& request, std::string_view content_type) {
    std::string_view protocol = request.upgrade_protocol();
    std::string type = "Content-Type: " + std::string(content_type) + "\r\n";
    if (protocol.empty()) {
        return "HTTP/1.1 200 OK\r\n" + type + "\r\n";
    }
    return "HTTP/1.1 101 UPGRADED\r\n" + type +
           "Connection: Upgrade\r\nUpgrade: " + std::string(protocol) + "\r\n\r\n";
}

} // namespace berth::http
