// SPDX-License-Identifier: Apache-2.0
// After moby's builder/remotecontext/remote.go.
#include "registry/remote_content.h"

#include "base/strings.h"
#include "codec/stream.h"
#include "http/message.h"

#include <array>

namespace berth::registry {

namespace {

constexpr std::size_t error_body_limit = 4096;
constexpr unsigned first_error_status = 400;

Error refused(const std::string& url, Exchange& answer) {
    std::string text = "failed to GET " + url + " with status " + std::to_string(answer.status()) +
                       " " + std::string(http::reason_phrase(answer.status()));
    std::array<char, error_body_limit> body{};
    if (auto size = read_full(answer, body); size.ok() && *size > 0) {
        text += ": " + std::string(trim(std::string_view(body.data(), *size)));
    }
    const bool is_absent = answer.status() == 404;
    return Error(is_absent ? ErrorKind::NotFound : ErrorKind::Unavailable, std::move(text));
}

} // namespace

Result<std::unique_ptr<Exchange>>
open_remote(std::stop_token stop, Transport& transport, const std::string& url) {
    auto answer = TRY(transport.send(std::move(stop), {.url = url}));
    if (answer->status() >= first_error_status) {
        return refused(url, *answer);
    }
    return answer;
}

} // namespace berth::registry
