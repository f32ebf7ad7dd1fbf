// SPDX-License-Identifier: Apache-2.0
// Mounts of config.json. The runtime mounts them in order, so parents come first; sources are host
// paths, destinations are resolved within the root by the runtime.
#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/runtime_spec_parts.h"

#include <algorithm>
#include <set>

namespace berth::engine {
namespace {

bool is_shared(const std::string& propagation) {
    return propagation == "shared" || propagation == "rshared";
}

bool is_slave(const std::string& propagation) {
    return propagation == "slave" || propagation == "rslave";
}

oci::Mount to_runtime(const PlannedMount& planned) {
    const MountPoint& point = planned.point;
    oci::Mount mount{.destination = point.destination};
    if (point.type == "tmpfs") {
        mount.type = "tmpfs";
        mount.source = "tmpfs";
        mount.options = planned.tmpfs_options;
        if (!point.read_write) {
            mount.options.emplace_back("ro");
        }
        return mount;
    }
    mount.type = "bind";
    mount.source = point.source;
    if (!planned.subpath.empty()) {
        mount.source += "/" + planned.subpath;
    }
    mount.options.emplace_back(planned.recursive ? "rbind" : "bind");
    mount.options.push_back(point.propagation.empty() ? "rprivate" : point.propagation);
    if (!point.read_write) {
        mount.options.emplace_back(planned.read_only_recursive ? "rro" : "ro");
    }
    return mount;
}

void add_file(
    oci::RuntimeConfig& config,
    const std::set<std::string>& taken,
    const std::string& destination,
    const std::string& source,
    bool read_only) {
    if (taken.contains(destination)) {
        return;
    }
    oci::Mount mount{.destination = destination, .type = "bind", .source = source};
    mount.options = {"rbind", "rprivate"};
    if (read_only) {
        mount.options.emplace_back("ro");
    }
    config.mounts.push_back(std::move(mount));
}

} // namespace

Result<void> apply_mounts(oci::RuntimeConfig& config, const SpecInput& input) {
    const HostConfig& host = input.definition.host_config;
    std::set<std::string> taken;
    for (const PlannedMount& planned : input.definition.mounts) {
        taken.insert(planned.point.destination);
    }
    std::erase_if(config.mounts, [&taken](const oci::Mount& mount) {
        return taken.contains(mount.destination);
    });
    if (is_host_mode(host.ipc_mode)) {
        add_file(config, taken, "/dev/shm", "/dev/shm", false);
    } else if (!input.shm_path.empty()) {
        add_file(config, taken, "/dev/shm", input.shm_path, false);
    }
    const std::string& files = input.files_directory;
    add_file(config, taken, "/etc/resolv.conf", files + "/resolv.conf", host.readonly_rootfs);
    add_file(config, taken, "/etc/hostname", files + "/hostname", host.readonly_rootfs);
    add_file(config, taken, "/etc/hosts", files + "/hosts", host.readonly_rootfs);
    for (const PlannedMount& planned : input.definition.mounts) {
        // A subpath's links are followed by whoever writes into the volume: it must be walked by
        // descriptor, which the runtime's interface cannot take yet.
        if (!planned.subpath.empty()) {
            return not_implemented("VolumeOptions.Subpath is not implemented by this engine");
        }
        config.mounts.push_back(to_runtime(planned));
        // The root must let events through that a mount in it wants to see or send.
        if (is_shared(planned.point.propagation)) {
            config.linux_.rootfs_propagation = "shared";
        } else if (
            is_slave(planned.point.propagation) && config.linux_.rootfs_propagation != "shared") {
            config.linux_.rootfs_propagation = "rslave";
        }
    }
    return ok();
}

} // namespace berth::engine
