// SPDX-License-Identifier: Apache-2.0
// What the engine says about itself and its machine: docker info, docker version, docker system df.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "engine/container_config.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace berth::engine {

struct SystemInfo {
    std::string id;
    std::int64_t containers = 0;
    std::int64_t containers_running = 0;
    std::int64_t containers_paused = 0;
    std::int64_t containers_stopped = 0;
    std::int64_t images = 0;
    std::string driver;
    std::vector<std::pair<std::string, std::string>> driver_status;
    std::string docker_root_dir;
    bool memory_limit = false;
    bool swap_limit = false;
    bool cpu_cfs_period = false;
    bool cpu_cfs_quota = false;
    bool cpu_shares = false;
    bool cpu_set = false;
    bool pids_limit = false;
    bool oom_kill_disable = false;
    bool ipv4_forwarding = false;
    bool debug = false;
    std::int64_t open_files = 0;
    std::int64_t threads = 0;
    std::int64_t event_listeners = 0;
    Timestamp system_time;
    std::string logging_driver;
    std::string cgroup_driver;
    std::string cgroup_version;
    std::string kernel_version;
    std::string operating_system;
    std::string os_version;
    std::string os_type = "linux";
    std::string architecture; // x86_64
    std::int64_t cpus = 0;
    std::int64_t memory_total = 0;
    std::vector<std::string> registry_mirrors;
    std::vector<std::string> insecure_registries;
    std::string http_proxy; // without the credentials that they may have
    std::string https_proxy;
    std::string no_proxy;
    std::string name; // host name
    std::vector<std::string> labels;
    bool experimental = false;
    std::string version;                         // Berth's
    std::string server_version;                  // what clients compare with Docker's
    std::map<std::string, std::string> runtimes; // name -> path
    std::string default_runtime;
    std::string init_binary;
    bool live_restore = false;
    std::vector<std::string> security_options;
    std::vector<std::string> cdi_spec_dirs;
    std::vector<std::string> cdi_devices;
    std::vector<std::string> volume_plugins{"local"};
    std::vector<std::string> network_plugins{"bridge", "host", "null"};
    std::vector<std::string> log_plugins{"local"};
    std::vector<std::string> warnings;
};

struct SystemVersion {
    std::string version;        // Berth's
    std::string server_version; // what clients compare with Docker's
    std::string git_commit;
    std::string os = "linux";
    std::string architecture; // Go's name: amd64
    std::string kernel_version;
    std::string build_time;
    bool experimental = false;
};

class Engine;

class System {
  public:
    explicit System(Engine& engine)
        : engine_(engine) {}

    Result<SystemInfo> info() const;
    // Chosen once, kept beside the database.
    Result<std::string> id() const;
    SystemVersion version() const;

  private:
    Engine& engine_;
};

} // namespace berth::engine
