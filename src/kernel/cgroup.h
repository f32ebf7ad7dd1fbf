// SPDX-License-Identifier: Apache-2.0
// Control groups of version 1, 2 and both (hybrid), through the file system. Where version 2 is
// mounted at all, it does what needs no controller: membership at clone, freezing, killing, device
// rules by eBPF. Controllers (memory, cpu, pids, cpuset, io) are used wherever the machine has
// them.
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

enum class CgroupMode : std::uint8_t { Version1, Hybrid, Version2 };

struct CgroupLayout {
    CgroupMode mode = CgroupMode::Version2;
    std::string unified;                            // mount point of version 2; "" without
    std::map<std::string, std::string> controllers; // version 1: controller -> mount point
    std::string named_systemd; // mount point of "name=systemd", version 1; "" without
    // Own path in each version 1 hierarchy by controller, "" for version 2.
    std::map<std::string, std::string> own_paths;
};

// From mountinfo and cgroup of /proc/self; read at the first call.
Result<const CgroupLayout*> cgroup_layout();
// For tests and other roots.
Result<CgroupLayout> parse_cgroup_layout(std::string_view mountinfo, std::string_view cgroup);

struct CgroupDeviceRule {
    bool allow = false;
    char type = 'a'; // a b c
    std::int64_t major = -1;
    std::int64_t minor = -1; // -1: any
    bool read = false;
    bool write = false;
    bool mknod = false;
};

struct CgroupThrottle {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::uint64_t rate = 0;

    bool operator==(const CgroupThrottle&) const = default;
};

struct CgroupRdmaLimit {
    std::string device;
    std::optional<std::uint32_t> handles;
    std::optional<std::uint32_t> objects;

    bool operator==(const CgroupRdmaLimit&) const = default;
};

// Absent: leave as it is. -1: no limit.
struct CgroupLimits {
    std::optional<std::int64_t> memory;
    std::optional<std::int64_t> memory_reservation;
    std::optional<std::int64_t> memory_and_swap;
    std::optional<std::int64_t> memory_kernel;     // version 1
    std::optional<std::int64_t> memory_kernel_tcp; // version 1
    std::optional<std::uint64_t> swappiness;       // version 1, 0 to 100
    std::optional<bool> disable_oom_killer;        // version 1
    std::optional<bool> memory_hierarchy;          // Linux 5.11 and later know nothing else
    bool memory_check = false; // refuse a limit below what is used, instead of killing
    std::optional<std::uint64_t> cpu_shares; // 2 to 262144
    std::optional<std::int64_t> cpu_quota;
    std::optional<std::uint64_t> cpu_period;
    std::optional<std::uint64_t> cpu_burst;
    std::optional<std::int64_t> cpu_realtime_runtime;
    std::optional<std::uint64_t> cpu_realtime_period;
    std::optional<std::int64_t> cpu_idle;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::int64_t> pids;
    std::optional<std::uint16_t> block_weight;      // 10 to 1000
    std::optional<std::uint16_t> block_leaf_weight; // version 1 before Linux 5.0
    std::vector<CgroupThrottle> block_weight_devices;
    std::vector<CgroupThrottle> block_leaf_weight_devices;
    std::vector<CgroupThrottle> read_bps, write_bps, read_iops, write_iops;
    std::map<std::string, std::uint64_t> huge_pages;         // "2MB" -> bytes
    std::optional<std::uint32_t> network_class;              // version 1
    std::map<std::string, std::uint32_t> network_priorities; // version 1: by interface
    std::vector<CgroupRdmaLimit> rdma;
    std::map<std::string, std::string> unified; // raw files of version 2

    bool operator==(const CgroupLimits&) const = default;
};

struct CgroupStats {
    std::uint64_t cpu_usage_ns = 0;
    std::uint64_t cpu_user_ns = 0;
    std::uint64_t cpu_system_ns = 0;
    std::vector<std::uint64_t> cpu_per_cpu_ns; // version 1 only
    std::uint64_t periods = 0;
    std::uint64_t throttled_periods = 0;
    std::uint64_t throttled_ns = 0;
    std::uint64_t memory_usage = 0;
    std::uint64_t memory_max_usage = 0;
    std::uint64_t memory_limit = 0; // 2^63 rounded: none
    std::uint64_t memory_fail_count = 0;
    std::map<std::string, std::uint64_t> memory; // memory.stat
    std::uint64_t pids_current = 0;
    std::uint64_t pids_limit = 0; // 0: none

