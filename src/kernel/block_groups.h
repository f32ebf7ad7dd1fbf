// SPDX-License-Identifier: Apache-2.0
// Where ext4 puts what is made in a directory.
#pragma once

#include <string>

namespace berth::kernel {

// chattr(1), "T": each directory made in here starts in a block group of its own. ext4 without a
// journal passes over every inode that was deleted in the last minutes, one by one at each new file
// of a group: a pull after a removal took ten times as long, and containers that come and go slow
// each other down. Elsewhere nothing is lost without it.
void spread_children(const std::string& path);

} // namespace berth::kernel
