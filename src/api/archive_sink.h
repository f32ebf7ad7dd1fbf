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
        , content_type_(std::move(content_type)) {}

    Result<void> write(std::string_view bytes) override {
        TRY(begin());
        return response_.write(bytes);
    }

    Result<void> begin() {
        if (response_.begun()) {
            return ok();
        }
        return response_.begin(200, http::Headers{{"Content-Type", content_type_}});
    }

  private:
    http::ResponseWriter& response_;
    std::string content_type_;
};

} // namespace berth::api
