// SPDX-License-Identifier: Apache-2.0
// config.json of the OCI runtime specification, as far as Linux containers use it. Reading is
// strict: a member of the specification that is not implemented is NotImplemented and named, so
// that nobody runs with less than was asked for.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md
#pragma once

#include "oci/runtime_process.h"
#include "oci/runtime_resources.h"

#include <map>
#include <string>
#include <vector>

namespace berth::oci {

struct Root {
    std::string path;
    bool readonly = false;
};

struct Mount {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
};

struct Hook {
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::optional<std::int64_t> timeout; // seconds
};

struct Hooks {
    std::vector<Hook> prestart;
    std::vector<Hook> create_runtime;
    std::vector<Hook> create_container;
    std::vector<Hook> start_container;
    std::vector<Hook> poststart;
    std::vector<Hook> poststop;
};

struct Namespace {
    std::string type; // pid network mount ipc uts user cgroup
    std::string path; // empty: a new one
};

struct IdMapping {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;
};

struct Device {
    std::string type; // c, b, u, p
    std::string path;
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint32_t> file_mode;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
};

struct SeccompArgument {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    std::string op;
};

struct SeccompRule {
    std::vector<std::string> names;
    std::string action;
    std::optional<std::uint32_t> errno_ret;
    std::vector<SeccompArgument> args;
};

struct Seccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<std::string> flags;
    std::vector<SeccompRule> syscalls;
};

struct Personality {
    std::string domain; // LINUX or LINUX32
};

struct Linux {
    std::vector<Namespace> namespaces;
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    std::vector<Device> devices;
    std::string cgroups_path;
    std::optional<Resources> resources;
    std::optional<Seccomp> seccomp;
    std::map<std::string, std::string> sysctl;
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string rootfs_propagation;
    std::string mount_label;
    std::optional<Personality> personality;
};

struct RuntimeConfig {
    std::string oci_version = "1.2.0";
    std::optional<Process> process;
    Root root;
    std::string hostname;
    std::string domainname;
    std::vector<Mount> mounts;
    Hooks hooks;
    Linux linux_;
    std::map<std::string, std::string> annotations;
};

// Syntax, types and unimplemented members; meaning is checked when the container is created.
Result<RuntimeConfig> parse_runtime_config(std::string_view text);
std::string runtime_config_text(const RuntimeConfig& config);

} // namespace berth::oci

