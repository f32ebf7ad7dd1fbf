// SPDX-License-Identifier: Apache-2.0
// Files that are made for somebody else belong to him from birth.
#pragma once

#include "base/result.h"

#include <optional>
#include <utility>

#include <sys/types.h>

namespace berth::kernel {

// nullopt: the process itself.
using FileMaker = std::optional<std::pair<uid_t, gid_t>>;

// What the calling thread makes from now on is the maker's; its rights over files stay.
// REQUIRES: root; the thread ends with the work, as there is no way back.
Result<void> make_files_as(const FileMaker& maker);

} // namespace berth::kernel
