// SPDX-License-Identifier: Apache-2.0
// A real btrfs file system for tests, in a file, mounted where only the test program sees it.
#pragma once

#include "base/result.h"

#include <string>

namespace berth::store::testing {

// Where it is mounted, made at the first call. NotImplemented with the reason where there can be
// none: skip with it.
Result<std::string> btrfs_place();

} // namespace berth::store::testing
