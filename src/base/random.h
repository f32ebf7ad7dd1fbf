// SPDX-License-Identifier: Apache-2.0
// Random identifiers from getrandom(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace berth {

// 2 * bytes lower-case hexadecimal digits: random_hex(32) is a container id.
std::string random_hex(std::size_t bytes);
std::uint64_t random_u64();

} // namespace berth
