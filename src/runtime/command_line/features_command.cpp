// SPDX-License-Identifier: Apache-2.0
// features: what this runtime can do. Each value is asked of the code that does it, so that it
// cannot be wrong.
// https://github.com/opencontainers/runtime-spec/blob/main/features.md
#include "base/file.h"
#include "codec/json.h"
#include "kernel/kernel_features.h"
#include "kernel/seccomp.h"
#include "oci/runtime_config.h"
#include "runtime/command_line/commands.h"
#include "runtime/defaults.h"
#include "runtime/mount_options.h"
#include "runtime/namespaces.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <array>

#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

// Every option that the specification or a runtime knows.
constexpr auto mount_option_names = std::to_array<std::string_view>(
    {"async",
     "atime",
     "bind",
     "defaults",
     "dev",
     "diratime",
     "dirsync",
     "exec",
     "idmap",
     "iversion",
     "lazytime",
     "loud",
     "mand",

     "noatime",
     "nodev",
     "nodiratime",
     "noexec",
     "noiversion",
     "nolazytime",
     "nomand",
     "norelatime",
     "nostrictatime",
     "nosuid",
     "nosymfollow",
     "private",
     "ratime",
     "rbind",
     "rdev",
     "rdiratime",
     "relatime",
     "remount",
     "rexec",
     "ridmap",
     "rnoatime",
     "rnodev",
     "rnodiratime",
     "rnoexec",
     "rnorelatime",
     "rnostrictatime",
     "rnosuid",
     "rnosymfollow",
     "ro",
     "rprivate",
     "rrelatime",
     "rro",
     "rrw",
     "rshared",
     "rslave",
     "rstrictatime",
     "rsuid",
     "rsymfollow",
     "runbindable",
     "rw",
     "shared",
     "silent",
     "slave",
     "strictatime",
     "suid",
     "symfollow",
     "sync",
     "tmpcopyup",
     "unbindable"});

