// SPDX-License-Identifier: Apache-2.0
// An upload is a POST that names a place and one PUT with all bytes; registries take that more
// widely than PATCH. After a connection that broke the registry is asked how much it has, and the
// rest goes as a PATCH; one that limits a request's size gets chunks.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
#include "base/log.h"
#include "base/strings.h"
#include "registry/client.h"
#include "registry/client_parts.h"

#include <algorithm>

namespace berth::registry {

namespace {

class CountingSource final : public ByteSource {
  public:
    CountingSource(ByteSource& source, const Client::Sent& sent, std::uint64_t start)
        : source_(source)
        , sent_(sent)
        , total_(start) {}

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
    std::uint64_t total_;
};

constexpr std::uint64_t usual_chunk = 8U << 20;
constexpr std::uint64_t largest_chunk = 1U << 30;

// "0-99" -> 100, the number of bytes that the registry has. "0-0" is what registries say of none as
// well as of one: nobody can go on from there.
std::optional<std::uint64_t> received(const Exchange& exchange) {
    std::string_view range = exchange.headers().get("Range");
    if (range.starts_with("bytes=")) {
        range.remove_prefix(6);
    }
    std::optional<Cut> parts = cut(range, "-");
    auto last = parse_number<std::uint64_t>(parts ? parts->after : std::string_view());
    bool known = parts && parts->before == "0" && last.ok() && *last > 0;
    return known ? std::optional(*last + 1) : std::nullopt;
}

class Upload {
  public:
    Upload(
        Client::Parts& parts,
        std::stop_token stop,
        const oci::Descriptor& blob,
        const Client::OpenContent& open,
        const Client::Sent& sent)
        : parts_(parts)
        , stop_(std::move(stop))
        , blob_(blob)
        , size_(static_cast<std::uint64_t>(blob.size))
        , open_(open)
        , sent_(sent) {}

    Result<void> run();

  private:
    Result<void> begin();
    void abandon();
    Result<std::unique_ptr<Exchange>> send(Outgoing request, std::uint64_t length);
    Result<void> step();
    Result<void> finish();
    Result<void> send_piece(std::uint64_t length);
    Result<void> take_answer(Result<std::unique_ptr<Exchange>> answer);
    bool ask_state();
    Result<bool> recover();

    std::string with_digest() const {
        char separator = location_.find('?') == std::string::npos ? '?' : '&';
        return location_ + separator + "digest=" + blob_.digest.to_string();
    }

