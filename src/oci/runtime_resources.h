// SPDX-License-Identifier: Apache-2.0
// linux.resources of the OCI runtime specification: what a container may use. The type of
// `docker update` and of the monitor's update request as well.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups
#pragma once

#include "codec/json.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::oci {

struct DeviceRule {
    bool allow = false;
    std::string type;                  // "a", "b", "c"; empty: "a"
    std::optional<std::int64_t> major; // nullopt: all
    std::optional<std::int64_t> minor;
    std::string access; // of "rwm"

    bool operator==(const DeviceRule&) const = default;
};

// An absent number leaves the kernel's value alone; -1 means "no limit".
struct MemoryResources {
    std::optional<std::int64_t> limit;
    std::optional<std::int64_t> reservation;
    std::optional<std::int64_t> swap; // memory and swap together
    std::optional<std::int64_t> kernel;
    std::optional<std::int64_t> kernel_tcp;
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
    std::optional<bool> use_hierarchy;
    std::optional<bool> check_before_update;
};

struct CpuResources {
    std::optional<std::uint64_t> shares;
    std::optional<std::int64_t> quota;
    std::optional<std::uint64_t> burst;
    std::optional<std::uint64_t> period;
    std::optional<std::int64_t> realtime_runtime;
    std::optional<std::uint64_t> realtime_period;
    std::optional<std::int64_t> idle;
    std::string cpus;
    std::string mems;
};

struct PidsResources {
    std::optional<std::int64_t> limit; // 0 and below: no limit
};

struct BlockWeightDevice {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint16_t> weight;
    std::optional<std::uint16_t> leaf_weight;
};

struct BlockThrottleDevice {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::uint64_t rate = 0;
};

struct BlockResources {
    std::optional<std::uint16_t> weight;
    std::optional<std::uint16_t> leaf_weight;
    std::vector<BlockWeightDevice> weight_devices;
    std::vector<BlockThrottleDevice> throttle_read_bps;
    std::vector<BlockThrottleDevice> throttle_write_bps;
    std::vector<BlockThrottleDevice> throttle_read_iops;
    std::vector<BlockThrottleDevice> throttle_write_iops;
};

struct HugePageLimit {
    std::string page_size; // "2MB"
    std::uint64_t limit = 0;
};

struct InterfacePriority {
    std::string name;
    std::uint32_t priority = 0;
};

struct NetworkResources {
    std::optional<std::uint32_t> class_id; // of net_cls
    std::vector<InterfacePriority> priorities;
};

// Of one device; an absent number is no limit.
struct RdmaLimit {
    std::optional<std::uint32_t> hca_handles;
    std::optional<std::uint32_t> hca_objects;
};

struct Resources {
    std::vector<DeviceRule> devices;
    std::optional<MemoryResources> memory;
    std::optional<CpuResources> cpu;
    std::optional<PidsResources> pids;
    std::optional<BlockResources> block_io;
    std::vector<HugePageLimit> huge_page_limits;
    std::optional<NetworkResources> network;
    std::map<std::string, RdmaLimit> rdma;      // by device
    std::map<std::string, std::string> unified; // file of cgroup v2 -> value
};

// Syntax and types; what a value means is the cgroup's to say.
Result<Resources> parse_resources(const json::Value& value);
Result<Resources> parse_resources_text(std::string_view text);

} // namespace berth::oci

