// SPDX-License-Identifier: Apache-2.0
// Inside of the cgroup code: small files of a group, limits, device rules and statistics for each
// version. Not for other libraries.
#pragma once

#include "kernel/cgroup.h"

namespace berth::kernel::cgroup_files {

Result<void> write_file(const std::string& directory, std::string_view file, std::string_view text);
Result<std::string> read_text(const std::string& directory, std::string_view file);
// "max" is nullopt.
Result<std::optional<std::uint64_t>>
read_number(const std::string& directory, std::string_view file);
// Lines "key value".
Result<std::map<std::string, std::uint64_t>>
read_table(const std::string& directory, std::string_view file);

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