namespace berth::json {

template <>
struct Fields<oci::Root> {
    static constexpr auto table = std::tuple{
        field("path", &oci::Root::path), field("readonly", &oci::Root::readonly, OmitEmpty)};
};

template <>
struct Fields<oci::Mount> {
    static constexpr auto table = std::tuple{
        field("destination", &oci::Mount::destination),
        field("type", &oci::Mount::type, OmitEmpty),
        field("source", &oci::Mount::source, OmitEmpty),
        field("options", &oci::Mount::options, OmitEmpty)};
};

template <>
struct Fields<oci::Hook> {
    static constexpr auto table = std::tuple{
        field("path", &oci::Hook::path),
        field("args", &oci::Hook::args, OmitEmpty),
        field("env", &oci::Hook::env, OmitEmpty),
        field("timeout", &oci::Hook::timeout, OmitEmpty)};
};

template <>
struct Fields<oci::Hooks> {
    static constexpr auto table = std::tuple{
        field("prestart", &oci::Hooks::prestart, OmitEmpty),
        field("createRuntime", &oci::Hooks::create_runtime, OmitEmpty),
        field("createContainer", &oci::Hooks::create_container, OmitEmpty),
        field("startContainer", &oci::Hooks::start_container, OmitEmpty),
        field("poststart", &oci::Hooks::poststart, OmitEmpty),
        field("poststop", &oci::Hooks::poststop, OmitEmpty)};
};

template <>
struct Fields<oci::Namespace> {
    static constexpr auto table = std::tuple{
        field("type", &oci::Namespace::type), field("path", &oci::Namespace::path, OmitEmpty)};
};

template <>
struct Fields<oci::IdMapping> {
    static constexpr auto table = std::tuple{
        field("containerID", &oci::IdMapping::container_id),
        field("hostID", &oci::IdMapping::host_id),
        field("size", &oci::IdMapping::size)};
};

template <>
struct Fields<oci::Device> {
    static constexpr auto table = std::tuple{
        field("path", &oci::Device::path),
        field("type", &oci::Device::type),
        field("major", &oci::Device::major),
        field("minor", &oci::Device::minor),
        field("fileMode", &oci::Device::file_mode, OmitEmpty),
        field("uid", &oci::Device::uid, OmitEmpty),
        field("gid", &oci::Device::gid, OmitEmpty)};
};

template <>
struct Fields<oci::SeccompArgument> {
    static constexpr auto table = std::tuple{
        field("index", &oci::SeccompArgument::index),
        field("value", &oci::SeccompArgument::value),
        field("valueTwo", &oci::SeccompArgument::value_two, OmitEmpty),
        field("op", &oci::SeccompArgument::op)};
};

template <>
struct Fields<oci::SeccompRule> {
    static constexpr auto table = std::tuple{
        field("names", &oci::SeccompRule::names),
        field("action", &oci::SeccompRule::action),
        field("errnoRet", &oci::SeccompRule::errno_ret, OmitEmpty),
        field("args", &oci::SeccompRule::args, OmitEmpty)};
};

template <>
struct Fields<oci::Seccomp> {
    static constexpr auto table = std::tuple{
        field("defaultAction", &oci::Seccomp::default_action),
        field("defaultErrnoRet", &oci::Seccomp::default_errno_ret, OmitEmpty),
        field("architectures", &oci::Seccomp::architectures, OmitEmpty),
        field("flags", &oci::Seccomp::flags, OmitEmpty),
        field("syscalls", &oci::Seccomp::syscalls, OmitEmpty)};
};

template <>
struct Fields<oci::Personality> {
    static constexpr auto table = std::tuple{field("domain", &oci::Personality::domain)};
};

template <>
struct Fields<oci::Linux> {
    static constexpr auto table = std::tuple{
        field("uidMappings", &oci::Linux::uid_mappings, OmitEmpty),
        field("gidMappings", &oci::Linux::gid_mappings, OmitEmpty),
        field("sysctl", &oci::Linux::sysctl, OmitEmpty),
        field("resources", &oci::Linux::resources, OmitEmpty),
        field("cgroupsPath", &oci::Linux::cgroups_path, OmitEmpty),
        field("namespaces", &oci::Linux::namespaces, OmitEmpty),
        field("devices", &oci::Linux::devices, OmitEmpty),
        field("seccomp", &oci::Linux::seccomp, OmitEmpty),
        field("rootfsPropagation", &oci::Linux::rootfs_propagation, OmitEmpty),
        field("maskedPaths", &oci::Linux::masked_paths, OmitEmpty),
        field("readonlyPaths", &oci::Linux::readonly_paths, OmitEmpty),
        field("mountLabel", &oci::Linux::mount_label, OmitEmpty),
        field("personality", &oci::Linux::personality, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeConfig> {
    static constexpr auto table = std::tuple{
        field("ociVersion", &oci::RuntimeConfig::oci_version),
        field("process", &oci::RuntimeConfig::process, OmitEmpty),
        field("root", &oci::RuntimeConfig::root),
        field("hostname", &oci::RuntimeConfig::hostname, OmitEmpty),
        field("domainname", &oci::RuntimeConfig::domainname, OmitEmpty),
        field("mounts", &oci::RuntimeConfig::mounts, OmitEmpty),
        field("hooks", &oci::RuntimeConfig::hooks, OmitEmpty),
        field("annotations", &oci::RuntimeConfig::annotations, OmitEmpty),
        field("linux", &oci::RuntimeConfig::linux_, OmitEmpty)};
};

} // namespace berth::json