namespace berth::json {

template <>
struct Fields<oci::DeviceRule> {
    static constexpr auto table = std::tuple{
        field("allow", &oci::DeviceRule::allow),
        field("type", &oci::DeviceRule::type, OmitEmpty),
        field("major", &oci::DeviceRule::major, OmitEmpty),
        field("minor", &oci::DeviceRule::minor, OmitEmpty),
        field("access", &oci::DeviceRule::access, OmitEmpty)};
};

template <>
struct Fields<oci::MemoryResources> {
    static constexpr auto table = std::tuple{
        field("limit", &oci::MemoryResources::limit, OmitEmpty),
        field("reservation", &oci::MemoryResources::reservation, OmitEmpty),
        field("swap", &oci::MemoryResources::swap, OmitEmpty),
        field("kernel", &oci::MemoryResources::kernel, OmitEmpty),
        field("kernelTCP", &oci::MemoryResources::kernel_tcp, OmitEmpty),
        field("swappiness", &oci::MemoryResources::swappiness, OmitEmpty),
        field("disableOOMKiller", &oci::MemoryResources::disable_oom_killer, OmitEmpty),
        field("useHierarchy", &oci::MemoryResources::use_hierarchy, OmitEmpty),
        field("checkBeforeUpdate", &oci::MemoryResources::check_before_update, OmitEmpty)};
};

template <>
struct Fields<oci::CpuResources> {
    static constexpr auto table = std::tuple{
        field("shares", &oci::CpuResources::shares, OmitEmpty),
        field("quota", &oci::CpuResources::quota, OmitEmpty),
        field("burst", &oci::CpuResources::burst, OmitEmpty),
        field("period", &oci::CpuResources::period, OmitEmpty),
        field("realtimeRuntime", &oci::CpuResources::realtime_runtime, OmitEmpty),
        field("realtimePeriod", &oci::CpuResources::realtime_period, OmitEmpty),
        field("idle", &oci::CpuResources::idle, OmitEmpty),
        field("cpus", &oci::CpuResources::cpus, OmitEmpty),
        field("mems", &oci::CpuResources::mems, OmitEmpty)};
};

template <>
struct Fields<oci::PidsResources> {
    static constexpr auto table = std::tuple{field("limit", &oci::PidsResources::limit, OmitEmpty)};
};

template <>
struct Fields<oci::BlockWeightDevice> {
    static constexpr auto table = std::tuple{
        field("major", &oci::BlockWeightDevice::major),
        field("minor", &oci::BlockWeightDevice::minor),
        field("weight", &oci::BlockWeightDevice::weight, OmitEmpty),
        field("leafWeight", &oci::BlockWeightDevice::leaf_weight, OmitEmpty)};
};

template <>
struct Fields<oci::BlockThrottleDevice> {
    static constexpr auto table = std::tuple{
        field("major", &oci::BlockThrottleDevice::major),
        field("minor", &oci::BlockThrottleDevice::minor),
        field("rate", &oci::BlockThrottleDevice::rate)};
};

template <>
struct Fields<oci::BlockResources> {
    static constexpr auto table = std::tuple{
        field("weight", &oci::BlockResources::weight, OmitEmpty),
        field("leafWeight", &oci::BlockResources::leaf_weight, OmitEmpty),
        field("weightDevice", &oci::BlockResources::weight_devices, OmitEmpty),
        field("throttleReadBpsDevice", &oci::BlockResources::throttle_read_bps, OmitEmpty),
        field("throttleWriteBpsDevice", &oci::BlockResources::throttle_write_bps, OmitEmpty),
        field("throttleReadIOPSDevice", &oci::BlockResources::throttle_read_iops, OmitEmpty),
        field("throttleWriteIOPSDevice", &oci::BlockResources::throttle_write_iops, OmitEmpty)};
};

template <>
struct Fields<oci::HugePageLimit> {
    static constexpr auto table = std::tuple{
        field("pageSize", &oci::HugePageLimit::page_size),
        field("limit", &oci::HugePageLimit::limit)};
};

template <>
struct Fields<oci::InterfacePriority> {
    static constexpr auto table = std::tuple{
        field("name", &oci::InterfacePriority::name),
        field("priority", &oci::InterfacePriority::priority)};
};

template <>
struct Fields<oci::NetworkResources> {
    static constexpr auto table = std::tuple{
        field("classID", &oci::NetworkResources::class_id, OmitEmpty),
        field("priorities", &oci::NetworkResources::priorities, OmitEmpty)};
};

template <>
struct Fields<oci::RdmaLimit> {
    static constexpr auto table = std::tuple{
        field("hcaHandles", &oci::RdmaLimit::hca_handles, OmitEmpty),
        field("hcaObjects", &oci::RdmaLimit::hca_objects, OmitEmpty)};
};

template <>
struct Fields<oci::Resources> {
    static constexpr auto table = std::tuple{
        field("devices", &oci::Resources::devices, OmitEmpty),
        field("memory", &oci::Resources::memory, OmitEmpty),
        field("cpu", &oci::Resources::cpu, OmitEmpty),
        field("pids", &oci::Resources::pids, OmitEmpty),
        field("blockIO", &oci::Resources::block_io, OmitEmpty),
        field("hugepageLimits", &oci::Resources::huge_page_limits, OmitEmpty),
        field("network", &oci::Resources::network, OmitEmpty),
        field("rdma", &oci::Resources::rdma, OmitEmpty),
        field("unified", &oci::Resources::unified, OmitEmpty)};
};

} // namespace berth::json
