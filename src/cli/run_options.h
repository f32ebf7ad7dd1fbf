// SPDX-License-Identifier: Apache-2.0
// The flags of `run` and `create`, and the body of POST /containers/create that they stand for.
#pragma once

#include "base/result.h"
#include "cli/flags.h"
#include "cli/run_devices.h"
#include "cli/run_networks.h"
#include "codec/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

// What -e and --env-file say, for run, create and exec. NAME alone takes our own value.
Result<json::Array>
collect_environment(const std::vector<std::string>& entries, const std::vector<std::string>& files);

struct RunOptions {
    // Declares the flags; the object must outlive flags.parse().
    void declare(Flags& flags);

    // Those of `update`: what is not given stays as it is.
    void declare_update(Flags& flags);

    // Of POST /containers/x/update.
    Result<json::Value> update_body() const;

    // `image` and the command behind it. Reads --env-file and --label-file.
    Result<json::Value> create_body(const std::vector<std::string>& image_and_command) const;

    // Query parameters of the create request: "?name=…&platform=…", or "".
    std::string create_query() const;

    bool interactive = false;
    bool tty = false;
    bool remove = false;
    bool init = false;
    bool privileged = false;
    bool read_only = false;
    bool publish_all = false;
    bool no_healthcheck = false;
    bool oom_kill_disable = false;
    std::vector<std::string> attach;
    std::vector<std::string> publish;
    std::vector<std::string> expose;
    std::vector<std::string> volumes;
    std::vector<std::string> mounts;
    std::vector<std::string> tmpfs;
    std::vector<std::string> environment;
    std::vector<std::string> environment_files;
    std::vector<std::string> labels;
    std::vector<std::string> label_files;
    std::vector<std::string> add_hosts;
    std::vector<std::string> dns;
    std::vector<std::string> dns_search;
    std::vector<std::string> dns_options;
    std::vector<std::string> capabilities_added;
    std::vector<std::string> capabilities_dropped;
    std::vector<std::string> security_options;
    DeviceFlags device_flags;
    std::vector<std::string> storage_options;
    std::vector<std::string> annotations;
    std::vector<std::string> ulimits;
    std::vector<std::string> sysctls;
    std::vector<std::string> groups_added;
    std::vector<std::string> log_options;
    std::vector<std::string> volumes_from;
    std::vector<std::string> networks;
    NetworkAttachment network_flags; // what is said about the first of them
    std::string volume_driver;
    std::string name;
    std::string hostname;
    std::string domain_name;
    std::string user;
    std::string working_directory;
    std::optional<std::string> entrypoint;
    std::string memory;
    std::string memory_swap;
    std::string memory_reservation;
    std::string cpus;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::string shm_size;
    std::string restart = "no";
    std::string stop_signal;
    std::string pid_mode;
    std::string ipc_mode;
    std::string uts_mode;
    std::string userns_mode;
    std::string cgroupns_mode;
    std::string cgroup_parent;
    std::string log_driver;
    std::string runtime;
    std::string isolation;
    std::string platform;
    std::string pull = "missing";
    std::string detach_keys;
    std::string health_command;
    std::string health_interval;
    std::string health_timeout;
    std::string health_start_period;
    std::string health_start_interval;
    std::optional<std::int64_t> health_retries;
    std::optional<std::int64_t> cpu_shares;
    std::optional<std::int64_t> cpu_quota;
    std::optional<std::int64_t> cpu_period;
    std::optional<std::int64_t> pids_limit;
    std::optional<std::int64_t> stop_timeout;
    std::optional<std::int64_t> oom_score_adj;
    std::optional<std::int64_t> memory_swappiness;
    std::optional<std::int64_t> cpu_realtime_period;
    std::optional<std::int64_t> cpu_realtime_runtime;
};

// "512m", "1g", "1.5GiB", "-1" -> bytes.
Result<std::int64_t> parse_bytes(std::string_view text);

} // namespace berth::cli
