// SPDX-License-Identifier: Apache-2.0
// Splits a stream of JSON documents (newline-delimited or simply concatenated) into documents.
#pragma once

#include "base/result.h"
#include "codec/json.h"
#include "codec/stream.h"

#include <optional>
#include <string>

namespace berth::cli {

class DocumentStream {
  public:
    // The source must outlive this object.
    explicit DocumentStream(ByteSource& source)
        : source_(source) {}

    // The next document, or nothing at the stream's end. DataLoss when it ends inside a document.
    Result<std::optional<json::Value>> next();

  private:
    ByteSource& source_;
    std::string buffer_;
    std::size_t scanned_ = 0;
    int depth_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

} // namespace berth::cli
