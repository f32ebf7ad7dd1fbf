// SPDX-License-Identifier: Apache-2.0
// JSON tables of the runtime configuration; the wire names are the specification's.
#include "oci/runtime_config.h"

#include <array>

namespace berth::json {

template <>
struct Fields<oci::RuntimeConsoleSize> {
    static constexpr auto table = std::tuple{
        field("height", &oci::RuntimeConsoleSize::height),
        field("width", &oci::RuntimeConsoleSize::width)};
};

template <>
struct Fields<oci::RuntimeUser> {
    using T = oci::RuntimeUser;
    static constexpr auto table = std::tuple{
        field("uid", &T::uid),
        field("gid", &T::gid),
        field("umask", &T::umask, OmitEmpty),
        field("additionalGids", &T::additional_gids, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeCapabilities> {
    using T = oci::RuntimeCapabilities;
    static constexpr auto table = std::tuple{
        field("bounding", &T::bounding, OmitEmpty),
        field("effective", &T::effective, OmitEmpty),
        field("inheritable", &T::inheritable, OmitEmpty),
        field("permitted", &T::permitted, OmitEmpty),
        field("ambient", &T::ambient, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeRlimit> {
    using T = oci::RuntimeRlimit;
    static constexpr auto table =
        std::tuple{field("type", &T::type), field("hard", &T::hard), field("soft", &T::soft)};
};

template <>
struct Fields<oci::RuntimeProcess> {
    using T = oci::RuntimeProcess;
    static constexpr auto table = std::tuple{
        field("terminal", &T::terminal, OmitEmpty),
        field("consoleSize", &T::console_size, OmitEmpty),
        field("user", &T::user),
        field("args", &T::args, OmitEmpty),
        field("env", &T::env, OmitEmpty),
        field("cwd", &T::cwd),
        field("capabilities", &T::capabilities, OmitEmpty),
        field("rlimits", &T::rlimits, OmitEmpty),
        field("noNewPrivileges", &T::no_new_privileges, OmitEmpty),
        field("apparmorProfile", &T::apparmor_profile, OmitEmpty),
        field("selinuxLabel", &T::selinux_label, OmitEmpty),
        field("oomScoreAdj", &T::oom_score_adj, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeRoot> {
    using T = oci::RuntimeRoot;
    static constexpr auto table =
        std::tuple{field("path", &T::path), field("readonly", &T::readonly, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeMount> {
    using T = oci::RuntimeMount;
    static constexpr auto table = std::tuple{
        field("destination", &T::destination),
        field("type", &T::type, OmitEmpty),
        field("source", &T::source, OmitEmpty),
        field("options", &T::options, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeNamespace> {
    static constexpr auto table = std::tuple{
        field("type", &oci::RuntimeNamespace::type),
        field("path", &oci::RuntimeNamespace::path, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeIdMapping> {
    using T = oci::RuntimeIdMapping;
    static constexpr auto table = std::tuple{
        field("containerID", &T::container_id),
        field("hostID", &T::host_id),
        field("size", &T::size)};
};

template <>
struct Fields<oci::RuntimeDevice> {
    using T = oci::RuntimeDevice;
    static constexpr auto table = std::tuple{
        field("type", &T::type),
        field("path", &T::path),
        field("major", &T::major),
        field("minor", &T::minor),
        field("fileMode", &T::file_mode, OmitEmpty),
        field("uid", &T::uid, OmitEmpty),
        field("gid", &T::gid, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeDeviceRule> {
    using T = oci::RuntimeDeviceRule;
    static constexpr auto table = std::tuple{
        field("allow", &T::allow),
        field("type", &T::type, OmitEmpty),
        field("major", &T::major, OmitEmpty),
        field("minor", &T::minor, OmitEmpty),
        field("access", &T::access, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeMemory> {
    using T = oci::RuntimeMemory;
    static constexpr auto table = std::tuple{
        field("limit", &T::limit, OmitEmpty),
        field("reservation", &T::reservation, OmitEmpty),
        field("swap", &T::swap, OmitEmpty),
        field("swappiness", &T::swappiness, OmitEmpty),
        field("disableOOMKiller", &T::disable_oom_killer, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeCpu> {
    using T = oci::RuntimeCpu;
    static constexpr auto table = std::tuple{
        field("shares", &T::shares, OmitEmpty),
        field("quota", &T::quota, OmitEmpty),
        field("period", &T::period, OmitEmpty),
        field("cpus", &T::cpus, OmitEmpty),
        field("mems", &T::mems, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimePids> {
    static constexpr auto table = std::tuple{field("limit", &oci::RuntimePids::limit)};
};

template <>
struct Fields<oci::RuntimeBlockIo> {
    static constexpr auto table =
        std::tuple{field("weight", &oci::RuntimeBlockIo::weight, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeResources> {
    using T = oci::RuntimeResources;
    static constexpr auto table = std::tuple{
        field("devices", &T::devices, OmitEmpty),
        field("memory", &T::memory, OmitEmpty),
        field("cpu", &T::cpu, OmitEmpty),
        field("pids", &T::pids, OmitEmpty),
        field("blockIO", &T::block_io, OmitEmpty),
        field("unified", &T::unified, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeSeccompArgument> {
    using T = oci::RuntimeSeccompArgument;
    static constexpr auto table = std::tuple{
        field("index", &T::index),
        field("value", &T::value),
        field("valueTwo", &T::value_two, OmitEmpty),
        field("op", &T::op)};
};

template <>
struct Fields<oci::RuntimeSyscall> {
    using T = oci::RuntimeSyscall;
    static constexpr auto table = std::tuple{
        field("names", &T::names),
        field("action", &T::action),
        field("errnoRet", &T::errno_ret, OmitEmpty),
        field("args", &T::args, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeSeccomp> {
    using T = oci::RuntimeSeccomp;
    static constexpr auto table = std::tuple{
        field("defaultAction", &T::default_action),
        field("defaultErrnoRet", &T::default_errno_ret, OmitEmpty),
        field("architectures", &T::architectures, OmitEmpty),
        field("flags", &T::flags, OmitEmpty),
        field("syscalls", &T::syscalls, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeLinux> {
    using T = oci::RuntimeLinux;
    static constexpr auto table = std::tuple{
        field("namespaces", &T::namespaces, OmitEmpty),
        field("uidMappings", &T::uid_mappings, OmitEmpty),
        field("gidMappings", &T::gid_mappings, OmitEmpty),
        field("devices", &T::devices, OmitEmpty),
        field("cgroupsPath", &T::cgroups_path, OmitEmpty),
        field("resources", &T::resources, OmitEmpty),
        field("seccomp", &T::seccomp, OmitEmpty),
        field("sysctl", &T::sysctl, OmitEmpty),
        field("maskedPaths", &T::masked_paths, OmitEmpty),
        field("readonlyPaths", &T::readonly_paths, OmitEmpty),
        field("rootfsPropagation", &T::rootfs_propagation, OmitEmpty),
        field("mountLabel", &T::mount_label, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeConfig> {
    using T = oci::RuntimeConfig;
    static constexpr auto table = std::tuple{
        field("ociVersion", &T::oci_version),
        field("process", &T::process),
        field("root", &T::root),
        field("hostname", &T::hostname, OmitEmpty),
        field("domainname", &T::domainname, OmitEmpty),
        field("mounts", &T::mounts, OmitEmpty),
        field("linux", &T::linux_),
        field("annotations", &T::annotations, OmitEmpty)};
};

} // namespace berth::json

namespace berth::oci {

namespace {

bool is_empty(const json::Value& value) {
    return value.is_null() || (value.is_object() && value.get_object().empty()) ||
           (value.is_array() && value.get_array().empty()) ||
           (value.is_string() && value.get_string().empty());
}

// Fields that ask for something we do not do. An empty one asks for nothing.
template <std::size_t Size>
Result<void> refuse(
    const json::Value& object,
    std::string_view path,
    const std::array<std::string_view, Size>& names) {
    for (std::string_view name : names) {
        const json::Value* value = json::find(object, name);
        if (value && !is_empty(*value)) {
            return not_implemented(
                "config.json: " + std::string(path) + std::string(name) + " is not implemented");
        }
    }
    return ok();
}

const json::Value& member(const json::Value& object, std::string_view name) {
    static const json::Value absent;
    const json::Value* value = json::find(object, name);
    return value ? *value : absent;
}

constexpr std::array process_refused{
    std::string_view("scheduler"),
    std::string_view("ioPriority"),
    std::string_view("execCPUAffinity")};
constexpr std::array resources_refused{
    std::string_view("hugepageLimits"), std::string_view("network"), std::string_view("rdma")};
constexpr std::array linux_refused{
    std::string_view("intelRdt"),
    std::string_view("personality"),
    std::string_view("timeOffsets"),
    std::string_view("netDevices"),
    std::string_view("memoryPolicy")};
constexpr std::array top_refused{
    std::string_view("hooks"),
    std::string_view("vm"),
    std::string_view("windows"),
    std::string_view("solaris"),
    std::string_view("zos")};
constexpr std::array mount_refused{
    std::string_view("uidMappings"), std::string_view("gidMappings")};
constexpr std::array seccomp_refused{
    std::string_view("listenerPath"), std::string_view("listenerMetadata")};

} // namespace

Result<RuntimeConfig> RuntimeConfig::parse(std::string_view text) {
    json::Value document = TRY_CONTEXT(json::parse(text, {.bytes = 4U << 20}), "config.json");
    TRY(refuse(document, "", top_refused));
    TRY(refuse(member(document, "process"), "process.", process_refused));
    const json::Value& linux_part = member(document, "linux");
    TRY(refuse(linux_part, "linux.", linux_refused));
    TRY(refuse(member(linux_part, "resources"), "linux.resources.", resources_refused));
    TRY(refuse(member(linux_part, "seccomp"), "linux.seccomp.", seccomp_refused));
    if (const json::Value& mounts = member(document, "mounts"); mounts.is_array()) {
        for (const json::Value& mount : mounts.get_array()) {
            TRY(refuse(mount, "mounts[].", mount_refused));
        }
    }
    RuntimeConfig config = TRY_CONTEXT(json::decode<RuntimeConfig>(document), "config.json");
    if (!config.oci_version.starts_with("1.")) {
        return invalid_argument(
            "config.json: ociVersion \"" + config.oci_version + "\" is not 1.x");
    }
    return config;
}

std::string RuntimeConfig::to_json() const {
    return json::encode_text(*this);
}

Result<RuntimeProcess> parse_runtime_process(std::string_view text) {
    json::Value document = TRY_CONTEXT(json::parse(text, {.bytes = 4U << 20}), "process");
    TRY(refuse(document, "process.", process_refused));
    return TRY_CONTEXT(json::decode<RuntimeProcess>(document), "process");
}

std::string to_json(const RuntimeProcess& process) {
    return json::encode_text(process);
}

Result<RuntimeResources> parse_runtime_resources(std::string_view text) {
    json::Value document = TRY_CONTEXT(json::parse(text, {.bytes = 4U << 20}), "resources");
    TRY(refuse(document, "resources.", resources_refused));
    return TRY_CONTEXT(json::decode<RuntimeResources>(document), "resources");
}

std::string to_json(const RuntimeResources& resources) {
    return json::encode_text(resources);
}

} // namespace berth::oci
