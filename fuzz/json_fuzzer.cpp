// SPDX-License-Identifier: Apache-2.0
// JSON text: what is accepted must come back the same after being written.
#include "codec/json.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    const auto value = berth::json::parse(text);
    if (value.ok()) {
        const std::string written = berth::json::serialize(*value);
        const auto again = berth::json::parse(written);
        if (!again.ok() || berth::json::serialize(*again) != written) {
            std::abort();
        }
    }
    return 0;
}
