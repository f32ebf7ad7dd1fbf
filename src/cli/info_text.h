// SPDX-License-Identifier: Apache-2.0
// The engine's description of itself as docker info prints it, in its order.
#pragma once

#include "codec/json.h"

#include <string>
#include <vector>

namespace berth::cli {

std::string info_text(const json::Value& info);

// The texts of an array, or the names in an object, sorted; empty for everything else.
std::vector<std::string> texts_of(const json::Value* value);

} // namespace berth::cli
