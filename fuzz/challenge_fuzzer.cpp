// SPDX-License-Identifier: Apache-2.0
// WWW-Authenticate headers and error documents, as a registry may send them.
#include "registry/api_error.h"
#include "registry/challenge.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& challenge : berth::registry::parse_challenges(text)) {
        (void)challenge.get("realm");
    }
    (void)berth::registry::parse_api_error(404, text).to_string();
    return 0;
}
