// SPDX-License-Identifier: Apache-2.0
// runc: update.go. A flag that is not given leaves its limit alone.
#include "runtime/command_line/update_flags.h"

#include "base/log.h"
#include "base/strings.h"

#include <cmath>
#include <limits>

namespace berth::runtime::command_line {

namespace {

template <class T>
Result<void> take(const Flags& flags, std::string_view name, std::optional<T>& target) {
    const std::string text = flags.value(name);
    if (!text.empty()) {
        target = TRY_CONTEXT(parse_number<T>(text), "invalid value for " + std::string(name));
    }
    return ok();
}

Result<void>
take_size(const Flags& flags, std::string_view name, std::optional<std::int64_t>& target) {
    const std::string text = flags.value(name);
    if (!text.empty()) {
        target =
            text == "-1"
                ? -1
                : TRY_CONTEXT(parse_memory_size(text), "invalid value for " + std::string(name));
    }
    return ok();
}

Result<oci::CpuResources> cpu_from_flags(const Flags& flags) {
    oci::CpuResources cpu;
    TRY(take(flags, "cpu-period", cpu.period));
    TRY(take(flags, "cpu-quota", cpu.quota));
    TRY(take(flags, "cpu-burst", cpu.burst));
    TRY(take(flags, "cpu-share", cpu.shares));
    TRY(take(flags, "cpu-rt-period", cpu.realtime_period));
    TRY(take(flags, "cpu-rt-runtime", cpu.realtime_runtime));
    TRY(take(flags, "cpu-idle", cpu.idle));
    cpu.cpus = flags.value("cpuset-cpus");
    cpu.mems = flags.value("cpuset-mems");
    return cpu;
}

Result<oci::MemoryResources> memory_from_flags(const Flags& flags) {
    oci::MemoryResources memory;
    TRY(take_size(flags, "memory", memory.limit));
    TRY(take_size(flags, "memory-reservation", memory.reservation));
    TRY(take_size(flags, "memory-swap", memory.swap));
    if (flags.is_given("kernel-memory") || flags.is_given("kernel-memory-tcp")) {
        log::warn("Linux has no kernel memory limits any more, ignoring");
    }
    // Without this the old sum of memory and swap would still be the limit of memory.
    if (memory.limit == -1 && !memory.swap) {
        memory.swap = -1;
    }
    return memory;
}

} // namespace

Result<std::int64_t> parse_memory_size(std::string_view text) {
    auto bad = [text] { return invalid_argument("invalid size: '" + std::string(text) + "'"); };
    const std::size_t end = text.find_first_not_of("0123456789.");
    std::string_view number = text.substr(0, end);
    std::string unit = end == std::string_view::npos ? "" : to_lower(trim(text.substr(end)));
    if (unit.ends_with("ib")) {
        unit.resize(unit.size() - 2);
    } else if (unit.size() > 1 && unit.ends_with("b")) {
        unit.resize(unit.size() - 1);
    }
    constexpr std::string_view prefixes = "bkmgtp";
    const std::size_t power = unit.empty() ? 0 : prefixes.find(unit);
    if (power == std::string_view::npos || unit.size() > 1) {
        return bad();
    }
    double value = 0;
    auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || stop != number.data() + number.size() || number.empty()) {
        return bad();
    }
    value *= std::pow(1024.0, static_cast<double>(power));
    if (value >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
        return bad();
    }
    return static_cast<std::int64_t>(value);
}

Result<oci::Resources> resources_from_flags(const Flags& flags) {
    oci::Resources resources;
    resources.cpu = TRY(cpu_from_flags(flags));
    resources.memory = TRY(memory_from_flags(flags));
    if (flags.is_given("pids-limit")) {
        resources.pids = oci::PidsResources{.limit = flags.number("pids-limit")};
    }
    if (flags.is_given("blkio-weight")) {
        const int weight = flags.number("blkio-weight");
        if (weight < 0 || weight > std::numeric_limits<std::uint16_t>::max()) {
            return invalid_argument("invalid value for blkio-weight: " + std::to_string(weight));
        }
        resources.block_io.emplace();
        resources.block_io->weight = static_cast<std::uint16_t>(weight);
    }
    return resources;
}

} // namespace berth::runtime::command_line
