// SPDX-License-Identifier: Apache-2.0
// Most comes from kernel::Cgroup::stats(); what only this command shows is read here.
#include "runtime/command_line/event_stats.h"

#include "base/file.h"
#include "base/strings.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdlib>
#include <limits>

namespace berth::runtime::command_line {

namespace {

std::string directory_of(const kernel::Cgroup& cgroup, const std::string& controller) {
    auto found = cgroup.directories().find(controller);
    return found == cgroup.directories().end() ? "" : found->second;
}

// 0 for what is not there; `unlimited` for "max".
std::uint64_t
number_in(const std::string& directory, const std::string& file, std::uint64_t unlimited = 0) {
    if (directory.empty()) {
        return 0;
    }
    std::string text = read_file(directory + "/" + file, 4096).value_or("");
    return trim(text) == "max" ? unlimited : parse_number<std::uint64_t>(trim(text)).value_or(0);
}

// Lines "name number".
std::map<std::string, std::uint64_t>
table_in(const std::string& directory, const std::string& file) {
    std::map<std::string, std::uint64_t> table;
    const std::string text =
        directory.empty() ? "" : read_file(directory + "/" + file, 65536).value_or("");
    for (std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> parts = words(line);
        if (parts.size() == 2) {
            table[std::string(parts[0])] = parse_number<std::uint64_t>(parts[1]).value_or(0);
        }
    }
    return table;
}

// Nothing where the kernel does not count it (psi=0, version 1).
void add_pressure(json::Object& object, const std::string& directory, const std::string& file) {
    Result<std::string> text = directory.empty() ? Result<std::string>(not_found(file))
                                                 : read_file(directory + "/" + file, 4096);
    if (text.ok() && !text->empty()) {
        object["psi"] = pressure_object(*text);
    }
}

json::Object cpu_object(const kernel::Cgroup& cgroup, const kernel::CgroupStats& stats) {
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
    json::Object object{{"usage", std::move(usage)}, {"throttling", std::move(throttling)}};
    add_pressure(object, directory_of(cgroup, ""), "cpu.pressure");
    return object;
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

json::Object memory_of_version1(const std::string& directory, const std::string& prefix) {
    return memory_entry(
        number_in(directory, prefix + ".limit_in_bytes"),
        number_in(directory, prefix + ".usage_in_bytes"),
        number_in(directory, prefix + ".max_usage_in_bytes"),
        number_in(directory, prefix + ".failcnt"));
}

// runc: memory and swap together, as version 1 counts them; no limit is the highest number.
json::Object swap_of_version2(const std::string& directory, const kernel::CgroupStats& stats) {
    if (directory.empty() || !exists(directory + "/memory.swap.current")) {
        return memory_entry(stats.memory_limit, stats.memory_usage, 0, 0);
    }
    constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t limit = number_in(directory, "memory.swap.max", none);
    return memory_entry(
        limit == none || stats.memory_limit == none ? none : limit + stats.memory_limit,
        number_in(directory, "memory.swap.current") + stats.memory_usage,
        0,
        0);
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
    object["swap"] = memory.empty() ? swap_of_version2(unified, stats)
                                    : memory_of_version1(memory, "memory.memsw");
    // What version 1 alone counts on its own.
    object["kernel"] =
        memory.empty() ? memory_entry(0, 0, 0, 0) : memory_of_version1(memory, "memory.kmem");
    object["kernelTCP"] =
        memory.empty() ? memory_entry(0, 0, 0, 0) : memory_of_version1(memory, "memory.kmem.tcp");
    json::Object raw;
    for (const auto& [name, value] : stats.memory) {
        raw[name] = value;
    }
    object["raw"] = std::move(raw);
    add_pressure(object, unified, "memory.pressure");
    if (memory.empty()) {
        json::Object events;
        const auto counts = table_in(unified, "memory.events");
        for (const char* name : {"low", "high", "max", "oom", "oom_kill"}) {
            auto found = counts.find(name);
            events[name] = found == counts.end() ? 0 : found->second;
        }
        object["event_count"] = std::move(events);
    }
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
        // Pages that are reserved count, where the kernel knows them.
        const std::string reserved = prefix + ".rsvd";
        const std::string counted = exists(directory + "/" + reserved + usage) ? reserved : prefix;
        const std::uint64_t failures = version1.empty()
                                           ? table_in(directory, counted + ".events")["max"]
                                           : number_in(directory, counted + ".failcnt");
        object[prefix.substr(8)] = json::Object{
            {"usage", number_in(directory, counted + usage)},
            {"max", number_in(directory, counted + ".max_usage_in_bytes")},
            {"failcnt", failures}};
    }
    return object;
}

std::string rdma_directory(const kernel::Cgroup& cgroup) {
    const std::string version1 = directory_of(cgroup, "rdma");
    return version1.empty() ? directory_of(cgroup, "") : version1;
}

// "mlx4_0 hca_handle=2 hca_object=max" -> libcontainer's RdmaEntry.
json::Array rdma_entries(const std::string& text) {
    json::Array array;
    for (std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> parts = words(line);
        json::Object entry;
        for (std::string_view part : parts) {
            const std::optional<Cut> pair = cut(part, "=");
            if (!pair) {
                entry["device"] = part;
            } else if (pair->before == "hca_handle" || pair->before == "hca_object") {
                constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
                entry[std::string(pair->before) + "s"] =
                    pair->after == "max" ? none
                                         : parse_number<std::uint32_t>(pair->after).value_or(0);
            }
        }
        if (entry.size() == 3) {
            array.emplace_back(std::move(entry));
        }
    }
    return array;
}

} // namespace

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
json::Object pressure_object(std::string_view text) {
    json::Object object;
    for (std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> parts = words(line);
        if (parts.empty() || (parts[0] != "some" && parts[0] != "full")) {
            continue;
        }
        json::Object numbers;
        for (std::string_view part : parts) {
            const std::optional<Cut> pair = cut(part, "=");
            if (pair && pair->before == "total") {
                numbers["total"] = parse_number<std::uint64_t>(pair->after).value_or(0);
            } else if (pair && pair->before.starts_with("avg")) {
                numbers[pair->before] = std::strtod(std::string(pair->after).c_str(), nullptr);
            }
        }
        object[parts[0]] = std::move(numbers);
    }
    return object;
}

json::Object rdma_object(const std::string& directory) {
    json::Object object;
    if (directory.empty()) {
        return object;
    }
    for (const auto& [file, name] :
         {std::pair{"/rdma.max", "rdma_limit"}, std::pair{"/rdma.current", "rdma_current"}}) {
        json::Array entries = rdma_entries(read_file(directory + file, 65536).value_or(""));
        if (!entries.empty()) {
            object[name] = std::move(entries);
        }
    }
    return object;
}

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
    add_pressure(block, directory_of(cgroup, ""), "io.pressure");
    json::Object object;
    object["cpu"] = cpu_object(cgroup, stats);
    object["cpuset"] = cpuset_object(cgroup);
    object["memory"] = memory_object(cgroup, stats);
    object["pids"] = std::move(pids);
    object["blkio"] = std::move(block);
    object["hugetlb"] = huge_page_object(cgroup);
    if (json::Object rdma = rdma_object(rdma_directory(cgroup)); !rdma.empty()) {
        object["rdma"] = std::move(rdma);
    }
    object["intel_rdt"] = json::Object{};
    object["network_interfaces"] = nullptr;
    return json::Value(std::move(object));
}

} // namespace berth::runtime::command_line
