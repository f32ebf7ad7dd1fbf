// SPDX-License-Identifier: Apache-2.0
// The linux object of the OCI runtime specification.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md
#pragma once

#include "oci/runtime_resources.h"
#include "oci/runtime_seccomp.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::oci {

struct Namespace {
    std::string type; // pid network mount ipc uts user cgroup time
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

// A device of the host's network that becomes the container's.
struct NetDevice {
    std::string name; // in the container; empty: the same
};

// How far a clock of the time namespace is ahead of the host's.
struct TimeOffset {
    std::int64_t secs = 0;
    std::uint32_t nanosecs = 0;
};

struct Personality {
    std::string domain; // LINUX or LINUX32
    std::vector<std::string> flags;
};

struct IntelRdt {
    std::string clos_id;
    std::vector<std::string> schemata;
    std::string l3_cache_schema;
    std::string mem_bw_schema;
    bool enable_monitoring = false;
};

struct MemoryPolicy {
    std::string mode;  // MPOL_*
    std::string nodes; // "0-3,7"
    std::vector<std::string> flags;
};

struct Linux {
    std::vector<Namespace> namespaces;
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    std::map<std::string, TimeOffset> time_offsets; // by clock
    std::vector<Device> devices;
    std::map<std::string, NetDevice> net_devices; // by the host's name
    std::string cgroups_path;
    std::optional<Resources> resources;
    std::optional<Seccomp> seccomp;
    std::map<std::string, std::string> sysctl;
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string rootfs_propagation;
    std::string mount_label;
    std::optional<Personality> personality;
    std::optional<IntelRdt> intel_rdt;
    std::optional<MemoryPolicy> memory_policy;
};

} // namespace berth::oci

namespace berth::json {

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
struct Fields<oci::Personality> {
    static constexpr auto table = std::tuple{
        field("domain", &oci::Personality::domain),
        field("flags", &oci::Personality::flags, OmitEmpty)};
};

template <>
struct Fields<oci::NetDevice> {
    static constexpr auto table = std::tuple{field("name", &oci::NetDevice::name, OmitEmpty)};
};

template <>
struct Fields<oci::TimeOffset> {
    static constexpr auto table = std::tuple{
        field("secs", &oci::TimeOffset::secs, OmitEmpty),
        field("nanosecs", &oci::TimeOffset::nanosecs, OmitEmpty)};
};

template <>
struct Fields<oci::IntelRdt> {
    static constexpr auto table = std::tuple{
        field("closID", &oci::IntelRdt::clos_id, OmitEmpty),
        field("schemata", &oci::IntelRdt::schemata, OmitEmpty),
        field("l3CacheSchema", &oci::IntelRdt::l3_cache_schema, OmitEmpty),
        field("memBwSchema", &oci::IntelRdt::mem_bw_schema, OmitEmpty),
        field("enableMonitoring", &oci::IntelRdt::enable_monitoring, OmitEmpty)};
};

template <>
struct Fields<oci::MemoryPolicy> {
    static constexpr auto table = std::tuple{
        field("mode", &oci::MemoryPolicy::mode, OmitEmpty),
        field("nodes", &oci::MemoryPolicy::nodes, OmitEmpty),
        field("flags", &oci::MemoryPolicy::flags, OmitEmpty)};
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
        field("timeOffsets", &oci::Linux::time_offsets, OmitEmpty),
        field("devices", &oci::Linux::devices, OmitEmpty),
        field("netDevices", &oci::Linux::net_devices, OmitEmpty),
        field("seccomp", &oci::Linux::seccomp, OmitEmpty),
        field("rootfsPropagation", &oci::Linux::rootfs_propagation, OmitEmpty),
        field("maskedPaths", &oci::Linux::masked_paths, OmitEmpty),
        field("readonlyPaths", &oci::Linux::readonly_paths, OmitEmpty),
        field("mountLabel", &oci::Linux::mount_label, OmitEmpty),
        field("personality", &oci::Linux::personality, OmitEmpty),
        field("intelRdt", &oci::Linux::intel_rdt, OmitEmpty),
        field("memoryPolicy", &oci::Linux::memory_policy, OmitEmpty)};
};

} // namespace berth::json
