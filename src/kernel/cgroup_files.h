// SPDX-License-Identifier: Apache-2.0
// Inside of the cgroup code: small files of a group, limits, device rules and statistics for each
// version. Not for other libraries.
#pragma once

#include "kernel/cgroup.h"

#include <functional>

namespace berth::kernel::cgroup_files {

Result<void> write_file(const std::string& directory, std::string_view file, std::string_view text);
Result<std::string> read_text(const std::string& directory, std::string_view file);
// "max" is nullopt.
Result<std::optional<std::uint64_t>>
read_number(const std::string& directory, std::string_view file);
// Lines "key value".
Result<std::map<std::string, std::uint64_t>>
read_table(const std::string& directory, std::string_view file);

template <class Number>
Result<void>
write_if(const std::string& directory, std::string_view file, const std::optional<Number>& number) {
    return number ? write_file(directory, file, std::to_string(*number)) : ok();
}

// Absolute and clean; InvalidArgument for the root and for ways up.
Result<std::string> checked_path(const std::string& path);
Result<bool> populated(const std::string& directory); // of version 2
Result<std::string> make_version1_directory(
    const std::string& mount_point, const std::string& path, const std::string& controller);

// Ranges that the kernel does not check, or whose refusal would not say why.
Result<void> check_limits(const CgroupLimits& limits);
// A limit that the kernel does not take is a mistake of whoever asked for it: InvalidArgument.
Result<void> blame_refused(Result<void> set);

std::string device_text(const CgroupThrottle& throttle); // "8:0"
std::string pids_text(std::int64_t limit);
std::uint64_t weight_of_shares(std::uint64_t shares);
std::uint64_t io_weight_of_block_weight(std::uint64_t weight);
Result<std::optional<std::int64_t>> swap_alone(const CgroupLimits& limits);
Result<void> with_burst(
    const std::string& directory,
    std::string_view file,
    const std::optional<std::uint64_t>& burst,
    const std::function<Result<void>()>& set_quota);

// The same files in both versions.
Result<void> limit_cpuset(const std::string& directory, const CgroupLimits& limits);
Result<void> limit_huge_pages(
    const std::string& directory, const std::string& suffix, const CgroupLimits& limits);
Result<void> limit_rdma(const std::string& directory, const CgroupLimits& limits);

// Version 1 controllers that these limits need.
std::vector<std::string> needed_controllers(const CgroupLimits& limits);

Result<void>
limit_version1(const std::map<std::string, std::string>& directories, const CgroupLimits& limits);
Result<void> limit_version2(const std::string& directory, const CgroupLimits& limits);

Result<void>
allow_devices_version1(const std::string& directory, const std::vector<CgroupDeviceRule>& rules);
// As an eBPF program on the group; replaces one that was there.
Result<void>
allow_devices_version2(const std::string& directory, const std::vector<CgroupDeviceRule>& rules);

void add_stats_version1(const std::map<std::string, std::string>& directories, CgroupStats& stats);
void add_stats_version2(const std::string& directory, CgroupStats& stats);

} // namespace berth::kernel::cgroup_files
