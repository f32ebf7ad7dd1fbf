// SPDX-License-Identifier: Apache-2.0
// Resources and devices of config.json.
#include "base/strings.h"
#include "engine/runtime_spec_parts.h"

#include <algorithm>
#include <memory>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace berth::engine {
namespace {

constexpr std::int64_t cpu_period = 100'000; // microseconds
constexpr unsigned device_depth_limit = 8;

// Not devices of the machine but of a devpts or tmpfs instance.
bool is_private_directory(const std::string& path) {
    static constexpr std::string_view names[] = {
        "/dev/pts",
        "/dev/shm",
        "/dev/fd",
        "/dev/mqueue",
        "/dev/.lxc",
        "/dev/.lxd-mounts",
        "/dev/.udev",
        "/dev/console"};
    return std::ranges::find(names, path) != std::end(names);
}

oci::Device device_of(const std::string& path, const struct stat& status) {
    oci::Device device;
    device.type = S_ISBLK(status.st_mode) ? "b" : "c";
    device.path = path;
    device.major = major(status.st_rdev);
    device.minor = minor(status.st_rdev);
    device.file_mode = static_cast<std::uint32_t>(status.st_mode & 07777);
    device.uid = status.st_uid;
    device.gid = status.st_gid;
    return device;
}

oci::DeviceRule rule_of(const oci::Device& device, const std::string& access) {
    return {
        .allow = true,
        .type = device.type,
        .major = device.major,
        .minor = device.minor,
        .access = access};
}

// All devices below a host directory, as paths below `target`.
void collect(
    const std::string& host_path,
    const std::string& target,
    std::vector<oci::Device>& devices,
    unsigned depth) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(host_path.c_str()), closedir);
    if (!directory || depth > device_depth_limit) {
        return;
    }
    while (const dirent* entry = readdir(directory.get())) {
        const std::string name = static_cast<const char*>(entry->d_name);
        const std::string path = host_path + "/" + name;

        struct stat status {};

        if (name == "." || name == ".." || is_private_directory(path) ||
            lstat(path.c_str(), &status) != 0) {
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            collect(path, target + "/" + name, devices, depth + 1);
        } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
            devices.push_back(device_of(target + "/" + name, status));
        }
    }
}

Result<oci::DeviceRule> parse_rule(const std::string& text) {
    const Error invalid = invalid_argument("invalid device cgroup rule format: '" + text + "'");
    const std::vector<std::string_view> parts = words(text);
    if (parts.size() != 3 || (parts[0] != "a" && parts[0] != "b" && parts[0] != "c")) {
        return invalid;
    }
    auto numbers = cut(parts[1], ":");
    if (!numbers || parts[2].find_first_not_of("rwm") != std::string_view::npos) {
        return invalid;
    }
    oci::DeviceRule rule{.allow = true, .type = std::string(parts[0])};
    const std::pair<std::string_view, std::optional<std::int64_t>*> targets[] = {
        {numbers->before, &rule.major}, {numbers->after, &rule.minor}};
    for (const auto& [number, target] : targets) {
        if (number == "*") {
            continue;
        }
        auto parsed = parse_number<std::int64_t>(number);
        if (!parsed.ok() || *parsed < 0) {
            return invalid;
        }
        *target = *parsed;
    }
    rule.access = parts[2];
    return rule;
}

Result<void> add_mapping(
    oci::RuntimeConfig& config, std::vector<oci::DeviceRule>& rules, const DeviceMapping& mapping) {
    const std::string target =
        mapping.path_in_container.empty() ? mapping.path_on_host : mapping.path_in_container;
    const std::string access =
        mapping.cgroup_permissions.empty() ? "rwm" : mapping.cgroup_permissions;
    if (access.find_first_not_of("rwm") != std::string::npos) {
        return invalid_argument("invalid device mode: " + access);
    }

    struct stat status {};

    if (stat(mapping.path_on_host.c_str(), &status) != 0) {
        return invalid_argument(
            "error gathering device information while adding custom device \"" +
            mapping.path_on_host + "\": no such file or directory");
    }
    std::vector<oci::Device> devices;
    if (S_ISDIR(status.st_mode)) {
        collect(mapping.path_on_host, target, devices, 0);
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        devices.push_back(device_of(target, status));
    }
    if (devices.empty()) {
        return invalid_argument(
            "error gathering device information while adding custom device \"" +
            mapping.path_on_host + "\": not a device node");
    }
    // In a user namespace no device can be made: runtimes bind the host's of the same name.
    const bool is_bound = !config.linux_.uid_mappings.empty() && target != mapping.path_on_host;
    for (oci::Device& device : devices) {
        rules.push_back(rule_of(device, access));
        if (is_bound) {
            oci::Mount mount{.destination = device.path, .type = "bind"};
            mount.source = mapping.path_on_host + device.path.substr(target.size());
            mount.options = {"bind", "rprivate"};
            config.mounts.push_back(std::move(mount));
        } else {
            config.linux_.devices.push_back(std::move(device));
        }
    }
    return ok();
}

