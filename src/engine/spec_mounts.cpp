// SPDX-License-Identifier: Apache-2.0
// Mounts of config.json. The runtime mounts them in order, so parents come first; sources are host
// paths, destinations are resolved within the root by the runtime.
#include "base/file.h"
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

// Every id as it is, but for two that are exchanged: from the disk's to those that are seen.
std::vector<kernel::IdRange> exchange(std::uint32_t disk, std::uint32_t seen) {
    return kernel::exchange_of({{.inside = disk, .outside = seen, .size = 1}});
}

// Whose the files of a bind or a volume are shown to be.
void map_owners(oci::Mount& mount, const MountSource& source) {
    if (!source.exchange && source.owners == nullptr) {
        return;
    }
    kernel::IdMaps shown;
    if (source.exchange) {
        shown.uids = exchange(source.exchange->disk_uid, source.exchange->container_uid);
        shown.gids = exchange(source.exchange->disk_gid, source.exchange->container_gid);
    }
    if (source.owners != nullptr) {
        const kernel::IdMaps& all = source.owners->exchange();
        shown.uids = shown.uids.empty() ? all.uids : kernel::compose(shown.uids, all.uids);
        shown.gids = shown.gids.empty() ? all.gids : kernel::compose(shown.gids, all.gids);
    }
    show_as(mount, shown);
}

} // namespace

std::vector<oci::IdMapping> mappings_of(const std::vector<kernel::IdRange>& ranges) {
    std::vector<oci::IdMapping> mappings;
    for (const kernel::IdRange& range : ranges) {
        mappings.push_back(
            {.container_id = range.inside, .host_id = range.outside, .size = range.size});
    }
    return mappings;
}

void show_as(oci::Mount& mount, const kernel::IdMaps& owners) {
    mount.uid_mappings = mappings_of(owners.uids);
    mount.gid_mappings = mappings_of(owners.gids);
}

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
    map_owners(mount, source);
    return mount;
}

namespace {

struct FileMount {
    std::string destination;
    std::string source;
    bool read_only = false;
    const kernel::OwnerMap* owners = nullptr; // of one of the engine's own
};

void add_file(
    oci::RuntimeConfig& config, const std::set<std::string>& taken, const FileMount& file) {
    const auto& [destination, source, read_only, owners] = file;
    if (taken.contains(destination)) {
        return;
    }
    oci::Mount mount{.destination = destination, .type = "bind", .source = source};
    mount.options = {"rbind", "rprivate"};
    if (read_only) {
        mount.options.emplace_back("ro");
    }
    if (owners != nullptr) {
        show_as(mount, owners->exchange());
    }
    config.mounts.push_back(std::move(mount));
}

// The file system of the host's message queues is not to be mounted from another user namespace.
void bind_host_queues(oci::RuntimeConfig& config) {
    std::erase_if(config.mounts, [](const oci::Mount& mount) { return mount.type == "mqueue"; });
    if (exists("/dev/mqueue")) {
        add_file(config, {}, {"/dev/mqueue", "/dev/mqueue"});
    }
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
        add_file(config, taken, {"/dev/shm", "/dev/shm"});
        if (input.owners != nullptr) {
            bind_host_queues(config);
        }
    } else if (!input.shm_path.empty()) {
        add_file(config, taken, {"/dev/shm", input.shm_path});
    }
    for (const std::string name : {"resolv.conf", "hostname", "hosts"}) {
        add_file(
            config,
            taken,
            {.destination = "/etc/" + name,
             .source = input.files_directory + "/" + name,
             .read_only = host.readonly_rootfs,
             .owners = input.owners.get()});
    }
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
