// SPDX-License-Identifier: Apache-2.0
// The container's root: attached, populated with devices, made the root of the process, masked.
// All in the child, in its own mount namespace.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/runtime_config.h"
#include "runtime/container_mounts.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

// Before the clone: the root as a detached mount with everything below it.
Result<UniqueFd> prepare_root(const std::string& path);

// Before the clone: the host's /dev/null, proven to be character device 1:3, as a detached mount.
Result<UniqueFd> prepare_null_device();

// Everything becomes private and the root is attached on top of its own path, so that it can be
// pivoted to; on top of "/" where the path cannot be reached.
Result<void> attach_root(const UniqueFd& root, const std::string& path);

// Device nodes of Docker's default set and of config.linux.devices, links in /dev. `host_devices`
// has detached mounts of the devices for a user namespace, where mknod is forbidden.
struct PreparedDevice {
    oci::Device device;
    UniqueFd host; // empty: mknod
};

Result<std::vector<PreparedDevice>>
prepare_devices(const oci::RuntimeConfig& config, bool in_user_namespace);
Result<void> make_devices(const UniqueFd& root, const std::vector<PreparedDevice>& devices);

// pivot_root(2): the host's tree is gone afterwards.
Result<void> pivot_to(const UniqueFd& root);

struct Masks {
    const UniqueFd& null_device; // for files; used up
    const std::string& label;    // SELinux's, of what is there for directories
};

Result<void> mask_paths(
    const UniqueFd& root,
    const std::vector<FixedPlace>& fixed,
    const std::vector<std::string>& paths,
    const Masks& masks);
Result<void> protect_paths(
    const UniqueFd& root,
    const std::vector<FixedPlace>& fixed,
    const std::vector<std::string>& paths);
Result<void> make_root_readonly(const UniqueFd& root);
// InvalidArgument for a word that is none.
Result<void> check_root_propagation(std::string_view propagation);
Result<void> set_root_propagation(const UniqueFd& root, std::string_view propagation);

} // namespace berth::runtime
