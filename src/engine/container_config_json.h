// SPDX-License-Identifier: Apache-2.0
// The JSON names of container_config.h: how the database keeps a container, and, because the names
// and presence are Docker's, what the API may use as they are.
#pragma once

#include "codec/json.h"
#include "engine/container_config.h"

namespace berth::json {

template <>
struct Codec<std::array<std::uint32_t, 2>> {
    static Result<std::array<std::uint32_t, 2>> decode(const Value& value);
    static Value encode(const std::array<std::uint32_t, 2>& size);

    static bool is_empty(const std::array<std::uint32_t, 2>& size) {
        return size[0] == 0 && size[1] == 0;
    }
};

template <>
struct Fields<engine::EmptyObject> {
    static constexpr auto table = std::tuple<>{};
};

template <>
struct Fields<engine::HealthConfig> {
    using T = engine::HealthConfig;
    static constexpr auto table = std::tuple{
        field("Test", &T::test, OmitEmpty),
        field("Interval", &T::interval, OmitEmpty),
        field("Timeout", &T::timeout, OmitEmpty),
        field("StartPeriod", &T::start_period, OmitEmpty),
        field("StartInterval", &T::start_interval, OmitEmpty),
        field("Retries", &T::retries, OmitEmpty)};
};

template <>
struct Fields<engine::ContainerConfig> {
    using T = engine::ContainerConfig;
    static constexpr auto table = std::tuple{
        field("Hostname", &T::hostname),
        field("Domainname", &T::domainname),
        field("User", &T::user),
        field("AttachStdin", &T::attach_stdin),
        field("AttachStdout", &T::attach_stdout),
        field("AttachStderr", &T::attach_stderr),
        field("ExposedPorts", &T::exposed_ports, OmitEmpty),
        field("Tty", &T::tty),
        field("OpenStdin", &T::open_stdin),
        field("StdinOnce", &T::stdin_once),
        field("Env", &T::env, NullWhenEmpty),
        field("Cmd", &T::cmd),
        field("Healthcheck", &T::healthcheck, OmitEmpty),
        field("ArgsEscaped", &T::args_escaped, OmitEmpty),
        field("Image", &T::image),
        field("Volumes", &T::volumes, NullWhenEmpty),
        field("WorkingDir", &T::working_dir),
        field("Entrypoint", &T::entrypoint),
        field("NetworkDisabled", &T::network_disabled, OmitEmpty),
        field("MacAddress", &T::mac_address, OmitEmpty),
        field("OnBuild", &T::on_build, NullWhenEmpty),
        field("Labels", &T::labels),
        field("StopSignal", &T::stop_signal, OmitEmpty),
        field("StopTimeout", &T::stop_timeout, OmitEmpty),
        field("Shell", &T::shell, OmitEmpty)};
};

template <>
struct Fields<engine::PortBinding> {
    using T = engine::PortBinding;
    static constexpr auto table =
        std::tuple{field("HostIp", &T::host_ip), field("HostPort", &T::host_port)};
};

template <>
struct Fields<engine::RestartPolicy> {
    using T = engine::RestartPolicy;
    static constexpr auto table =
        std::tuple{field("Name", &T::name), field("MaximumRetryCount", &T::maximum_retry_count)};
};

template <>
struct Fields<engine::LogConfig> {
    using T = engine::LogConfig;
    static constexpr auto table = std::tuple{field("Type", &T::type), field("Config", &T::config)};
};

template <>
struct Fields<engine::DeviceMapping> {
    using T = engine::DeviceMapping;
    static constexpr auto table = std::tuple{
        field("PathOnHost", &T::path_on_host),
        field("PathInContainer", &T::path_in_container),
        field("CgroupPermissions", &T::cgroup_permissions)};
};

template <>
struct Fields<engine::DeviceRequest> {
    using T = engine::DeviceRequest;
    static constexpr auto table = std::tuple{
        field("Driver", &T::driver),
        field("Count", &T::count),
        field("DeviceIDs", &T::device_ids, NullWhenEmpty),
        field("Capabilities", &T::capabilities, NullWhenEmpty),
        field("Options", &T::options, NullWhenEmpty)};
};

template <>
struct Fields<engine::Ulimit> {
    using T = engine::Ulimit;
    static constexpr auto table =
        std::tuple{field("Name", &T::name), field("Hard", &T::hard), field("Soft", &T::soft)};
};

template <>
struct Fields<engine::WeightDevice> {
    using T = engine::WeightDevice;
    static constexpr auto table = std::tuple{field("Path", &T::path), field("Weight", &T::weight)};
};

template <>
struct Fields<engine::ThrottleDevice> {
    using T = engine::ThrottleDevice;
    static constexpr auto table = std::tuple{field("Path", &T::path), field("Rate", &T::rate)};
};

template <>
struct Fields<engine::BindOptions> {
    using T = engine::BindOptions;
    static constexpr auto table = std::tuple{
        field("Propagation", &T::propagation, OmitEmpty),
        field("NonRecursive", &T::non_recursive, OmitEmpty),
        field("CreateMountpoint", &T::create_mountpoint, OmitEmpty),
        field("ReadOnlyNonRecursive", &T::read_only_non_recursive, OmitEmpty),
        field("ReadOnlyForceRecursive", &T::read_only_force_recursive, OmitEmpty)};
};

template <>
struct Fields<engine::VolumeDriverConfig> {
    using T = engine::VolumeDriverConfig;
    static constexpr auto table =
        std::tuple{field("Name", &T::name, OmitEmpty), field("Options", &T::options, OmitEmpty)};
};

template <>
struct Fields<engine::VolumeOptions> {
    using T = engine::VolumeOptions;
    static constexpr auto table = std::tuple{
        field("NoCopy", &T::no_copy, OmitEmpty),
        field("Labels", &T::labels, OmitEmpty),
        field("Subpath", &T::subpath, OmitEmpty),
        field("DriverConfig", &T::driver_config, OmitEmpty)};
};

template <>
struct Fields<engine::TmpfsOptions> {
    using T = engine::TmpfsOptions;
    static constexpr auto table = std::tuple{
        field("SizeBytes", &T::size_bytes, OmitEmpty),
        field("Mode", &T::mode, OmitEmpty),
        field("Options", &T::options, OmitEmpty)};
};

template <>
struct Fields<engine::ImageMountOptions> {
    using T = engine::ImageMountOptions;
    static constexpr auto table = std::tuple{field("Subpath", &T::subpath, OmitEmpty)};
};

template <>
struct Fields<engine::Mount> {
    using T = engine::Mount;
    static constexpr auto table = std::tuple{
        field("Type", &T::type, OmitEmpty),
        field("Source", &T::source, OmitEmpty),
        field("Target", &T::target, OmitEmpty),
        field("ReadOnly", &T::read_only, OmitEmpty),
        field("Consistency", &T::consistency, OmitEmpty),
        field("BindOptions", &T::bind_options, OmitEmpty),
        field("VolumeOptions", &T::volume_options, OmitEmpty),
        field("ImageOptions", &T::image_options, OmitEmpty),
        field("TmpfsOptions", &T::tmpfs_options, OmitEmpty)};
};

template <>
struct Fields<engine::HostConfig> {
    using T = engine::HostConfig;
    static constexpr auto table = std::tuple{
        field("Binds", &T::binds, NullWhenEmpty),
        field("ContainerIDFile", &T::container_id_file),
        field("LogConfig", &T::log_config),
        field("NetworkMode", &T::network_mode),
        field("PortBindings", &T::port_bindings),
        field("RestartPolicy", &T::restart_policy),
        field("AutoRemove", &T::auto_remove),
        field("VolumeDriver", &T::volume_driver),
        field("VolumesFrom", &T::volumes_from, NullWhenEmpty),
        field("ConsoleSize", &T::console_size),
        field("Annotations", &T::annotations, OmitEmpty),
        field("CapAdd", &T::cap_add, NullWhenEmpty),
        field("CapDrop", &T::cap_drop, NullWhenEmpty),
        field("CgroupnsMode", &T::cgroupns_mode),
        field("Dns", &T::dns),
        field("DnsOptions", &T::dns_options),
        field("DnsSearch", &T::dns_search),
        field("ExtraHosts", &T::extra_hosts, NullWhenEmpty),
        field("GroupAdd", &T::group_add, NullWhenEmpty),
        field("IpcMode", &T::ipc_mode),
        field("Cgroup", &T::cgroup),
        field("Links", &T::links, NullWhenEmpty),
        field("OomScoreAdj", &T::oom_score_adj),
        field("PidMode", &T::pid_mode),
        field("Privileged", &T::privileged),
        field("PublishAllPorts", &T::publish_all_ports),
        field("ReadonlyRootfs", &T::readonly_rootfs),
        field("SecurityOpt", &T::security_opt, NullWhenEmpty),
        field("StorageOpt", &T::storage_opt, OmitEmpty),
        field("Tmpfs", &T::tmpfs, OmitEmpty),
        field("UTSMode", &T::uts_mode),
        field("UsernsMode", &T::userns_mode),
        field("ShmSize", &T::shm_size),
        field("Sysctls", &T::sysctls, OmitEmpty),
        field("Runtime", &T::runtime, OmitEmpty),
        field("Isolation", &T::isolation),
        field("CpuShares", &T::cpu_shares),
        field("Memory", &T::memory),
        field("NanoCpus", &T::nano_cpus),
        field("CgroupParent", &T::cgroup_parent),
        field("BlkioWeight", &T::blkio_weight),
        field("BlkioWeightDevice", &T::blkio_weight_device),
        field("BlkioDeviceReadBps", &T::blkio_device_read_bps),
        field("BlkioDeviceWriteBps", &T::blkio_device_write_bps),
        field("BlkioDeviceReadIOps", &T::blkio_device_read_iops),
        field("BlkioDeviceWriteIOps", &T::blkio_device_write_iops),
        field("CpuPeriod", &T::cpu_period),
        field("CpuQuota", &T::cpu_quota),
        field("CpuRealtimePeriod", &T::cpu_realtime_period),
        field("CpuRealtimeRuntime", &T::cpu_realtime_runtime),
        field("CpusetCpus", &T::cpuset_cpus),
        field("CpusetMems", &T::cpuset_mems),
        field("Devices", &T::devices),
        field("DeviceCgroupRules", &T::device_cgroup_rules, NullWhenEmpty),
        field("DeviceRequests", &T::device_requests, NullWhenEmpty),
        field("MemoryReservation", &T::memory_reservation),
        field("MemorySwap", &T::memory_swap),
        field("MemorySwappiness", &T::memory_swappiness),
        field("OomKillDisable", &T::oom_kill_disable),
        field("PidsLimit", &T::pids_limit),
        field("Ulimits", &T::ulimits),
        field("CpuCount", &T::cpu_count),
        field("CpuPercent", &T::cpu_percent),
        field("IOMaximumIOps", &T::io_maximum_iops),
        field("IOMaximumBandwidth", &T::io_maximum_bandwidth),
        field("Mounts", &T::mounts, OmitEmpty),
        field("MaskedPaths", &T::masked_paths),
        field("ReadonlyPaths", &T::readonly_paths),
        field("Init", &T::init, OmitEmpty),
        field("EmptyLists", &T::empty_lists, OmitEmpty)};
};

template <>
struct Fields<engine::EndpointIpamConfig> {
    using T = engine::EndpointIpamConfig;
    static constexpr auto table = std::tuple{
        field("IPv4Address", &T::ipv4_address, OmitEmpty),
        field("IPv6Address", &T::ipv6_address, OmitEmpty),
        field("LinkLocalIPs", &T::link_local_ips, OmitEmpty)};
};

template <>
struct Fields<engine::EndpointSettings> {
    using T = engine::EndpointSettings;
    static constexpr auto table = std::tuple{
        field("IPAMConfig", &T::ipam_config),
        field("Links", &T::links, NullWhenEmpty),
        field("Aliases", &T::aliases, NullWhenEmpty),
        field("MacAddress", &T::mac_address),
        field("DriverOpts", &T::driver_opts, NullWhenEmpty),
        field("GwPriority", &T::gw_priority),
        field("NetworkID", &T::network_id),
        field("EndpointID", &T::endpoint_id),
        field("Gateway", &T::gateway),
        field("IPAddress", &T::ip_address),
        field("IPPrefixLen", &T::ip_prefix_len),
        field("IPv6Gateway", &T::ipv6_gateway),
        field("GlobalIPv6Address", &T::global_ipv6_address),
        field("GlobalIPv6PrefixLen", &T::global_ipv6_prefix_len),
        field("DNSNames", &T::dns_names, NullWhenEmpty)};
};

template <>
struct Fields<engine::NetworkingConfig> {
    using T = engine::NetworkingConfig;
    static constexpr auto table = std::tuple{field("EndpointsConfig", &T::endpoints_config)};
};

} // namespace berth::json
