// SPDX-License-Identifier: Apache-2.0
// Failures count until some data came through, so a large blob over a bad line still arrives.
#include "registry/blob_source.h"

#include "base/log.h"
#include "base/strings.h"

#include <algorithm>
#include <vector>

namespace berth::registry {

namespace {

constexpr std::uint64_t real_progress = 64U << 10;

// The first byte that a 206 answer has: "bytes 100-199/200".
std::optional<std::uint64_t> range_start(const Exchange& exchange) {
    std::string_view range = exchange.headers().get("Content-Range");
    if (!range.starts_with("bytes ")) {
        return std::nullopt;
    }
    std::optional<Cut> parts = cut(range.substr(6), "-");
    auto start = parse_number<std::uint64_t>(parts ? parts->before : std::string_view());
    return start.ok() ? std::optional(*start) : std::nullopt;
}

} // namespace

Result<void> BlobSource::open() {
    Outgoing request{.url = parts_.url("blobs/" + digest_.to_string())};
    if (position_ > 0) {
        if (position_ == size_) {
            return ok();
        }
        request.headers.add("Range", "bytes=" + std::to_string(position_) + "-");
    }
    auto exchange = TRY(parts_.call(stop_, request));
    if (exchange->status() != 200 && exchange->status() != 206) {
        return read_error(*exchange).to_error();
    }
    std::uint64_t start =
        exchange->status() == 206 ? range_start(*exchange).value_or(position_) : 0;
    if (start > position_) {
        return Error(ErrorKind::DataLoss, "the registry sent another range than was asked for");
    }
    exchange_ = std::move(exchange);
    return pass_over(position_ - start);
}

Result<void> BlobSource::pass_over(std::uint64_t count) {
    std::vector<char> buffer(64U << 10);
    while (count > 0) {
        std::size_t wanted = std::min<std::uint64_t>(buffer.size(), count);
        std::size_t got = TRY(exchange_->read(std::span(buffer).first(wanted)));
        if (got == 0) {
            return Error(ErrorKind::DataLoss, "unexpected EOF");
        }
        count -= got;
    }
    return ok();
}

Result<void> BlobSource::recover(Error error) {
    exchange_ = nullptr;
    if (position_ - progress_mark_ >= real_progress) {
        failures_ = 0;
    }
    progress_mark_ = position_;
    if (error.kind() == ErrorKind::Cancelled || ++failures_ >= parts_.options.attempts) {
        return error;
    }
    log::debug(
        "a download broke off, retrying",
        {{"digest", digest_.to_string()}, {"at", position_}, {"error", error.message()}});
    TRY(wait_for(stop_, back_off(failures_)));
    auto opened = open();
    return opened.ok() || opened.error().kind() != ErrorKind::Unavailable
               ? opened
               : recover(std::move(opened).error());
}

Result<std::size_t> BlobSource::read(std::span<char> buffer) {
    while (!buffer.empty() && exchange_) {
        auto count = exchange_->read(buffer);
        if (count.ok() && (*count > 0 || position_ >= size_)) {
            position_ += *count;
            if (position_ > size_) {
                return Error(
                    ErrorKind::DataLoss,
                    "the registry sent more than the " + std::to_string(size_) +
                        " bytes that blob " + digest_.to_string() + " has");
            }
            return count;
        }
        Error error = count.ok() ? Error(
                                       ErrorKind::Unavailable,
                                       "blob " + digest_.to_string() + " ended after " +
                                           std::to_string(position_) + " of " +
                                           std::to_string(size_) + " bytes: unexpected EOF")
                                 : std::move(count).error();
        TRY(recover(std::move(error)));
    }
    return std::size_t{0};
}

} // namespace berth::registry
