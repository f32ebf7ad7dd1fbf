// SPDX-License-Identifier: Apache-2.0
// Values are taken over one by one. What a kernel lacks is for the kernel's side to say.
#include "runtime/cgroup_resources.h"

#include "runtime/defaults.h"

#include <algorithm>

namespace berth::runtime {

namespace {

// Go's clients send 0 for "not set" in most numbers (runc: "if r.CpuShares != 0").
template <class Number>
std::optional<Number> unless_zero(const std::optional<Number>& number) {
    return number && *number != 0 ? number : std::nullopt;
}

std::vector<kernel::CgroupThrottle>
throttles(const std::vector<oci::BlockThrottleDevice>& devices) {
    std::vector<kernel::CgroupThrottle> list;
    for (const oci::BlockThrottleDevice& device : devices) {
        list.push_back({device.major, device.minor, device.rate});
    }
    return list;
}

void add_memory(kernel::CgroupLimits& limits, const oci::MemoryResources& memory) {
    limits.memory = unless_zero(memory.limit);
    limits.memory_reservation = unless_zero(memory.reservation);
    limits.memory_and_swap = unless_zero(memory.swap);
    // -1, which some callers always send, asks for nothing.
    auto limited = [](const std::optional<std::int64_t>& number) {
        return number && *number > 0 ? number : std::nullopt;
    };
    limits.memory_kernel = limited(memory.kernel);
    limits.memory_kernel_tcp = limited(memory.kernel_tcp);
    limits.swappiness = memory.swappiness;
    limits.disable_oom_killer = memory.disable_oom_killer;
    limits.memory_hierarchy = memory.use_hierarchy;
    limits.memory_check = memory.check_before_update.value_or(false);
}

void add_cpu(kernel::CgroupLimits& limits, const oci::CpuResources& cpu) {
    limits.cpu_shares = unless_zero(cpu.shares);
    limits.cpu_quota = unless_zero(cpu.quota);
    limits.cpu_period = unless_zero(cpu.period);
    limits.cpu_burst = cpu.burst;
    limits.cpu_realtime_runtime = unless_zero(cpu.realtime_runtime);
    limits.cpu_realtime_period = unless_zero(cpu.realtime_period);
    limits.cpu_idle = cpu.idle;
    limits.cpuset_cpus = cpu.cpus;
    limits.cpuset_mems = cpu.mems;
}

void add_block(kernel::CgroupLimits& limits, const oci::BlockResources& block) {
    limits.block_weight = unless_zero(block.weight);
    limits.block_leaf_weight = unless_zero(block.leaf_weight);
    for (const oci::BlockWeightDevice& device : block.weight_devices) {
        if (device.weight) {
            limits.block_weight_devices.push_back({device.major, device.minor, *device.weight});
        }
        if (unless_zero(device.leaf_weight)) {
            limits.block_leaf_weight_devices.push_back(
                {device.major, device.minor, *device.leaf_weight});
        }
    }
    limits.read_bps = throttles(block.throttle_read_bps);
    limits.write_bps = throttles(block.throttle_write_bps);
    limits.read_iops = throttles(block.throttle_read_iops);
    limits.write_iops = throttles(block.throttle_write_iops);
}

void add_network(kernel::CgroupLimits& limits, const oci::NetworkResources& network) {
    limits.network_class = unless_zero(network.class_id);
    for (const oci::InterfacePriority& entry : network.priorities) {
        limits.network_priorities[entry.name] = entry.priority;
    }
}

bool is_same(const oci::DeviceRule& a, const oci::DeviceRule& b) {
    return a.allow == b.allow && a.type == b.type && a.major == b.major && a.minor == b.minor &&
           a.access == b.access;
}

// As runc: whatever the rules say, a container may use what it always has in /dev. What is allowed
// already, with no refusal behind it, need not be said twice: version 1 takes a write for each.
void add_usual_devices(std::vector<oci::DeviceRule>& rules) {
    auto refusal = std::find_if(
        rules.rbegin(), rules.rend(), [](const oci::DeviceRule& rule) { return !rule.allow; });
    const std::vector<oci::DeviceRule> allowed(refusal.base(), rules.end());
    for (const oci::DeviceRule& usual : default_device_rules()) {
        if (usual.allow &&
            std::none_of(allowed.begin(), allowed.end(), [&usual](const oci::DeviceRule& rule) {
                return is_same(rule, usual);
            })) {
            rules.push_back(usual);
        }
    }
}

} // namespace

Result<kernel::CgroupLimits> cgroup_limits(const oci::Resources& resources) {
    kernel::CgroupLimits limits;
    if (resources.memory) {
        add_memory(limits, *resources.memory);
    }
    if (resources.cpu) {
        add_cpu(limits, *resources.cpu);
    }
    if (resources.pids) {
        limits.pids = unless_zero(resources.pids->limit);
    }
    if (resources.block_io) {
        add_block(limits, *resources.block_io);
    }
    for (const oci::HugePageLimit& huge : resources.huge_page_limits) {
        limits.huge_pages[huge.page_size] = huge.limit;
    }
    if (resources.network) {
        add_network(limits, *resources.network);
    }
    for (const auto& [device, limit] : resources.rdma) {
        limits.rdma.push_back({device, limit.hca_handles, limit.hca_objects});
    }
    limits.unified = resources.unified;
    return limits;
}

Result<std::vector<kernel::CgroupDeviceRule>>
device_rules(const std::vector<oci::DeviceRule>& configured) {
    std::vector<oci::DeviceRule> rules = configured;
    const bool allows_all = !rules.empty() && rules.back().allow &&
                            (rules.back().type.empty() || rules.back().type == "a");
    if (!rules.empty() && !allows_all) {
        add_usual_devices(rules);
    }
    std::vector<kernel::CgroupDeviceRule> made;
    for (const oci::DeviceRule& rule : rules) {
        kernel::CgroupDeviceRule device{
            .allow = rule.allow,
            .type = rule.type.empty() ? 'a' : rule.type[0],
            .major = rule.major.value_or(-1),
            .minor = rule.minor.value_or(-1)};
        if (rule.type.size() > 1 ||
            (device.type != 'a' && device.type != 'b' && device.type != 'c')) {
            return invalid_argument("device rule of unknown type \"" + rule.type + "\"");
        }
        for (char access : rule.access) {
            switch (access) {
            case 'r':
                device.read = true;
                break;
            case 'w':
                device.write = true;
                break;
            case 'm':
                device.mknod = true;
                break;
            default:
                return invalid_argument("device rule with access \"" + rule.access + "\"");
            }
        }
        // runc: a rule of type "a" is about everything, whatever else it says.
        if (device.type == 'a') {
            device = {.allow = rule.allow, .type = 'a', .read = true, .write = true, .mknod = true};
        }
        made.push_back(device);
    }
    return made;
}

} // namespace berth::runtime