// A device that goes at its node's number, whoever made the node.
Result<dev_t> device_number(const std::string& path) {
    struct stat status {};

    if (stat(path.c_str(), &status) != 0) {
        return invalid_argument("stat " + path + ": no such file or directory");
    }
    if (!S_ISBLK(status.st_mode)) {
        return invalid_argument(path + " is no block device");
    }
    return status.st_rdev;
}

Result<std::vector<oci::BlockThrottleDevice>>
throttles_of(const std::vector<ThrottleDevice>& devices) {
    std::vector<oci::BlockThrottleDevice> result;
    for (const ThrottleDevice& device : devices) {
        const dev_t number = TRY(device_number(device.path));
        result.push_back({.major = major(number), .minor = minor(number), .rate = device.rate});
    }
    return result;
}

Result<oci::BlockResources> block_resources_of(const HostConfig& host) {
    oci::BlockResources block;
    if (host.blkio_weight != 0) {
        block.weight = host.blkio_weight;
    }
    for (const WeightDevice& device : host.blkio_weight_device) {
        const dev_t number = TRY(device_number(device.path));
        block.weight_devices.push_back(
            {.major = major(number),
             .minor = minor(number),
             .weight = device.weight,
             .leaf_weight = {}});
    }
    block.throttle_read_bps = TRY(throttles_of(host.blkio_device_read_bps));
    block.throttle_write_bps = TRY(throttles_of(host.blkio_device_write_bps));
    block.throttle_read_iops = TRY(throttles_of(host.blkio_device_read_iops));
    block.throttle_write_iops = TRY(throttles_of(host.blkio_device_write_iops));
    return block;
}

} // namespace

Result<oci::Resources> resources_of(const HostConfig& host) {
    oci::Resources resources;
    oci::MemoryResources memory;
    if (host.memory > 0) {
        memory.limit = host.memory;
    }
    if (host.memory_swap != 0) {
        memory.swap = host.memory_swap;
    }
    if (host.memory_reservation > 0) {
        memory.reservation = host.memory_reservation;
    }
    if (host.memory_swappiness && *host.memory_swappiness >= 0) {
        memory.swappiness = static_cast<std::uint64_t>(*host.memory_swappiness);
    }
    if (host.oom_kill_disable.value_or(false)) {
        memory.disable_oom_killer = true;
    }
    resources.memory = memory;
    oci::CpuResources cpu;
    if (host.cpu_shares > 0) {
        cpu.shares = static_cast<std::uint64_t>(host.cpu_shares);
    }
    if (host.nano_cpus > 0) {
        cpu.period = static_cast<std::uint64_t>(cpu_period);
        cpu.quota = host.nano_cpus * cpu_period / 1'000'000'000;
    }
    if (host.cpu_period > 0) {
        cpu.period = static_cast<std::uint64_t>(host.cpu_period);
    }
    if (host.cpu_quota != 0) {
        cpu.quota = host.cpu_quota;
    }
    if (host.cpu_realtime_period > 0) {
        cpu.realtime_period = static_cast<std::uint64_t>(host.cpu_realtime_period);
    }
    if (host.cpu_realtime_runtime != 0) {
        cpu.realtime_runtime = host.cpu_realtime_runtime;
    }
    cpu.cpus = host.cpuset_cpus;
    cpu.mems = host.cpuset_mems;
    resources.cpu = cpu;
    if (host.pids_limit) {
        // An update to 0 is one to no limit; to the runtime 0 says nothing.
        resources.pids = oci::PidsResources{.limit = *host.pids_limit > 0 ? *host.pids_limit : -1};
    }
    const bool limits_block_io =
        host.blkio_weight != 0 || !host.blkio_weight_device.empty() ||
        !host.blkio_device_read_bps.empty() || !host.blkio_device_write_bps.empty() ||
        !host.blkio_device_read_iops.empty() || !host.blkio_device_write_iops.empty();
    if (limits_block_io) {
        resources.block_io = TRY(block_resources_of(host));
    }
    return resources;
}

Result<void> add_devices(
    oci::RuntimeConfig& config, std::vector<oci::DeviceRule>& rules, const HostConfig& host) {
    if (host.privileged) {
        collect("/dev", "/dev", config.linux_.devices, 0);
        rules = {oci::DeviceRule{.allow = true, .type = "a", .access = "rwm"}};
        return ok();
    }
    for (const DeviceMapping& mapping : host.devices) {
        TRY(add_mapping(config, rules, mapping));
    }
    for (const std::string& text : host.device_cgroup_rules) {
        rules.push_back(TRY(parse_rule(text)));
    }
    return ok();
}

} // namespace berth::engine
