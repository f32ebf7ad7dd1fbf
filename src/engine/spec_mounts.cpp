// SPDX-License-Identifier: Apache-2.0
// Mounts of config.json. The runtime mounts them in order, so parents come first; sources are host
// paths, destinations are resolved within the root by the runtime.
#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/runtime_spec_parts.h"

#include <algorithm>
#include <limits>
#include <set>

namespace berth::engine {
namespace {

bool is_shared(const std::string& propagation) {
    return propagation == "shared" || propagation == "rshared";
}

bool is_slave(const std::string& propagation) {
    return propagation == "slave" || propagation == "rslave";
}

// Every id as it is, but for two that are exchanged: from the disk's to those that are seen.
std::vector<oci::IdMapping> exchange(std::uint32_t disk, std::uint32_t seen) {
    constexpr std::uint32_t end = std::numeric_limits<std::uint32_t>::max(); // no id itself
    const std::uint32_t low = std::min(disk, seen);
    const std::uint32_t high = std::max(disk, seen);
    std::vector<oci::IdMapping> mappings;
    const auto add = [&mappings](std::uint32_t from, std::uint32_t to, std::uint32_t size) {
        if (size != 0) {
            mappings.push_back({.container_id = from, .host_id = to, .size = size});
        }
    };
    if (low == high) {
        add(0, 0, end);
        return mappings;
    }
    add(0, 0, low);
    add(low, high, 1);
    add(low + 1, low + 1, high - low - 1);
    add(high, low, 1);
    add(high + 1, high + 1, end - high - 1);
    return mappings;
}

} // namespace

oci::Mount runtime_mount(const PlannedMount& planned, const MountSource& source) {
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
    mount.source = source.path;
    mount.options.emplace_back(planned.recursive ? "rbind" : "bind");
    mount.options.push_back(point.propagation.empty() ? "rprivate" : point.propagation);
    if (!point.read_write) {
        mount.options.emplace_back(planned.read_only_recursive ? "rro" : "ro");
    }
    if (source.exchange) {
        mount.uid_mappings = exchange(source.exchange->disk_uid, source.exchange->container_uid);
        mount.gid_mappings = exchange(source.exchange->disk_gid, source.exchange->container_gid);
    }
    return mount;
}

namespace {

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
    VERIFY(input.mount_sources.size() == input.definition.mounts.size());
    for (std::size_t i = 0; i < input.mount_sources.size(); ++i) {
        const PlannedMount& planned = input.definition.mounts[i];
        config.mounts.push_back(runtime_mount(planned, input.mount_sources[i]));
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
