// SPDX-License-Identifier: Apache-2.0
// A response that remembers its status and how many bytes of its body were sent.
#pragma once

#include "http/response_writer.h"

#include <cstdint>
#include <utility>

namespace berth::registry {

class RecordedResponse final : public http::ResponseWriter {
  public:
    // response must outlive the object.
    RecordedResponse(http::ResponseWriter& response, bool with_body)
        : response_(response)
        , with_body_(with_body) {}

    unsigned status() const { return status_; }

    std::uint64_t sent() const { return sent_; }

    Result<void> respond(unsigned status, http::Headers headers, std::string_view body) override {
        status_ = status;
        count(body.size());
        return response_.respond(status, std::move(headers), body);
    }

    Result<void> begin(unsigned status, http::Headers headers) override {
        status_ = status;
        return response_.begin(status, std::move(headers));
    }

    Result<void> write(std::string_view bytes) override {
        TRY(response_.write(bytes));
        count(bytes.size());
        return ok();
    }

    Result<void> finish() override { return response_.finish(); }

    Result<void> send_file(
        unsigned status,
        http::Headers headers,
        FdRef file,
        std::uint64_t offset,
        std::uint64_t length) override {
        status_ = status;
        TRY(response_.send_file(status, std::move(headers), file, offset, length));
        count(length);
        return ok();
    }

    Result<std::shared_ptr<http::Stream>>
    into_stream(unsigned status, http::Headers headers, http::StreamOptions options) override {
        status_ = status;
        return response_.into_stream(status, std::move(headers), options);
    }

    Result<http::Hijacked> hijack() override { return response_.hijack(); }

    bool begun() const override { return response_.begun(); }

  private:
    void count(std::uint64_t bytes) { sent_ += with_body_ ? bytes : 0; }

    http::ResponseWriter& response_;
    bool with_body_; // false: of a HEAD
    unsigned status_ = 0;
    std::uint64_t sent_ = 0;
};

} // namespace berth::registry
