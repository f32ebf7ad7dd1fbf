// SPDX-License-Identifier: Apache-2.0
// A JSON array as an answer, of which a piece is on its way while the next is being made.
#pragma once

#include "http/response_writer.h"

#include <string>

namespace berth::api {

class ArrayReply {
  public:
    explicit ArrayReply(http::ResponseWriter& response)
        : response_(response) {}

    // Where the element's text goes, behind what is there. Valid until the next call.
    std::string& begin_element();

    // An array that fits into one piece is one answer, with its length. The error is that of the
    // first piece that could not be sent.
    Result<void> finish();

  private:
    Result<void> send_piece();

    http::ResponseWriter& response_;
    std::string piece_;
    bool has_elements_ = false;
    Result<void> sent_ = ok();
};

} // namespace berth::api
