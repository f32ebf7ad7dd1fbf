// SPDX-License-Identifier: Apache-2.0
// Deleting trees that a container or an archive made: any depth, small stacks, no link followed.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>

namespace berth::store {

// The entry `name` of a directory, whatever it is, with all below it; absent is fine.
Result<void> remove_tree_at(FdRef directory, const std::string& name);

Result<void> remove_tree_of(const std::string& path);

} // namespace berth::store
