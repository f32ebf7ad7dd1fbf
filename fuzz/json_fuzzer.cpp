// SPDX-License-Identifier: Apache-2.0
// JSON text: what is written must be accepted again. (Boost.JSON 1.81 does not round every number
// to the nearest double, so the text need not be the same.)
#include "codec/json.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    const auto value = berth::json::parse(text);
    if (value.ok()) {
        if (!berth::json::parse(berth::json::serialize(*value)).ok()) {
            std::abort();
        }
    }
    return 0;
}
