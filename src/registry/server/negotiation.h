// SPDX-License-Identifier: Apache-2.0
// Which media types a client takes: the Accept headers of a request.
#pragma once

#include "http/headers.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

class AcceptedTypes {
  public:
    static AcceptedTypes of(const http::Headers& headers);

    // True without any Accept header, and for what one names or matches by a wildcard. Quality is
    // heard only where it is 0.
    bool takes(std::string_view media_type) const;

    // Names it without a wildcard.
    bool names(std::string_view media_type) const;

  private:
    std::vector<std::string> types_; // lower case
    bool anything_ = false;
};

} // namespace berth::registry
