// SPDX-License-Identifier: Apache-2.0
// For whoever reads to see that the bytes are right, and needs none of them.
#pragma once

#include "codec/stream.h"

#include <string_view>

namespace berth {

class NullSink final : public ByteSink {
  public:
    Result<void> write(std::string_view) override { return ok(); }
};

} // namespace berth
