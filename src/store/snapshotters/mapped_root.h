// SPDX-License-Identifier: Apache-2.0
// Root file systems whose files are shown as those of a container in a user namespace.
#pragma once

#include "store/snapshotter.h"

namespace berth::store {

// A detached mount of the directory. Unavailable, with its name, where its file system cannot be
// mapped.
Result<UniqueFd> clone_mapped(const std::string& path, const kernel::OwnerMap& owners);

// Conflict when the mounted root shows its owner in another way than `owners` (nullptr: none) would
// show that of `on_disk`.
Result<void>
check_owners(const std::string& root, const std::string& on_disk, const kernel::OwnerMap* owners);

// For snapshotters whose roots are directories: the root itself, or a mapped mount of it.
Result<std::string> mount_mapped(const WritableLayer& layer, const std::string& root);
bool is_mapped(const WritableLayer& layer);
Result<void> unmount_mapped(const WritableLayer& layer);

} // namespace berth::store
