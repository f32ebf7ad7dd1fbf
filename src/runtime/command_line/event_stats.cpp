// SPDX-License-Identifier: Apache-2.0
// Most comes from kernel::Cgroup::stats(); what only this command shows is read here.
#include "runtime/command_line/event_stats.h"

#include "base/file.h"
#include "base/strings.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace berth::runtime::command_line {

namespace {

std::string directory_of(const kernel::Cgroup& cgroup, const std::string& controller) {
    auto found = cgroup.directories().find(controller);
    return found == cgroup.directories().end() ? "" : found->second;
}

// 0 for what is not there and for "max".
std::uint64_t number_in(const std::string& directory, const std::string& file) {
    if (directory.empty()) {
        return 0;
    }
    std::string text = read_file(directory + "/" + file, 4096).value_or("");
    return parse_number<std::uint64_t>(trim(text)).value_or(0);
}

json::Object cpu_object(const kernel::CgroupStats& stats) {
    json::Object usage;
    usage["total"] = stats.cpu_usage_ns;
    if (!stats.cpu_per_cpu_ns.empty()) {
        json::Array each;
        for (std::uint64_t time : stats.cpu_per_cpu_ns) {
            each.emplace_back(time);
        }
        usage["percpu"] = std::move(each);
    }
    usage["kernel"] = stats.cpu_system_ns;
    usage["user"] = stats.cpu_user_ns;
    json::Object throttling;
    throttling["periods"] = stats.periods;
    throttling["throttledPeriods"] = stats.throttled_periods;
    throttling["throttledTime"] = stats.throttled_ns;
    return {{"usage", std::move(usage)}, {"throttling", std::move(throttling)}};
}

json::Object cpuset_object(const kernel::Cgroup& cgroup) {
    json::Object object;
    const std::string version1 = directory_of(cgroup, "cpuset");
    const std::string directory = version1.empty() ? directory_of(cgroup, "") : version1;
    for (std::string name : {"cpus", "mems"}) {
        std::string file = "/cpuset." + name + (version1.empty() ? ".effective" : "");
        auto numbers = parse_number_list(trim(read_file(directory + file, 65536).value_or("")));
        if (numbers.ok() && !numbers->empty()) {
            json::Array array;
            for (std::uint16_t number : *numbers) {
                array.emplace_back(number);
            }
            object[name] = std::move(array);
        }
    }
    return object;
}

json::Object memory_entry(
    std::uint64_t limit, std::uint64_t usage, std::uint64_t max, std::uint64_t fail_count) {
    json::Object object;
    object["limit"] = limit;
    object["usage"] = usage;
    object["max"] = max;
    object["failcnt"] = fail_count;
    return object;
}

json::Object memory_object(const kernel::Cgroup& cgroup, const kernel::CgroupStats& stats) {
    json::Object object;
    auto cache = stats.memory.find("cache");
    cache = cache == stats.memory.end() ? stats.memory.find("file") : cache;
    object["cache"] = cache == stats.memory.end() ? 0 : cache->second;
    object["usage"] = memory_entry(
        stats.memory_limit, stats.memory_usage, stats.memory_max_usage, stats.memory_fail_count);
    const std::string memory = directory_of(cgroup, "memory");
    const std::string unified = directory_of(cgroup, "");
    object["swap"] = memory.empty() ? memory_entry(
                                          number_in(unified, "memory.swap.max"),
                                          number_in(unified, "memory.swap.current"),
                                          number_in(unified, "memory.swap.peak"),
                                          0)
                                    : memory_entry(
                                          number_in(memory, "memory.memsw.limit_in_bytes"),
                                          number_in(memory, "memory.memsw.usage_in_bytes"),
                                          number_in(memory, "memory.memsw.max_usage_in_bytes"),
                                          number_in(memory, "memory.memsw.failcnt"));
    json::Object raw;
    for (const auto& [name, value] : stats.memory) {
        raw[name] = value;
    }
    object["raw"] = std::move(raw);
    return object;
}

json::Array block_array(const std::vector<kernel::CgroupStats::BlockEntry>& entries) {
    json::Array array;
    for (const kernel::CgroupStats::BlockEntry& entry : entries) {
        json::Object object;
        object["major"] = entry.major;
        object["minor"] = entry.minor;
        object["op"] = entry.operation;
        object["value"] = entry.value;
        array.emplace_back(std::move(object));
    }
    return array;
}

// Sizes that the group knows: hugetlb.2MB.usage_in_bytes, hugetlb.2MB.current.
json::Object huge_page_object(const kernel::Cgroup& cgroup) {
    json::Object object;
    const std::string version1 = directory_of(cgroup, "hugetlb");
    const std::string directory = version1.empty() ? directory_of(cgroup, "") : version1;
    if (directory.empty()) {
        return object;
    }
    const std::string usage = version1.empty() ? ".current" : ".usage_in_bytes";
    for (const std::string& name : list_directory(directory).value_or(std::vector<std::string>())) {
        if (!name.starts_with("hugetlb.") || !name.ends_with(usage) ||
            name.find(".rsvd.") != std::string::npos) {
            continue;
        }
        const std::string prefix = name.substr(0, name.size() - usage.size());
        object[prefix.substr(8)] = json::Object{
            {"usage", number_in(directory, name)},
            {"max", number_in(directory, prefix + ".max_usage_in_bytes")},
            {"failcnt", number_in(directory, prefix + ".failcnt")}};
    }
    return object;
}

} // namespace

Result<std::vector<std::uint16_t>> parse_number_list(std::string_view text) {
    std::vector<std::uint16_t> numbers;
    if (text.empty()) {
        return numbers;
    }
    for (std::string_view part : split(text, ',')) {
        std::optional<Cut> range = cut(part, "-");
        auto first = TRY(parse_number<std::uint16_t>(range ? range->before : part));
        auto last = TRY(parse_number<std::uint16_t>(range ? range->after : part));
        for (std::uint32_t number = first; number <= last; ++number) {
            numbers.push_back(static_cast<std::uint16_t>(number));
        }
    }
    return numbers;
}

Result<json::Value> stats_of(const kernel::Cgroup& cgroup) {
    kernel::CgroupStats stats = TRY(cgroup.stats());
    json::Object pids;
    pids["current"] = stats.pids_current;
    pids["limit"] = stats.pids_limit;
    json::Object block;
    block["ioServiceBytesRecursive"] = block_array(stats.block_bytes);
    block["ioServicedRecursive"] = block_array(stats.block_operations);
    json::Object object;
    object["cpu"] = cpu_object(stats);
    object["cpuset"] = cpuset_object(cgroup);
    object["memory"] = memory_object(cgroup, stats);
    object["pids"] = std::move(pids);
    object["blkio"] = std::move(block);
    object["hugetlb"] = huge_page_object(cgroup);
    object["intel_rdt"] = json::Object{};
    object["network_interfaces"] = nullptr;
    return json::Value(std::move(object));
}

} // namespace berth::runtime::command_line
