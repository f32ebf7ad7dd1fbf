// SPDX-License-Identifier: Apache-2.0
// The keys that end an attached session but not the process: "ctrl-p,ctrl-q".
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::io {

inline constexpr std::string_view default_detach_keys = "ctrl-p,ctrl-q";
inline constexpr std::size_t detach_keys_limit = 64; // keys in a sequence

// Docker's notation to the bytes that a terminal sends: a single character, or "ctrl-" with one of
// a-z @ [ \ ] ^ _, or "DEL". An empty text gives the default's bytes. InvalidArgument in Docker's
// words.
Result<std::string> parse_detach_keys(std::string_view text);

// Finds the sequence in what a client types. Bytes that may be its beginning are held back until
// the next byte decides.
class DetachKeyFilter {
  public:
    // An empty sequence never matches.
    explicit DetachKeyFilter(std::string sequence)
        : sequence_(std::move(sequence)) {}

    struct Filtered {
        std::string bytes; // what goes on to the process
        bool detached = false;
    };

    Filtered feed(std::string_view typed);

  private:
    std::string sequence_;
    std::size_t matched_ = 0;
};

} // namespace berth::io
