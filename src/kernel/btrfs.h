// SPDX-License-Identifier: Apache-2.0
// Btrfs's subvolumes: directories that are made, copied (a snapshot shares all data until somebody
// writes) and removed as a whole.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>

namespace berth::kernel {

enum class SubvolumeMode : std::uint8_t { Writable, ReadOnly };

bool is_on_btrfs(FdRef file);
// Asks the file system only about directories that may be one.
bool is_subvolume(FdRef directory);

// Empty, with mode 0755 before the umask.
Result<void> create_subvolume(FdRef parent, const std::string& name);
// Of the subvolume `source`, as it is now; on disk when this returns. Subvolumes inside it are
// empty directories in the snapshot.
Result<void>
snapshot_subvolume(FdRef source, FdRef parent, const std::string& name, SubvolumeMode mode);
// With everything in it, at once. ENOTEMPTY while another subvolume is inside.
Result<void> destroy_subvolume(FdRef parent, const std::string& name);
// Takes back ReadOnly.
Result<void> make_subvolume_writable(FdRef subvolume);
// No more than so many bytes in the subvolume, those that it shares with others among them. Turns
// the file system's quotas on, which it counts with from then on.
Result<void> limit_subvolume(FdRef subvolume, std::uint64_t bytes);

} // namespace berth::kernel
