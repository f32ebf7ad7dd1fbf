// SPDX-License-Identifier: Apache-2.0
// Control groups by their files, on cgroup v1 (one hierarchy a controller), hybrid (v1 controllers
// and an empty v2) and v2. cgroups(7), Documentation/admin-guide/cgroup-v2.rst. Values are v1's; v2
// gets them converted.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace berth::kernel {

enum class CgroupMode : std::uint8_t { V1, Hybrid, V2 };

struct CgroupLayout {
    CgroupMode mode = CgroupMode::V2;
    std::map<std::string, std::string> controllers; // v1 controller -> its mount point
    std::string unified;                            // v2's mount point, "" when there is none

    // From /proc/self/mountinfo. Unavailable when nothing is mounted.
    static Result<CgroupLayout> detect();
};

struct CgroupDeviceRule {
    bool allow = false;
    char type = 'a'; // 'a', 'b', 'c'
    std::optional<std::int64_t> major;
    std::optional<std::int64_t> minor;
    std::string access = "rwm";
};

struct CgroupLimits {
    std::optional<std::int64_t> memory; // bytes, -1 unlimited
    std::optional<std::int64_t> memory_reservation;
    std::optional<std::int64_t> memory_and_swap;
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
    std::optional<std::uint64_t> cpu_shares;
    std::optional<std::int64_t> cpu_quota;
    std::optional<std::uint64_t> cpu_period;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::int64_t> pids; // <= 0 unlimited
    std::optional<std::uint16_t> block_weight;
    std::map<std::string, std::string> unified;
};

struct CgroupStats {
    std::uint64_t memory_usage = 0;
    std::uint64_t memory_limit = 0;
    std::map<std::string, std::uint64_t> memory; // memory.stat
    std::uint64_t cpu_nanoseconds = 0;
    std::uint64_t cpu_user_nanoseconds = 0;
    std::uint64_t cpu_kernel_nanoseconds = 0;
    std::uint64_t cpu_periods = 0;
    std::uint64_t cpu_throttled_periods = 0;
    std::uint64_t cpu_throttled_nanoseconds = 0;
    std::uint64_t pids = 0;
    std::uint64_t pids_limit = 0; // 0: unlimited
};

// One container's group in every hierarchy it uses. Move-only by convention of use; destroying the
// object does not remove the groups: remove() does.
class Cgroup {
  public:
    Cgroup() = default;

    // Makes the directories. `path` is absolute below the hierarchies' roots ("/berth/<id>").
    static Result<Cgroup> create(const CgroupLayout& layout, const std::string& path);
    // controller ("" for v2) -> absolute directory, as paths() gave it.
    static Cgroup from_paths(std::map<std::string, std::string> paths);

    const std::map<std::string, std::string>& paths() const { return paths_; }

    Result<void> apply(const CgroupLimits& limits);
    Result<void> apply_devices(const std::vector<CgroupDeviceRule>& rules);

    // Descriptors of the files to which "0" is written to join: opened before a namespace change.
    Result<std::vector<UniqueFd>> open_join_files() const;
    Result<void> add(pid_t pid) const;

    // Waits for the state that was asked for.
    Result<void> freeze();
    Result<void> thaw();
    bool frozen() const;

    Result<std::vector<pid_t>> processes() const;
    Result<void> kill_all(int signal) const;
    Result<CgroupStats> stats() const;
    std::uint64_t oom_kills() const; // 0 also when it cannot be read

    // Removes the directories, child groups too; processes that are still dying are waited for (1 s
    // at most).
    Result<void> remove();

  private:
    bool v2() const { return paths_.contains(""); }

    std::string file(std::string_view controller, std::string_view name) const;

    std::map<std::string, std::string> paths_;
};

} // namespace berth::kernel
