// SPDX-License-Identifier: Apache-2.0
// An upload is a POST that names a place and one PUT with all bytes; registries take that more
// widely than PATCH. A connection that breaks starts the blob anew.
#include "base/log.h"
#include "registry/client.h"
#include "registry/client_parts.h"

namespace berth::registry {

namespace {

class CountingSource final : public ByteSource {
  public:
    CountingSource(ByteSource& source, const Client::Sent& sent)
        : source_(source)
        , sent_(sent) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        std::size_t count = TRY(source_.read(buffer));
        total_ += count;
        if (sent_ && count > 0) {
            sent_(total_);
        }
        return count;
    }

  private:
    ByteSource& source_;
    const Client::Sent& sent_;
    std::uint64_t total_ = 0;
};

struct Attempt {
    bool done = false;
    bool repeat = false;
    Error error{ErrorKind::Internal, ""};
};

Result<std::string> begin_upload(Client::Parts& parts, const std::stop_token& stop) {
    Outgoing request{.method = "POST", .url = parts.url("blobs/uploads/")};
    std::string asked = request.url;
    auto exchange = TRY(parts.call(stop, std::move(request)));
    if (exchange->status() != 202) {
        return read_error(*exchange).to_error();
    }
    std::string_view location = exchange->headers().get("Location");
    if (location.empty()) {
        return Error(ErrorKind::Unavailable, "the registry names no place for an upload");
    }
    return parts.absolute(location, asked);
}

Attempt try_upload(
    Client::Parts& parts,
    const std::stop_token& stop,
    const oci::Descriptor& blob,
    ByteSource& content) {
    auto location = begin_upload(parts, stop);
    if (!location.ok()) {
        return {.error = std::move(location).error()}; // begin_upload() repeats by itself
    }
    char separator = location->find('?') == std::string::npos ? '?' : '&';
    Outgoing request{
        .method = "PUT",
        .url = *location + separator + "digest=" + blob.digest.to_string(),
        .headers = {{"Content-Type", "application/octet-stream"}},
        .content = &content,
        .content_length = static_cast<std::uint64_t>(blob.size)};
    auto exchange = parts.call(stop, std::move(request));
    if (!exchange.ok()) {
        bool broke = exchange.error().kind() == ErrorKind::Unavailable;
        return {.repeat = broke, .error = std::move(exchange).error()};
    }
    unsigned status = (*exchange)->status();
    if (status / 100 == 2) {
        return {.done = true};
    }
    if (status == 401) {
        parts.authorizer.forget_tokens();
    }
    bool temporary = status == 401 || status == 429 || status >= 500;
    return {.repeat = temporary, .error = read_error(**exchange).to_error()};
}

} // namespace

Result<void> Client::upload_blob(
    std::stop_token stop, const oci::Descriptor& blob, const OpenContent& open, const Sent& sent) {
    TRY(parts_->ping(stop));
    for (int failures = 1;; ++failures) {
        auto content = TRY(open());
        CountingSource counting(*content, sent);
        Attempt attempt = try_upload(*parts_, stop, blob, counting);
        if (attempt.done) {
            return ok();
        }
        if (!attempt.repeat || failures >= parts_->options.attempts) {
            return std::move(attempt.error);
        }
        log::debug(
            "an upload broke off, retrying",
            {{"digest", blob.digest.to_string()}, {"error", attempt.error.message()}});
        TRY(wait_for(stop, back_off(failures)));
    }
}

} // namespace berth::registry
