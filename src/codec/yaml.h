// SPDX-License-Identifier: Apache-2.0
// YAML documents as JSON values, for configuration that people write in either. Lives in the
// library berth_codec_yaml, which is not linked into the static programs.
#pragma once

#include "codec/json.h"

#include <cstddef>
#include <string_view>

namespace berth::yaml {

struct Limits {
    std::size_t depth = 64;
    std::size_t bytes = 4U << 20;
    std::size_t nodes = 1U << 20; // aliases count as what they stand for
};

// The first document; null when there is none. Plain scalars are null, true, false and numbers as
// in YAML 1.2's core schema, quoted ones are texts; keys are texts. InvalidArgument says what is
// wrong and in which line.
Result<json::Value> parse(std::string_view text, Limits limits = {});

} // namespace berth::yaml