    struct BlockEntry {
        std::uint64_t major = 0;
        std::uint64_t minor = 0;
        std::string operation; // "read", "write", …
        std::uint64_t value = 0;
    };

    std::vector<BlockEntry> block_bytes;
    std::vector<BlockEntry> block_operations;
    std::uint64_t oom_kills = 0;
};

// Which version 1 controllers a new group has: those that its limits need and that Docker's
// statistics show, or all of the machine, for a container that manages groups itself.
enum class CgroupControllers : bool { Needed, All };

// Who has made the group: systemd makes that of a scope with a process and, in version 2, with
// controllers; a slice has neither.
enum class CgroupOwner : std::uint8_t { Own, SystemdScope, SystemdSlice };

// The hierarchy of version 1 by which systemd knows processes where it does not use version 2, and
// that it fills as well where it uses both. A key of Cgroup::directories(), but no controller.
inline constexpr const char* systemd_hierarchy = "name=systemd";

// One container's groups. A value: it owns no directory; remove() is explicit.
class Cgroup {
  public:
    // path: "/docker/<id>", below the mount points. Conflict when it exists and has processes.
    static Result<Cgroup> create(
        const std::string& path,
        const CgroupLimits& limits,
        CgroupControllers controllers = CgroupControllers::Needed,
        CgroupOwner owner = CgroupOwner::Own);

    // One that exists; directories are looked for.
    static Result<Cgroup> open(const std::string& path);

    // Of a container that could not have one (rootless): nothing to join, limit, kill or remove.
    static Cgroup none();

    // Groups below this one that exist, by controller ("": wherever there is such a group).
    Result<Cgroup> below(const std::map<std::string, std::string>& paths) const;

    // Where a process is in version 2. A container that manages groups itself may have moved.
    static Result<std::string> unified_path_of(pid_t pid);
    // The same in name=systemd.
    static Result<std::string> systemd_path_of(pid_t pid);

    const std::string& path() const { return path_; }

    // Controller -> directory for version 1; the unified directory under "".
    const std::map<std::string, std::string>& directories() const { return directories_; }

    bool exists() const;

    Result<void> set_limits(const CgroupLimits& limits);

    // Later rules win, as in the specification. Replaces all rules.
    // Version 2 replaces all rules at once; version 1 takes them one by one, with a moment in
    // which everything is refused.
    bool device_rules_are_atomic() const { return directory("") != nullptr; }

    Result<void> set_device_rules(const std::vector<CgroupDeviceRule>& rules);

    // For CLONE_INTO_CGROUP; empty without version 2.
    Result<UniqueFd> open_unified() const;

    // The version 1 `tasks` files, opened for writing: a child with one thread writes "0" to each
    // and is in, without the grace period of a move from outside.
    Result<std::vector<UniqueFd>> open_joins() const;
    static Result<void> join(const std::vector<UniqueFd>& joins);

    // Moves another process in (slow: it may wait for a grace period of the kernel).
    Result<void> add(pid_t pid) const;

    Result<std::vector<pid_t>> processes() const; // of sub-groups too
    Result<void> freeze() const;
    Result<void> thaw() const;
    bool frozen() const;

    // SIGKILL is one write on version 2.
    Result<void> kill(int signal) const;
    Result<CgroupStats> stats() const;

    // Processes killed by the kernel for lack of memory, ever.
    Result<std::uint64_t> oom_kills() const;

    // Sub-groups first. Waits a little (dying processes leave late); absent is fine.
    Result<void> remove() const;

  private:
    Cgroup(std::string path, std::map<std::string, std::string> directories)
        : path_(std::move(path))
        , directories_(std::move(directories)) {}

    const std::string* directory(const std::string& controller) const;

    std::string path_;
    std::map<std::string, std::string> directories_;
};

} // namespace berth::kernel
