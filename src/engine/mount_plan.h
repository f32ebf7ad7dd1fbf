// SPDX-License-Identifier: Apache-2.0
// From --volume, --mount, --tmpfs, --volumes-from and the image's VOLUMEs to one list of mounts.
// Only text is looked at here; volumes and directories are made when the container is created.
#pragma once

#include "base/result.h"
#include "engine/container.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

struct PlannedMount {
    MountPoint point;           // a volume's source stays empty until the volume is there
    bool copy_up = false;       // an empty volume gets what the image has at the destination
    bool anonymous = false;     // a volume without a name: `docker rm -v` takes it along
    bool create_source = false; // a missing bind source becomes a directory
    bool recursive = true;
    bool read_only_recursive = true; // best effort unless forced
    bool force_read_only_recursive = false;
    std::string subpath; // within the volume
    std::vector<std::string> tmpfs_options;
    StringMap volume_labels;
    StringMap volume_options;
    std::string volume_driver;
};

using MountsOf = std::function<Result<std::vector<PlannedMount>>(const std::string& container)>;

// Sorted by destination, so that parents come before what lies in them. InvalidArgument in
// Docker's words.
Result<std::vector<PlannedMount>> plan_mounts(
    const ContainerConfig& config, const HostConfig& host_config, const MountsOf& mounts_of);

// Defaults (noexec,nosuid,nodev) and the user's options, where a later one takes an earlier
// opposite away.
std::vector<std::string> merge_tmpfs_options(const std::vector<std::string>& options);

} // namespace berth::engine
