// SPDX-License-Identifier: Apache-2.0
// What a container's mount is made from when it starts.
#pragma once

#include "base/unique_fd.h"
#include "kernel/owner_map.h"

#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

namespace berth::engine {

// Of a mount in which two owners are exchanged: who has the files on the disk, and who runs in the
// container.
struct ExchangedOwners {
    uid_t disk_uid = 0;
    uid_t container_uid = 0;
    gid_t disk_gid = 0;
    gid_t container_gid = 0;
};

struct MountSource {
    // What was walked to by descriptor, or of which only a descriptor may be trusted; it is handed
    // down. Otherwise the path.
    UniqueFd place;
    std::string path;
    std::optional<ExchangedOwners> exchange;
    // Whose its files are shown to be; nullptr: as they are, for all that is the host's.
    std::shared_ptr<const kernel::OwnerMap> owners{};
};

} // namespace berth::engine
