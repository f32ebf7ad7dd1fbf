// SPDX-License-Identifier: Apache-2.0
// What the engine answers about a container: its state, the inspect snapshot, the summary of a
// list. Plain values, copies: safe to keep and to read from any thread.
#pragma once

#include "base/time.h"
#include "engine/container_config.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

enum class ContainerStatus : std::uint8_t {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
};

// "created", "running", … as Docker prints them.
std::string_view to_string(ContainerStatus status);
std::optional<ContainerStatus> parse_container_status(std::string_view text);

struct HealthResult {
    Timestamp start;
    Timestamp end;
    std::int64_t exit_code = 0;
    std::string output;
};

struct Health {
    std::string status = "none"; // none, starting, healthy, unhealthy
    std::int64_t failing_streak = 0;
    std::vector<HealthResult> log; // the last five
};

struct ContainerState {
    ContainerStatus status = ContainerStatus::Created;
    bool oom_killed = false;
    std::int64_t pid = 0;
    std::int64_t exit_code = 0;
    std::string error;
    Timestamp started_at;
    Timestamp finished_at;
    std::optional<Health> health; // absent without a health check

    // Paused and running; Docker's Running flag is true for both, and while restarting.
    bool is_running() const {
        return status == ContainerStatus::Running || status == ContainerStatus::Paused;
    }
};

struct MountPoint {
    std::string type; // bind, volume, tmpfs
    std::string name; // the volume's
    std::string source;
    std::string destination;
    std::string driver;
    std::string mode;
    bool read_write = true;
    std::string propagation;
};

struct NetworkSettings {
    std::string sandbox_id;
    std::string sandbox_key;
    PortMap ports;
    std::map<std::string, EndpointSettings> networks; // by network name
};

struct GraphDriverData {
    std::string name;
    StringMap data; // LowerDir, UpperDir, WorkDir, MergedDir
};

struct ContainerInspect {
    std::string id;
    Timestamp created;
    std::string path;
    std::vector<std::string> args;
    ContainerState state;
    std::string image_id; // sha256:…
    std::string resolv_conf_path;
    std::string hostname_path;
    std::string hosts_path;
    std::string log_path;
    std::string name; // with its leading slash, as Docker prints it
    std::int64_t restart_count = 0;
    std::string driver; // overlay2
    std::string platform = "linux";
    std::string app_armor_profile;
    std::string process_label; // of SELinux
    std::string mount_label;
    std::vector<std::string> exec_ids;
    ContainerConfig config;
    HostConfig host_config;
    GraphDriverData graph_driver;
    std::vector<MountPoint> mounts;
    NetworkSettings network_settings;
    std::optional<std::int64_t> size_rw;
    std::optional<std::int64_t> size_root_fs;
};

struct PortSummary {
    std::string ip;
    std::uint16_t private_port = 0;
    std::uint16_t public_port = 0; // 0: not published
    std::string type;
};

struct ContainerSummary {
    std::string id;
    std::string name; // with its leading slash
    std::string image;
    std::string image_id;
    std::string command;
    Timestamp created;
    ContainerState state;
    std::string status; // "Up 5 minutes (healthy)", "Exited (0) 3 hours ago"
    std::vector<PortSummary> ports;
    StringMap labels;
    std::string network_mode;
    StringMap annotations;
    std::map<std::string, EndpointSettings> networks;
    std::vector<MountPoint> mounts;
    std::optional<std::int64_t> size_rw;
    std::optional<std::int64_t> size_root_fs;
    std::vector<std::string> link_names{}; // that other containers' links give it: "/web/alias"
};

using SummarySink = std::function<void(ContainerSummary)>;

} // namespace berth::engine
