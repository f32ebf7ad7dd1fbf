// SPDX-License-Identifier: Apache-2.0
// Names and times as moby's builder/dockerfile/copy.go takes them from the address and the answer.
#include "build/remote_file.h"

#include "base/strings.h"
#include "codec/sha256.h"
#include "codec/stream.h"
#include "http/query.h"
#include "registry/remote_content.h"

#include <array>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::build {

namespace {

constexpr std::size_t file_name_limit = 255;
constexpr const char* no_name = "__unnamed__";

std::string base_name(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const bool usable = !name.empty() && name != "." && name != ".." &&
                        name.size() <= file_name_limit && name.find('\0') == std::string_view::npos;
    return usable ? std::string(name) : "";
}

// "attachment; filename=\"a.txt\""
std::string disposition_name(std::string_view header) {
    for (const std::string_view part : split(header, ';')) {
        const auto parameter = cut(part, "=");
        if (!parameter || !equals_ignoring_case(trim(parameter->before), "filename")) {
            continue;
        }
        std::string_view value = trim(parameter->after);
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return base_name(value);
    }
    return "";
}

// "Wed, 01 Jan 2020 00:00:00 GMT"; 1970 when there is no such time.
std::time_t modification_time(const http::Headers& headers) {
    const std::string text(headers.get("Last-Modified"));
    std::tm time{};
    const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
    return end != nullptr && *end == '\0' ? timegm(&time) : 0;
}

// The content's digest.
Result<std::string>
save(ByteSource& content, const std::string& path, const RemoteRequest& request) {
    FdSink sink(TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)));
    LimitedSource limited(content, request.limit + 1);
    HashingSource hashed(limited);
    if (TRY(copy(hashed, sink)) > request.limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            request.url + " exceeds the limit of " + std::to_string(request.limit) +
                " bytes for a remote file");
    }
    return "sha256:" + hashed.finish_hex();
}

} // namespace

bool is_http_url(std::string_view text) {
    return text.starts_with("http://") || text.starts_with("https://");
}

std::string remote_file_name(std::string_view url, std::string_view content_disposition) {
    const auto parts = cut(url, "://");
    std::string_view path = parts ? parts->after : url;
    path = path.substr(0, path.find_first_of("?#"));
    path = path.substr(std::min(path.find('/'), path.size()));
    if (const auto decoded = http::percent_decode(path); decoded.ok()) {
        if (std::string name = base_name(*decoded); !name.empty()) {
            return name;
        }
    }
    return disposition_name(content_disposition);
}

Result<RemoteFile> RemoteFile::download(std::stop_token stop, const RemoteRequest& request) {
    registry::Transport transport("berth");
    const auto answer = TRY(registry::open_remote(std::move(stop), transport, request.url));
    TRY(make_directories(request.parent, 0700));
    TemporaryDirectory directory = TRY(TemporaryDirectory::create(request.parent));
    auto tree =
        std::make_unique<SourceTree>(TRY(open_file(directory.path(), O_PATH | O_DIRECTORY)));
    RemoteFile file(std::move(directory), std::move(tree));
    file.path_.path = remote_file_name(request.url, answer->headers().get("Content-Disposition"));
    file.named_ = !file.path_.path.empty();
    if (!file.named_) {
        file.path_.path = no_name;
    }
    const std::string path = file.directory_.path() + "/" + file.path_.path;
    file.digest_ = TRY(save(*answer, path, request));
    const timespec modified{modification_time(answer->headers()), 0};
    const std::array<timespec, 2> times{modified, modified};
    if (::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("utimens " + path);
    }
    return file;
}

} // namespace berth::build
