// SPDX-License-Identifier: Apache-2.0
// What a client sends is quoted, so that it can neither end a line nor a field.
#include "registry/server/access_log.h"

#include "base/file.h"

#include <array>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::size_t field_limit = 1024;

void append_quoted(std::string& line, std::string_view text) {
    line += '"';
    if (text.empty()) {
        line += '-';
    }
    for (char c : text.substr(0, field_limit)) {
        auto byte = static_cast<unsigned char>(c);
        bool plain = byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
        line += plain ? c : '?';
    }
    line += '"';
}

std::string local_time() {
    std::time_t now = std::time(nullptr);
    std::tm parts{};
    localtime_r(&now, &parts);
    std::array<char, 40> text{};
    std::size_t size = std::strftime(text.data(), text.size(), "[%d/%b/%Y:%H:%M:%S %z]", &parts);
    return std::string(text.data(), size);
}

} // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
    UniqueFd fd = path == "-" ? UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3))
                              : TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0640));
    if (!fd) {
        return errno_error("open the access log");
    }
    return std::unique_ptr<AccessLog>(new AccessLog(std::move(fd)));
}

void AccessLog::write(
    const http::Request& request, const std::string& user, const RequestRecord& record) const {
    std::string host = request.peer.address.substr(0, request.peer.address.rfind(':'));
    std::string line = (host.empty() ? "-" : host) + " - ";
    append_quoted(line, user);
    line.append(" ").append(local_time()).append(" ");
    append_quoted(
        line,
        request.method + " " + request.target + " HTTP/1." + std::to_string(request.minor_version));
    line.append(" ").append(std::to_string(record.status)).append(" ");
    line.append(std::to_string(record.sent)).append(" ");
    append_quoted(line, request.headers.get("Referer"));
    line += ' ';
    append_quoted(line, request.headers.get("User-Agent"));
    auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(record.duration).count();
    line.append(" ").append(std::to_string(milliseconds)).append("\n");
    // A full disk or a closed pipe must not stop the registry.
    [[maybe_unused]] ssize_t written = ::write(fd_.get(), line.data(), line.size());
}

} // namespace berth::registry
