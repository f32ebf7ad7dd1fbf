// SPDX-License-Identifier: Apache-2.0
// From --volume, --mount, --tmpfs, --volumes-from and the image's VOLUMEs to one list of mounts.
// Only text is looked at here; volumes and directories are made when the container is created.
#pragma once

#include "base/result.h"
#include "engine/container.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

// How a volume or bind becomes writable for the container's own user.
enum class MountOwner : std::uint8_t {
    AsIs,
    Change,   // ":U": what is in it is given to that user
    Exchange, // ":idmap": its owner and that user are exchanged in this mount alone
};

std::string_view to_string(MountOwner owner);
Result<MountOwner> parse_mount_owner(std::string_view text);

struct PlannedMount {
    MountPoint point;           // a volume's source stays empty until the volume is there
    bool copy_up = false;       // an empty volume gets what the image has at the destination
    bool anonymous = false;     // a volume without a name: `docker rm -v` takes it along
    bool inherited = false;     // of --volumes-from: a volume that is there already, or an error
    bool create_source = false; // a missing bind source becomes a directory
    bool recursive = true;
    bool read_only_recursive = true; // best effort unless forced
    bool force_read_only_recursive = false;
    std::string subpath; // within the volume or image
    std::string layer;   // of an image: the writable layer that nobody writes
    MountOwner owner = MountOwner::AsIs;
    std::string selinux_label; // "z", "Z" or nothing
    // On its way into a running container or out of it: away with it at the engine's next start.
    bool in_transit = false;
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

// One of --volume's or --mount's by itself.
Result<PlannedMount> plan_volume_flag(const std::string& spec, const std::string& volume_driver);
Result<PlannedMount> plan_mount(const Mount& asked);
// Of --volumes-from: what a mode like "ro,z" says of a volume.
Result<PlannedMount> plan_volume_mode(std::string_view mode);
// InvalidArgument for one that is not absolute or the root.
Result<void> check_destination(std::string_view destination);

// Defaults (noexec,nosuid,nodev) and the user's options, where a later one takes an earlier
// opposite away.
std::vector<std::string> merge_tmpfs_options(const std::vector<std::string>& options);

} // namespace berth::engine
