// SPDX-License-Identifier: Apache-2.0
// What clients of the API send in queries, headers and bodies.
#include "api/context.h"
#include "api/registry_auth.h"
#include "api/route.h"
#include "api/wire/container.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(berth::api::parse_filters(text));
    static_cast<void>(berth::api::parse_timestamp(text));
    static_cast<void>(berth::api::negotiate(berth::api::split_version(text).prefix));
    static_cast<void>(berth::api::match("/images/{name...}/json", text));
    static_cast<void>(berth::api::parse_registry_config(text));
    if (auto document = berth::json::parse(text); document.ok()) {
        berth::api::wire::widen_string_lists(*document);
        static_cast<void>(berth::json::decode<berth::api::wire::CreateBody>(*document));
    }
    return 0;
}
