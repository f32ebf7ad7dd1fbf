// SPDX-License-Identifier: Apache-2.0
// The one shape in container configurations that codec/json.h does not know: a pair of numbers.
#include "engine/container_config_json.h"

namespace berth::json {

Result<std::array<std::uint32_t, 2>>
Codec<std::array<std::uint32_t, 2>>::decode(const Value& value) {
    const auto numbers = TRY(json::decode<std::vector<std::uint32_t>>(value));
    if (numbers.size() != 2) {
        return invalid_argument("expected two numbers, found " + std::to_string(numbers.size()));
    }
    return std::array<std::uint32_t, 2>{numbers[0], numbers[1]};
}

Value Codec<std::array<std::uint32_t, 2>>::encode(const std::array<std::uint32_t, 2>& size) {
    return Array{size[0], size[1]};
}

} // namespace berth::json
