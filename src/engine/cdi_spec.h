// SPDX-License-Identifier: Apache-2.0
// A file of the Container Device Interface, in JSON or YAML.
#pragma once

#include "codec/json.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine::cdi {

struct DeviceNode {
    std::string path;
    std::string host_path; // empty: as in the container
    std::string type;
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint32_t> file_mode;
    std::string permissions;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
};

struct Mount {
    std::string host_path;
    std::string container_path;
    std::string type;
    std::vector<std::string> options;
};

struct Hook {
    std::string hook_name;
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::optional<std::int64_t> timeout;
};

struct NetDevice {
    std::string host_interface_name;
    std::string name;
};

struct ContainerEdits {
    std::vector<std::string> env;
    std::vector<DeviceNode> device_nodes;
    std::vector<NetDevice> net_devices;
    std::vector<Hook> hooks;
    std::vector<Mount> mounts;
    std::vector<std::uint32_t> additional_gids;
    std::optional<json::Value> intel_rdt;
};

struct Device {
    std::string name;
    ContainerEdits container_edits;
};

struct Spec {
    std::string cdi_version;
    std::string kind; // vendor.com/class
    std::vector<Device> devices;
    ContainerEdits container_edits; // with each of the devices
};

// By the file's name. InvalidArgument names the file and the cause.
Result<Spec> read_spec(const std::string& path);

} // namespace berth::engine::cdi

namespace berth::json {

template <>
struct Fields<engine::cdi::DeviceNode> {
    using T = engine::cdi::DeviceNode;
    static constexpr auto table = std::tuple{
        field("path", &T::path),
        field("hostPath", &T::host_path, OmitEmpty),
        field("type", &T::type, OmitEmpty),
        field("major", &T::major, OmitEmpty),
        field("minor", &T::minor, OmitEmpty),
        field("fileMode", &T::file_mode, OmitEmpty),
        field("permissions", &T::permissions, OmitEmpty),
        field("uid", &T::uid, OmitEmpty),
        field("gid", &T::gid, OmitEmpty)};
};

template <>
struct Fields<engine::cdi::Mount> {
    using T = engine::cdi::Mount;
    static constexpr auto table = std::tuple{
        field("hostPath", &T::host_path),
        field("containerPath", &T::container_path),
        field("type", &T::type, OmitEmpty),
        field("options", &T::options, OmitEmpty)};
};

template <>
struct Fields<engine::cdi::Hook> {
    using T = engine::cdi::Hook;
    static constexpr auto table = std::tuple{
        field("hookName", &T::hook_name),
        field("path", &T::path),
        field("args", &T::args, OmitEmpty),
        field("env", &T::env, OmitEmpty),
        field("timeout", &T::timeout, OmitEmpty)};
};

template <>
struct Fields<engine::cdi::NetDevice> {
    using T = engine::cdi::NetDevice;
    static constexpr auto table = std::tuple{
        field("hostInterfaceName", &T::host_interface_name), field("name", &T::name, OmitEmpty)};
};

template <>
struct Fields<engine::cdi::ContainerEdits> {
    using T = engine::cdi::ContainerEdits;
    static constexpr auto table = std::tuple{
        field("env", &T::env, OmitEmpty),
        field("deviceNodes", &T::device_nodes, OmitEmpty),
        field("netDevices", &T::net_devices, OmitEmpty),
        field("hooks", &T::hooks, OmitEmpty),
        field("mounts", &T::mounts, OmitEmpty),
        field("additionalGids", &T::additional_gids, OmitEmpty),
        field("intelRdt", &T::intel_rdt, OmitEmpty)};
};

template <>
struct Fields<engine::cdi::Device> {
    using T = engine::cdi::Device;
    static constexpr auto table =
        std::tuple{field("name", &T::name), field("containerEdits", &T::container_edits)};
};

template <>
struct Fields<engine::cdi::Spec> {
    using T = engine::cdi::Spec;
    static constexpr auto table = std::tuple{
        field("cdiVersion", &T::cdi_version),
        field("kind", &T::kind),
        field("devices", &T::devices),
        field("containerEdits", &T::container_edits, OmitEmpty)};
};

} // namespace berth::json
