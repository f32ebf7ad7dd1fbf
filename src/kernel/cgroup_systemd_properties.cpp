// SPDX-License-Identifier: Apache-2.0
// Limits as properties of a unit, by runc's rules, so that systemctl shows the same under each.
// https://github.com/opencontainers/runc/blob/main/docs/systemd.md
#include "base/strings.h"
#include "kernel/cgroup_files.h"
#include "kernel/cgroup_systemd.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace berth::kernel {

namespace {

constexpr std::uint64_t infinity = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t default_period = 100'000;
constexpr std::size_t max_cpu = 8192;

using Properties = std::vector<DbusProperty>;

std::uint64_t or_infinity(std::int64_t number) {
    return number < 0 ? infinity : static_cast<std::uint64_t>(number);
}

// "0-2,5" -> bit mask, lowest first.
std::optional<std::vector<std::uint8_t>> bit_mask(std::string_view list) {
    std::vector<std::uint8_t> mask;
    for (std::string_view part : split(trim(list), ',')) {
        std::optional<Cut> range = cut(part, "-");
        Result<std::size_t> first = parse_number<std::size_t>(trim(range ? range->before : part));
        Result<std::size_t> last = parse_number<std::size_t>(trim(range ? range->after : part));
        if (!first.ok() || !last.ok() || *last >= max_cpu || *first > *last) {
            return std::nullopt; // the kernel's file says what is wrong
        }
        mask.resize(std::max(mask.size(), *last / 8 + 1));
        for (std::size_t cpu = *first; cpu <= *last; ++cpu) {
            mask[cpu / 8] = static_cast<std::uint8_t>(mask[cpu / 8] | 1U << cpu % 8);
        }
    }
    return mask;
}

void add_mask(Properties& properties, const char* name, const std::string& list) {
    if (list.empty()) {
        return;
    }
    if (std::optional<std::vector<std::uint8_t>> mask = bit_mask(list)) {
        properties.push_back({name, std::move(*mask)});
    }
}

// systemd keeps whole percents of a processor; rounded up, so that the group's own file may have
// what was asked for.
void add_quota(
    Properties& properties,
    std::optional<std::int64_t> quota,
    std::optional<std::uint64_t> period) {
    if (period.value_or(0) != 0) {
        properties.push_back({"CPUQuotaPeriodUSec", *period});
    }
    if (quota.value_or(0) == 0 && period.value_or(0) == 0) {
        return;
    }
    std::uint64_t per_second = infinity;
    if (quota.value_or(0) > 0) {
        constexpr std::uint64_t percent = 10'000;
        std::uint64_t every = period.value_or(0) != 0 ? *period : default_period;
        per_second = static_cast<std::uint64_t>(*quota) * 1'000'000 / every;
        per_second = (per_second + percent - 1) / percent * percent;
    }
    properties.push_back({"CPUQuotaPerSecUSec", per_second});
}

// A file of version 2 in systemd's words, if it has one.
void add_unified(Properties& properties, const std::string& file, std::string_view value) {
    static constexpr std::pair<std::string_view, const char*> numbers[] = {
        {"cpu.weight", "CPUWeight"},
        {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"},
        {"memory.min", "MemoryMin"},
        {"memory.max", "MemoryMax"},
        {"memory.swap.max", "MemorySwapMax"},
        {"pids.max", "TasksMax"}};
    value = trim(value);
    for (const auto& [known, property] : numbers) {
        Result<std::uint64_t> number =
            value == "max" ? Result<std::uint64_t>(infinity) : parse_number<std::uint64_t>(value);
        if (known == file && number.ok()) {
            properties.push_back({property, *number});
        }
    }
    if (file == "cpuset.cpus") {
        add_mask(properties, "AllowedCPUs", std::string(value));
    } else if (file == "cpuset.mems") {
        add_mask(properties, "AllowedMemoryNodes", std::string(value));
    } else if (file == "cpu.max") {
        std::vector<std::string_view> parts = words(value);
        std::optional<std::int64_t> quota;
        if (!parts.empty()) {
            quota = parts[0] == "max" ? -1 : parse_number<std::int64_t>(parts[0]).value_or(0);
        }
        std::optional<std::uint64_t> period;
        if (parts.size() > 1) {
            period = parse_number<std::uint64_t>(parts[1]).value_or(0);
        }
        add_quota(properties, quota, period);
    }
}

void add_number(
    Properties& properties, const char* name, const std::optional<std::int64_t>& value) {
    if (value) {
        properties.push_back({name, or_infinity(*value)});
    }
}

void add_version2(Properties& properties, const CgroupLimits& limits) {
    add_number(properties, "MemoryMax", limits.memory);
    add_number(properties, "MemoryLow", limits.memory_reservation);
    Result<std::optional<std::int64_t>> swap = cgroup_files::swap_alone(limits);
    if (swap.ok()) { // or else the files say what is wrong
        add_number(properties, "MemorySwapMax", *swap);
    }
    if (limits.cpu_idle == 1) {
        properties.push_back({"CPUWeight", std::uint64_t{0}}); // systemd's word for idle
    } else if (limits.cpu_shares) {
        properties.push_back({"CPUWeight", cgroup_files::weight_of_shares(*limits.cpu_shares)});
    }
}

// systemd refuses numbers out of range; the kernel takes the nearest, or says what is wrong.
void add_version1(Properties& properties, const CgroupLimits& limits) {
    constexpr std::uint64_t fewest_shares = 2;
    constexpr std::uint64_t most_shares = 262'144;
    constexpr std::uint64_t lowest_weight = 10;
    constexpr std::uint64_t highest_weight = 1000;
    add_number(properties, "MemoryLimit", limits.memory);
    if (limits.cpu_shares) {
        properties.push_back(
            {"CPUShares", std::clamp(*limits.cpu_shares, fewest_shares, most_shares)});
    }
    if (limits.block_weight) {
        properties.push_back(
            {"BlockIOWeight",
             std::clamp(std::uint64_t{*limits.block_weight}, lowest_weight, highest_weight)});
    }
}

// Numbers are majors; "*" stands for all.
std::string device_name(const CgroupDeviceRule& rule) {
    const std::string kind = rule.type == 'b' ? "block" : "char";
    if (rule.major < 0) {
        return kind + "-*";
    }
    if (rule.minor < 0) {
        return kind + "-" + std::to_string(rule.major);
    }
    return "/dev/" + kind + "/" + std::to_string(rule.major) + ":" + std::to_string(rule.minor);
}

std::string access_text(const CgroupDeviceRule& rule) {
    return std::string(rule.read ? "r" : "") + (rule.write ? "w" : "") + (rule.mknod ? "m" : "");
}

} // namespace

std::vector<DbusProperty> systemd_limits(const CgroupLimits& limits, CgroupMode mode) {
    Properties properties;
    if (mode == CgroupMode::Version2) {
        add_version2(properties, limits);
    } else {
        add_version1(properties, limits);
    }
    add_quota(properties, limits.cpu_quota, limits.cpu_period);
    add_mask(properties, "AllowedCPUs", limits.cpuset_cpus);
    add_mask(properties, "AllowedMemoryNodes", limits.cpuset_mems);
    if (limits.pids) {
        properties.push_back(
            {"TasksMax", *limits.pids <= 0 ? infinity : static_cast<std::uint64_t>(*limits.pids)});
    }
    if (mode == CgroupMode::Version2) {
        for (const auto& [file, value] : limits.unified) {
            add_unified(properties, file, value);
        }
    }
    return properties;
}

// systemd has no denials: what it allows contains what the rules allow, and the group's own program
// is exact.
std::vector<DbusProperty> systemd_devices(const std::vector<CgroupDeviceRule>& rules) {
    std::vector<std::pair<std::string, std::string>> allowed;
    bool everything = true;
    for (const CgroupDeviceRule& rule : rules) {
        if (rule.type == 'a') {
            everything = rule.allow;
            allowed.clear();
        } else if (rule.allow) {
            allowed.emplace_back(device_name(rule), access_text(rule));
        }
    }
    if (everything) {
        return {{"DevicePolicy", std::string("auto")}};
    }
    return {
        {"DevicePolicy", std::string("strict")},
        {"DeviceAllow", std::vector<std::pair<std::string, std::string>>()},
        {"DeviceAllow", std::move(allowed)}};
}

} // namespace berth::kernel
