// SPDX-License-Identifier: Apache-2.0
// An archive as an answer. The head goes out with the first bytes, so that what is unknown is still
// a 404.
#pragma once

#include "codec/stream.h"
#include "http/response_writer.h"

#include <string>
#include <string_view>
#include <utility>

namespace berth::api {

class ArchiveSink final : public ByteSink {
  public:
    ArchiveSink(http::ResponseWriter& response, std::string content_type)
        : response_(response)
        , headers_{{"Content-Type", std::move(content_type)}} {}

    // Before it begins.
    void add_header(std::string_view name, std::string value) {
        headers_.set(name, std::move(value));
    }

    Result<void> write(std::string_view bytes) override {
        TRY(begin());
        return response_.write(bytes);
    }

    Result<void> begin() {
        if (response_.begun()) {
            return ok();
        }
        return response_.begin(200, headers_);
    }

  private:
    http::ResponseWriter& response_;
    http::Headers headers_;
};

} // namespace berth::api
