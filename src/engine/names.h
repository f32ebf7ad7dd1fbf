// SPDX-License-Identifier: Apache-2.0
// Names for containers: the rule for given ones, generated ones (adjective_surname), and ids in
// place of a name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::engine {

// [a-zA-Z0-9][a-zA-Z0-9_.-]+
bool is_valid_container_name(std::string_view name);

inline constexpr std::string_view container_name_rule = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

// "brave_lovelace"; from the second attempt on with a digit behind it.
std::string generate_container_name(unsigned attempt);

// As much of an id as Docker shows.
inline constexpr std::size_t short_id_length = 12;

} // namespace berth::engine