constexpr auto namespace_names = std::to_array<std::string_view>(
    {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"});

constexpr auto seccomp_actions = std::to_array<std::string_view>(
    {"SCMP_ACT_ALLOW",
     "SCMP_ACT_ERRNO",
     "SCMP_ACT_KILL",
     "SCMP_ACT_KILL_PROCESS",
     "SCMP_ACT_KILL_THREAD",
     "SCMP_ACT_LOG",
     "SCMP_ACT_NOTIFY",
     "SCMP_ACT_TRACE",
     "SCMP_ACT_TRAP"});

constexpr auto seccomp_operators = std::to_array<std::string_view>(
    {"SCMP_CMP_EQ",
     "SCMP_CMP_GE",
     "SCMP_CMP_GT",
     "SCMP_CMP_LE",
     "SCMP_CMP_LT",
     "SCMP_CMP_MASKED_EQ",
     "SCMP_CMP_NE"});

constexpr auto seccomp_architectures = std::to_array<std::string_view>(
    {"SCMP_ARCH_AARCH64",
     "SCMP_ARCH_ARM",
     "SCMP_ARCH_MIPS",
     "SCMP_ARCH_MIPS64",
     "SCMP_ARCH_MIPS64N32",
     "SCMP_ARCH_MIPSEL",
     "SCMP_ARCH_MIPSEL64",
     "SCMP_ARCH_MIPSEL64N32",
     "SCMP_ARCH_PPC",
     "SCMP_ARCH_PPC64",
     "SCMP_ARCH_PPC64LE",
     "SCMP_ARCH_RISCV64",
     "SCMP_ARCH_S390",
     "SCMP_ARCH_S390X",
     "SCMP_ARCH_X32",
     "SCMP_ARCH_X86",
     "SCMP_ARCH_X86_64"});

constexpr auto seccomp_flags = std::to_array<std::string_view>(
    {"SECCOMP_FILTER_FLAG_LOG",
     "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
     "SECCOMP_FILTER_FLAG_TSYNC",
     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"});

// The names that pass.
template <class Names, class Test>
json::Array those(const Names& names, Test test) {
    json::Array array;
    for (const auto& name : names) {
        if (test(std::string(name))) {
            array.emplace_back(name);
        }
    }
    return array;
}

bool knows_mount_option(const std::string& name) {
    Result<MountOptions> parsed = parse_mount_options({name});
    // What nobody knows becomes a parameter of the file system.
    return parsed.ok() && parsed->parameters.empty();
}

bool knows_namespace(const std::string& name) {
    oci::RuntimeConfig config;
    config.linux_.namespaces.emplace_back().type = "mount";
    if (name != "mount") {
        config.linux_.namespaces.emplace_back().type = name;
    }
    if (name == "user") {
        config.linux_.uid_mappings.emplace_back().size = 1;
        config.linux_.gid_mappings.emplace_back().size = 1;
    }
    return plan_namespaces(config).ok();
}

// False when the reader of config.json says that it is not implemented.
bool knows_config(std::string_view text) {
    Result<oci::RuntimeConfig> config = oci::parse_runtime_config(text);
    return config.ok() || config.error().kind() != ErrorKind::NotImplemented;
}

kernel::SeccompFilter filter_with_action(const std::string& action) {
    kernel::SeccompFilter filter;
    filter.default_action = "SCMP_ACT_ALLOW";
    kernel::SeccompFilterRule& rule = filter.rules.emplace_back();
    rule.names = {"acct"};
    rule.action = action;
    return filter;
}

bool knows_seccomp_action(const std::string& action) {
    // A rule with the default action is no rule.
    kernel::SeccompFilter filter = filter_with_action(action);
    if (action == "SCMP_ACT_ALLOW") {
        filter.default_action = "SCMP_ACT_ERRNO";
    }
    return kernel::compile_seccomp(filter).ok();
}

bool knows_seccomp_operator(const std::string& name) {
    kernel::SeccompFilter filter = filter_with_action("SCMP_ACT_ERRNO");
    filter.rules[0].conditions.push_back({0, 1, 1, name});
    return kernel::compile_seccomp(filter).ok();
}

bool knows_seccomp_architecture(const std::string& name) {
    kernel::SeccompFilter filter = filter_with_action("SCMP_ACT_ERRNO");
    filter.architectures = {name};
    return kernel::compile_seccomp(filter).ok();
}

bool knows_seccomp_flag(const std::string& name) {
    kernel::SeccompFilter filter = filter_with_action("SCMP_ACT_ERRNO");
    filter.flags = {name};
    return kernel::compile_seccomp(filter).ok();
}

json::Object enabled(bool value) {
    return json::Object{{"enabled", value}};
}

json::Object seccomp_object() {
    auto known_flags = those(seccomp_flags, knows_seccomp_flag);
    return json::Object{
        {"enabled", kernel::kernel_features().seccomp_filter},
        {"actions", those(seccomp_actions, knows_seccomp_action)},
        {"operators", those(seccomp_operators, knows_seccomp_operator)},
        {"archs", those(seccomp_architectures, knows_seccomp_architecture)},
        {"knownFlags", known_flags},
        {"supportedFlags", known_flags}};
}

json::Object linux_object() {
    json::Object object;
    object["namespaces"] = those(namespace_names, knows_namespace);
    object["capabilities"] = those(all_capabilities(), [](const std::string&) { return true; });
    object["cgroup"] = json::Object{
        {"v1", true},
        {"v2", true},
        {"systemd", true},
        {"systemdUser", true},
        {"rdma", knows_config(R"({"linux":{"resources":{"rdma":{"mlx5_1":{"hcaHandles":1}}}}})")}};
    object["seccomp"] = seccomp_object();
    object["apparmor"] = enabled(true);
    object["selinux"] = enabled(knows_config(R"({"process":{"selinuxLabel":"a:b:c:s0"}})"));
    const bool rdt = knows_config(R"({"linux":{"intelRdt":{"closID":"a"}}})");
    object["intelRdt"] = json::Object{
        {"enabled", rdt},
        {"schemata", knows_config(R"({"linux":{"intelRdt":{"schemata":["L3:0=f"]}}})")},
        {"monitoring", knows_config(R"({"linux":{"intelRdt":{"enableMonitoring":true}}})")}};
    object["memoryPolicy"] = json::Object{};
    if (knows_config(R"({"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}}})")) {
        object["memoryPolicy"] = json::Object{
            {"modes",
             json::Array{
                 "MPOL_DEFAULT",
                 "MPOL_PREFERRED",
                 "MPOL_BIND",
                 "MPOL_INTERLEAVE",
                 "MPOL_LOCAL",
                 "MPOL_PREFERRED_MANY",
                 "MPOL_WEIGHTED_INTERLEAVE"}},
            {"flags",
             json::Array{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}}};
    }
    object["mountExtensions"] = json::Object{
        {"idmap",
         enabled(knows_config(
             R"({"mounts":[{"destination":"/a","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}]})"))}};
    object["netDevices"] = enabled(knows_config(R"({"linux":{"netDevices":{"eth0":{}}}})"));
    return object;
}

} // namespace

Result<int> features(const Globals&, const Flags&) {
    json::Object object{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks",
         json::Array{
             "prestart",
             "createRuntime",
             "createContainer",
             "startContainer",
             "poststart",
             "poststop"}},
        {"mountOptions", those(mount_option_names, knows_mount_option)},
        {"linux", linux_object()},
        {"annotations",
         json::Object{
             {"org.opencontainers.berth-runtime.version", BERTH_VERSION},
             {"org.opencontainers.berth-runtime.checkpoint.enabled", "false"}}},
        {"potentiallyUnsafeConfigAnnotations", json::Array{"org.systemd.property."}}};
    return write_all(
               FdRef::unowned(STDOUT_FILENO),
               json::serialize_indented(json::Value(std::move(object)), "    ") + "\n")
                   .ok()
               ? Result<int>(0)
               : Result<int>(internal_error("standard output cannot be written"));
}

} // namespace berth::runtime::command_line
