// SPDX-License-Identifier: Apache-2.0
// The process object of the OCI runtime specification: a container's first program, and execs.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md#process
#pragma once

#include "codec/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::oci {

struct ConsoleSize {
    std::uint32_t height = 0;
    std::uint32_t width = 0;
};

struct User {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<std::uint32_t> additional_gids;
};

// Names as "CAP_CHOWN".
struct Capabilities {
    std::vector<std::string> bounding;
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;
};

struct Rlimit {
    std::string type; // "RLIMIT_NOFILE"
    std::uint64_t hard = 0;
    std::uint64_t soft = 0;
};

// sched_setattr(2).
struct Scheduler {
    std::string policy; // SCHED_*
    std::int32_t nice = 0;
    std::int32_t priority = 0;
    std::vector<std::string> flags; // SCHED_FLAG_*
    std::uint64_t runtime = 0;      // nanoseconds, of SCHED_DEADLINE
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

struct IoPriority {
    std::string io_class; // IOPRIO_CLASS_*
    std::int32_t priority = 0;
};

// CPUs ("0-3,7") of a process that joins a container: while it is set up, and afterwards.
struct ExecCpuAffinity {
    std::string initial;
    std::string final;
};

struct Process {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    User user;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd = "/";
    std::optional<Capabilities> capabilities; // nullopt: none at all
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;
    std::optional<std::int32_t> oom_score_adj;
    std::string selinux_label;
    std::optional<Scheduler> scheduler;
    std::optional<IoPriority> io_priority;
    std::optional<ExecCpuAffinity> exec_cpu_affinity;
};

Result<Process> parse_process(const json::Value& value);
Result<Process> parse_process_text(std::string_view text);
std::string process_text(const Process& process);

} // namespace berth::oci

namespace berth::json {

template <>
struct Fields<oci::ConsoleSize> {
    static constexpr auto table = std::tuple{
        field("height", &oci::ConsoleSize::height), field("width", &oci::ConsoleSize::width)};
};

template <>
struct Fields<oci::User> {
    static constexpr auto table = std::tuple{
        field("uid", &oci::User::uid),
        field("gid", &oci::User::gid),
        field("umask", &oci::User::umask, OmitEmpty),
        field("additionalGids", &oci::User::additional_gids, OmitEmpty)};
};

template <>
struct Fields<oci::Capabilities> {
    static constexpr auto table = std::tuple{
        field("bounding", &oci::Capabilities::bounding, OmitEmpty),
        field("effective", &oci::Capabilities::effective, OmitEmpty),
        field("inheritable", &oci::Capabilities::inheritable, OmitEmpty),
        field("permitted", &oci::Capabilities::permitted, OmitEmpty),
        field("ambient", &oci::Capabilities::ambient, OmitEmpty)};
};

template <>
struct Fields<oci::Rlimit> {
    static constexpr auto table = std::tuple{
        field("type", &oci::Rlimit::type),
        field("hard", &oci::Rlimit::hard),
        field("soft", &oci::Rlimit::soft)};
};

template <>
struct Fields<oci::Scheduler> {
    static constexpr auto table = std::tuple{
        field("policy", &oci::Scheduler::policy),
        field("nice", &oci::Scheduler::nice, OmitEmpty),
        field("priority", &oci::Scheduler::priority, OmitEmpty),
        field("flags", &oci::Scheduler::flags, OmitEmpty),
        field("runtime", &oci::Scheduler::runtime, OmitEmpty),
        field("deadline", &oci::Scheduler::deadline, OmitEmpty),
        field("period", &oci::Scheduler::period, OmitEmpty)};
};

template <>
struct Fields<oci::IoPriority> {
    static constexpr auto table = std::tuple{
        field("class", &oci::IoPriority::io_class), field("priority", &oci::IoPriority::priority)};
};

template <>
struct Fields<oci::ExecCpuAffinity> {
    static constexpr auto table = std::tuple{
        field("initial", &oci::ExecCpuAffinity::initial, OmitEmpty),
        field("final", &oci::ExecCpuAffinity::final, OmitEmpty)};
};

template <>
struct Fields<oci::Process> {
    static constexpr auto table = std::tuple{
        field("terminal", &oci::Process::terminal, OmitEmpty),
        field("consoleSize", &oci::Process::console_size, OmitEmpty),
        field("user", &oci::Process::user),
        field("args", &oci::Process::args, OmitEmpty),
        field("env", &oci::Process::env, OmitEmpty),
        field("cwd", &oci::Process::cwd),
        field("capabilities", &oci::Process::capabilities, OmitEmpty),
        field("rlimits", &oci::Process::rlimits, OmitEmpty),
        field("noNewPrivileges", &oci::Process::no_new_privileges, OmitEmpty),
        field("apparmorProfile", &oci::Process::apparmor_profile, OmitEmpty),
        field("oomScoreAdj", &oci::Process::oom_score_adj, OmitEmpty),
        field("selinuxLabel", &oci::Process::selinux_label, OmitEmpty),
        field("scheduler", &oci::Process::scheduler, OmitEmpty),
        field("ioPriority", &oci::Process::io_priority, OmitEmpty),
        field("execCPUAffinity", &oci::Process::exec_cpu_affinity, OmitEmpty)};
};

} // namespace berth::json