    Client::Parts& parts_;
    std::stop_token stop_;
    const oci::Descriptor& blob_;
    std::uint64_t size_;
    const Client::OpenContent& open_;
    const Client::Sent& sent_;
    std::string location_; // "": no upload is begun
    std::uint64_t offset_ = 0;
    std::uint64_t chunk_ = 0; // 0: all that is left in one request
    bool done_ = false;
    unsigned status_ = 0;                      // of the last refusal; 0: the network failed
    std::optional<std::chrono::seconds> wait_; // what it asked for
};

Result<void> Upload::begin() {
    Outgoing request{.method = "POST", .url = parts_.url("blobs/uploads/")};
    auto exchange = TRY(parts_.call(stop_, request));
    if (exchange->status() != 202) {
        return read_error(*exchange).to_error();
    }
    std::string_view location = exchange->headers().get("Location");
    if (location.empty()) {
        return Error(ErrorKind::InvalidArgument, "the registry names no place for an upload");
    }
    location_ = parts_.absolute(location, request.url);
    offset_ = 0;
    auto least = parse_number<std::uint64_t>(exchange->headers().get("OCI-Chunk-Min-Length"));
    if (chunk_ > 0 && least.ok()) {
        chunk_ = std::clamp(*least, chunk_, largest_chunk);
    }
    return ok();
}

// What was begun is of no use to anybody.
void Upload::abandon() {
    if (!location_.empty()) {
        [[maybe_unused]] auto ended =
            parts_.call(stop_, {.method = "DELETE", .url = std::move(location_)});
    }
    location_.clear();
    offset_ = 0;
}

Result<std::unique_ptr<Exchange>> Upload::send(Outgoing request, std::uint64_t length) {
    auto content = TRY(open_(offset_));
    CountingSource counting(*content, sent_, offset_);
    request.content = &counting;
    request.content_length = length;
    request.headers.add("Content-Type", "application/octet-stream");
    return parts_.call(stop_, request);
}

Result<void> Upload::take_answer(Result<std::unique_ptr<Exchange>> answer) {
    status_ = 0;
    wait_.reset();
    std::unique_ptr<Exchange> exchange = TRY(std::move(answer));
    if (exchange->status() / 100 == 2) {
        return ok();
    }
    status_ = exchange->status();
    wait_ = retry_after(*exchange);
    Error error = read_error(*exchange).to_error();
    return wait_ && *wait_ > longest_wait ? with_wait(error, *wait_) : error;
}

Result<void> Upload::send_piece(std::uint64_t length) {
    std::string last = std::to_string(offset_ + length - 1);
    auto answer = send(
        {.method = "PATCH",
         .url = location_,
         .headers = {{"Content-Range", std::to_string(offset_) + "-" + last}}},
        length);
    if (!answer.ok() || (*answer)->status() / 100 != 2) {
        return take_answer(std::move(answer));
    }
    if (std::string_view next = (*answer)->headers().get("Location"); !next.empty()) {
        location_ = parts_.absolute(next, location_);
    }
    offset_ += length;
    return ok();
}

Result<void> Upload::finish() {
    TRY(take_answer(parts_.call(stop_, {.method = "PUT", .url = with_digest()})));
    done_ = true;
    return ok();
}

Result<void> Upload::step() {
    status_ = 0;
    if (location_.empty()) {
        TRY(begin());
    }
    if (chunk_ == 0 && offset_ == 0) {
        TRY(take_answer(send({.method = "PUT", .url = with_digest()}, size_)));
        done_ = true;
        return ok();
    }
    if (offset_ < size_) {
        std::uint64_t left = size_ - offset_;
        return send_piece(chunk_ == 0 ? left : std::min(chunk_, left));
    }
    return finish();
}

// Whether the upload is still there, and up to where.
bool Upload::ask_state() {
    auto exchange = parts_.call(stop_, {.url = location_});
    if (exchange.ok() && (*exchange)->status() == 404) {
        location_.clear(); // nothing to give up
    }
    if (!exchange.ok() || (*exchange)->status() != 204) {
        return false;
    }
    std::optional<std::uint64_t> has = received(**exchange);
    if (!has || *has > size_) {
        return false;
    }
    if (std::string_view next = (*exchange)->headers().get("Location"); !next.empty()) {
        location_ = parts_.absolute(next, location_);
    }
    offset_ = *has;
    return true;
}

// After a failure: whether to go on, having found out from where.
Result<bool> Upload::recover() {
    if (status_ == 413 && chunk_ == 0) {
        abandon();
        chunk_ = usual_chunk;
        return true;
    }
    if (status_ == 401) {
        parts_.authorizer.forget_tokens();
    }
    bool lost = status_ == 404 || status_ == 416;
    bool temporary = status_ == 0 || status_ == 401 || status_ == 429 || status_ >= 500 || lost;
    if (!temporary || (lost && location_.empty())) {
        return false;
    }
    // The answer alone may have been lost.
    auto head = parts_.call(
        stop_, {.method = "HEAD", .url = parts_.url("blobs/" + blob_.digest.to_string())});
    if (head.ok() && (*head)->status() == 200) {
        done_ = true;
        return true;
    }
    if (!location_.empty() && !ask_state()) {
        abandon();
    }
    return true;
}

Result<void> Upload::run() {
    int failures = 0;
    std::uint64_t reached = 0;
    while (!done_) {
        auto outcome = step();
        if (outcome.ok()) {
            if (offset_ > reached) { // a registry that forgets everything makes no progress
                reached = offset_;
                failures = 0;
            }
            continue;
        }
        Error error = std::move(outcome).error();
        bool network = error.kind() == ErrorKind::Unavailable && status_ == 0;
        bool tried_all = location_.empty() || (status_ == 0 && !network); // begin() repeats itself
        bool too_long = status_ != 0 && wait_ && *wait_ > longest_wait;
        if (tried_all || too_long || ++failures >= parts_.options.attempts) {
            return error;
        }
        log::debug(
            "an upload broke off, retrying",
            {{"digest", blob_.digest.to_string()}, {"error", error.message()}});
        if (status_ != 413) {
            TRY(wait_for(stop_, wait_ && status_ != 0 ? *wait_ : back_off(failures)));
        }
        if (!TRY(recover())) {
            return error;
        }
    }
    return ok();
}

} // namespace

Result<void> Client::upload_blob(
    std::stop_token stop, const oci::Descriptor& blob, const OpenContent& open, const Sent& sent) {
    TRY(parts_->ping(stop));
    return Upload(*parts_, stop, blob, open, sent).run();
}

} // namespace berth::registry
