// SPDX-License-Identifier: Apache-2.0
// What a user asks for when creating a container: Docker's Config, HostConfig and NetworkingConfig
// as plain structs. Names are Docker's in snake case; an optional is a field whose absence means
// something else than its zero value. container_config_json.h has the tables of wire names.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

// Go's struct{}: "ExposedPorts": {"80/tcp": {}}.
struct EmptyObject {};

using StringMap = std::map<std::string, std::string>;
using StringSet = std::map<std::string, EmptyObject>;

// Durations are nanoseconds; 0 means inherit or default.
struct HealthConfig {
    std::vector<std::string> test;
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    std::int64_t retries = 0;
};

struct ContainerConfig {
    std::string hostname;
    std::string domainname;
    std::string user;
    bool attach_stdin = false;
    bool attach_stdout = false;
    bool attach_stderr = false;
    StringSet exposed_ports; // "80/tcp"
    bool tty = false;
    bool open_stdin = false;
    bool stdin_once = false;
    std::vector<std::string> env;
    std::optional<std::vector<std::string>> cmd;
    std::optional<HealthConfig> healthcheck;
    bool args_escaped = false;
    std::string image;
    StringSet volumes;
    std::string working_dir;
    std::optional<std::vector<std::string>> entrypoint; // absent: the image's; {""}: none
    bool network_disabled = false;
    std::string mac_address; // API < 1.44
    std::vector<std::string> on_build;
    StringMap labels;
    std::string stop_signal;
    std::optional<std::int64_t> stop_timeout; // seconds
    std::vector<std::string> shell;
};

struct PortBinding {
    std::string host_ip;
    std::string host_port; // "", "8080" or "8000-8010"
};

// "80/tcp" -> bindings; an empty list prints as null where Docker does so.
using PortMap = std::map<std::string, std::vector<PortBinding>>;

inline constexpr std::string_view restart_on_failure = "on-failure";
// Ours: as on-failure, and when the health check says unhealthy.
inline constexpr std::string_view restart_on_unhealthy = "on-unhealthy";

struct RestartPolicy {
    std::string name; // "", no, always, unless-stopped, on-failure, on-unhealthy
    std::int64_t maximum_retry_count = 0;
};

struct LogConfig {
    std::string type;
    StringMap config;
};

struct DeviceMapping {
    std::string path_on_host;
    std::string path_in_container;
    std::string cgroup_permissions;
};

struct DeviceRequest {
    std::string driver;
    std::int64_t count = 0;
    std::vector<std::string> device_ids;
    std::vector<std::vector<std::string>> capabilities;
    StringMap options;
};

struct Ulimit {
    std::string name;
    std::int64_t soft = 0;
    std::int64_t hard = 0;
};

struct WeightDevice {
    std::string path;
    std::uint16_t weight = 0;
};

struct ThrottleDevice {
    std::string path;
    std::uint64_t rate = 0;
};

struct BindOptions {
    std::string propagation;
    bool non_recursive = false;
    bool create_mountpoint = false;
    bool read_only_non_recursive = false;
    bool read_only_force_recursive = false;
};

struct VolumeDriverConfig {
    std::string name;
    StringMap options;
};

struct VolumeOptions {
    bool no_copy = false;
    StringMap labels;
    std::optional<VolumeDriverConfig> driver_config;
    std::string subpath;
};

struct TmpfsOptions {
    std::int64_t size_bytes = 0;
    std::int64_t mode = 0;
    std::vector<std::vector<std::string>> options;
};

struct ImageMountOptions {
    std::string subpath;
};

struct Mount {
    std::string type; // bind, volume, tmpfs, image
    std::string source;
    std::string target;
    bool read_only = false;
    std::string consistency;
    std::optional<BindOptions> bind_options;
    std::optional<VolumeOptions> volume_options;
    std::optional<ImageMountOptions> image_options;
    std::optional<TmpfsOptions> tmpfs_options;
};

struct HostConfig {
    std::vector<std::string> binds;
    std::string container_id_file;
    LogConfig log_config;
    std::string network_mode;
    PortMap port_bindings;
    RestartPolicy restart_policy;
    bool auto_remove = false;
    std::string volume_driver;
    std::vector<std::string> volumes_from;
    std::vector<Mount> mounts;
    std::array<std::uint32_t, 2> console_size{}; // height, width
    StringMap annotations;

    std::vector<std::string> cap_add;
    std::vector<std::string> cap_drop;
    std::string cgroupns_mode;
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    std::vector<std::string> extra_hosts;
    std::vector<std::string> group_add;
    std::string ipc_mode;
    std::string cgroup;
    std::vector<std::string> links;
    std::int64_t oom_score_adj = 0;
    std::string pid_mode;
    bool privileged = false;
    bool publish_all_ports = false;
    bool readonly_rootfs = false;
    std::vector<std::string> security_opt;
    StringMap storage_opt;
    StringMap tmpfs; // target -> mount options
    std::string uts_mode;
    std::string userns_mode;
    std::int64_t shm_size = 0;
    StringMap sysctls;
    std::string runtime;
    std::string isolation;
    std::optional<std::vector<std::string>> masked_paths;
    std::optional<std::vector<std::string>> readonly_paths;

    std::int64_t cpu_shares = 0;
    std::int64_t memory = 0;
    std::int64_t nano_cpus = 0;
    std::string cgroup_parent;
    std::uint16_t blkio_weight = 0;
    std::vector<WeightDevice> blkio_weight_device;
    std::vector<ThrottleDevice> blkio_device_read_bps;
    std::vector<ThrottleDevice> blkio_device_write_bps;
    std::vector<ThrottleDevice> blkio_device_read_iops;
    std::vector<ThrottleDevice> blkio_device_write_iops;
    std::int64_t cpu_period = 0;
    std::int64_t cpu_quota = 0;
    std::int64_t cpu_realtime_period = 0;
    std::int64_t cpu_realtime_runtime = 0;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::vector<DeviceMapping> devices;
    std::vector<std::string> device_cgroup_rules;
    std::vector<DeviceRequest> device_requests;
    std::int64_t memory_reservation = 0;
    std::int64_t memory_swap = 0;
    std::optional<std::int64_t> memory_swappiness;
    std::optional<bool> oom_kill_disable;
    std::optional<bool> init;
    std::optional<std::int64_t> pids_limit;
    std::vector<Ulimit> ulimits;
    std::int64_t cpu_count = 0; // Windows only, kept
    std::int64_t cpu_percent = 0;
    std::uint64_t io_maximum_iops = 0;
    std::uint64_t io_maximum_bandwidth = 0;
    std::vector<std::string> empty_lists; // members that a client sent so: api/wire/empty_lists.h
};

struct EndpointIpamConfig {
    std::string ipv4_address;
    std::string ipv6_address;
    std::vector<std::string> link_local_ips;
};

// Both what is asked for and, in an inspect, what there is.
struct EndpointSettings {
    std::optional<EndpointIpamConfig> ipam_config;
    std::vector<std::string> links;
    std::vector<std::string> aliases;
    std::string mac_address;
    StringMap driver_opts;
    std::int64_t gw_priority = 0;

    std::string network_id;
    std::string endpoint_id;
    std::string gateway;
    std::string ip_address;
    std::int64_t ip_prefix_len = 0;
    std::string ipv6_gateway;
    std::string global_ipv6_address;
    std::int64_t global_ipv6_prefix_len = 0;
    std::vector<std::string> dns_names;
};

struct NetworkingConfig {
    std::map<std::string, EndpointSettings> endpoints_config; // by network name or id
};

} // namespace berth::engine
