// SPDX-License-Identifier: Apache-2.0
// config.json of the OCI runtime specification 1.2 for Linux, as far as Berth implements it. What
// is not implemented is refused by parse(), never ignored.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::oci {

struct RuntimeConsoleSize {
    std::uint32_t height = 0;
    std::uint32_t width = 0;
};

struct RuntimeUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<std::uint32_t> additional_gids;
};

struct RuntimeCapabilities {
    std::vector<std::string> bounding; // "CAP_CHOWN"
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;
};

struct RuntimeRlimit {
    std::string type; // "RLIMIT_NOFILE"
    std::uint64_t hard = 0;
    std::uint64_t soft = 0;
};

struct RuntimeProcess {
    bool terminal = false;
    std::optional<RuntimeConsoleSize> console_size;
    RuntimeUser user;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd = "/";
    std::optional<RuntimeCapabilities> capabilities;
    std::vector<RuntimeRlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;
    std::string selinux_label;
    std::optional<std::int32_t> oom_score_adj;
};

struct RuntimeRoot {
    std::string path;
    bool readonly = false;
};

struct RuntimeMount {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
};

struct RuntimeNamespace {
    std::string type; // "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"
    std::string path;
};

struct RuntimeIdMapping {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;
};

struct RuntimeDevice {
    std::string type; // "c", "b", "u", "p"
    std::string path;
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint32_t> file_mode;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

struct RuntimeDeviceRule {
    bool allow = false;
    std::string type; // "a", "c", "b"
    std::optional<std::int64_t> major;
    std::optional<std::int64_t> minor;
    std::string access; // "rwm"
};

struct RuntimeMemory {
    std::optional<std::int64_t> limit; // bytes; -1: unlimited
    std::optional<std::int64_t> reservation;
    std::optional<std::int64_t> swap; // memory plus swap
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
};

struct RuntimeCpu {
    std::optional<std::uint64_t> shares;
    std::optional<std::int64_t> quota;   // microseconds a period
    std::optional<std::uint64_t> period; // microseconds
    std::string cpus;
    std::string mems;
};

struct RuntimePids {
    std::int64_t limit = 0; // <= 0: unlimited
};

struct RuntimeBlockIo {
    std::optional<std::uint16_t> weight;
};

struct RuntimeResources {
    std::vector<RuntimeDeviceRule> devices;
    std::optional<RuntimeMemory> memory;
    std::optional<RuntimeCpu> cpu;
    std::optional<RuntimePids> pids;
    std::optional<RuntimeBlockIo> block_io;
    std::map<std::string, std::string> unified; // cgroup v2 file -> content
};

struct RuntimeSeccompArgument {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    std::string op; // "SCMP_CMP_EQ"
};

struct RuntimeSyscall {
    std::vector<std::string> names;
    std::string action; // "SCMP_ACT_ALLOW"
    std::optional<std::uint32_t> errno_ret;
    std::vector<RuntimeSeccompArgument> args;
};

struct RuntimeSeccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures; // "SCMP_ARCH_X86_64"
    std::vector<std::string> flags;
    std::vector<RuntimeSyscall> syscalls;
};

struct RuntimeLinux {
    std::vector<RuntimeNamespace> namespaces;
    std::vector<RuntimeIdMapping> uid_mappings;
    std::vector<RuntimeIdMapping> gid_mappings;
    std::vector<RuntimeDevice> devices;
    std::string cgroups_path;
    std::optional<RuntimeResources> resources;
    std::optional<RuntimeSeccomp> seccomp;
    std::map<std::string, std::string> sysctl;
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string rootfs_propagation;
    std::string mount_label;
};

struct RuntimeConfig {
    std::string oci_version = "1.2.0";
    RuntimeProcess process;
    RuntimeRoot root;
    std::string hostname;
    std::string domainname;
    std::vector<RuntimeMount> mounts;
    RuntimeLinux linux_;
    std::map<std::string, std::string> annotations;

    // NotImplemented names a field of the specification that is not implemented; InvalidArgument
    // what is malformed. Unknown fields are ignored, as the specification asks.
    static Result<RuntimeConfig> parse(std::string_view json);
    std::string to_json() const;
};

Result<RuntimeProcess> parse_runtime_process(std::string_view json);
std::string to_json(const RuntimeProcess& process);
Result<RuntimeResources> parse_runtime_resources(std::string_view json);
std::string to_json(const RuntimeResources& resources);

} // namespace berth::oci
