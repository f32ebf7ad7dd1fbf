// SPDX-License-Identifier: Apache-2.0
// What a user may have meant by a name that is unknown.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace berth::build {

// " (did you mean FROM?)" in the case of the given name, or nothing where no known name is within
// two edits of it.
std::string suggestion(std::string_view given, std::span<const std::string_view> known);

} // namespace berth::build
