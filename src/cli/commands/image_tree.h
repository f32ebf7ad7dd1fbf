// SPDX-License-Identifier: Apache-2.0
// `images --tree`: images with the platforms that they stand for below them.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <span>
#include <string_view>
#include <utility>

namespace berth::cli::commands {

// A flag that cannot stand beside --tree.
using TreeConflict = std::pair<std::string_view, bool>;

Result<void> check_tree_flags(std::initializer_list<TreeConflict> given);

// `list`: the daemon's answer with manifests. `wanted`: a repository or a name; "" for all.
Result<void> print_image_tree(const json::Value& list, std::string_view wanted, bool no_trunc);

} // namespace berth::cli::commands
