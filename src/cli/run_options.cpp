// SPDX-License-Identifier: Apache-2.0
// The run flags' declarations and their translation into Config, HostConfig and NetworkingConfig.
#include "cli/run_options.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/listing.h"
#include "cli/mount_flag.h"
#include "cli/published_port.h"

#include <array>
#include <cmath>
#include <cstdlib>

#include <arpa/inet.h>
#include <unistd.h>

namespace berth::cli {

namespace {

Error bad_value(const std::string& value, std::string_view flag, const std::string& cause) {
    return invalid_argument(
        "invalid argument \"" + value + "\" for \"" + std::string(flag) + "\" flag: " + cause);
}

json::Array to_array(const std::vector<std::string>& texts) {
    json::Array array;
    for (const std::string& text : texts) {
        array.emplace_back(text);
    }
    return array;
}

// NAME alone takes the value from our environment and is left out when it is not set there.
void add_environment(json::Array& environment, std::string_view entry) {
    if (entry.find('=') != std::string_view::npos) {
        environment.emplace_back(entry);
    } else if (const char* value = std::getenv(std::string(entry).c_str())) {
        environment.emplace_back(std::string(entry) + "=" + value);
    }
}

Result<json::Object>
collect_labels(const std::vector<std::string>& entries, const std::vector<std::string>& files) {
    json::Object labels;
    auto add = [&](std::string_view entry) {
        std::optional<Cut> parts = cut(entry, "=");
        labels[parts ? parts->before : entry] = parts ? parts->after : std::string_view();
    };
    for (const std::string& file : files) {
        std::string content = TRY(read_file(file));
        for (std::string_view line : split(content, '\n')) {
            if (!trim(line).empty() && trim(line).front() != '#') {
                add(trim(line));
            }
        }
    }
    for (const std::string& entry : entries) {
        add(entry);
    }
    return labels;
}

// Docker's shell-like reading of --entrypoint is a single word; a JSON array is not looked into.
Result<json::Value> restart_policy(const std::string& text) {
    std::optional<Cut> parts = cut(text, ":");
    std::string_view name = parts ? parts->before : std::string_view(text);
    std::int64_t retries = 0;
    if (parts) {
        Result<std::int64_t> number = parse_number<std::int64_t>(parts->after);
        if (!number.ok()) {
            return invalid_argument(
                "invalid restart policy format: maximum retry count must be an integer");
        }
        retries = *number;
    }
    return json::Value(json::Object{{"Name", name}, {"MaximumRetryCount", retries}});
}

Result<json::Array> ulimits_of(const std::vector<std::string>& entries) {
    json::Array ulimits;
    for (const std::string& entry : entries) {
        std::optional<Cut> parts = cut(entry, "=");
        if (!parts) {
            return bad_value(entry, "--ulimit", "invalid ulimit argument: " + entry);
        }
        std::optional<Cut> limits = cut(parts->after, ":");
        std::int64_t soft = TRY(parse_number<std::int64_t>(limits ? limits->before : parts->after));
        std::int64_t hard = limits ? TRY(parse_number<std::int64_t>(limits->after)) : soft;
        ulimits.emplace_back(json::Object{{"Name", parts->before}, {"Soft", soft}, {"Hard", hard}});
    }
    return ulimits;
}

// A seccomp profile is read here: the daemon wants its content, not a path on the client's machine.
Result<json::Array> security_options_of(const std::vector<std::string>& entries) {
    json::Array options;
    for (const std::string& entry : entries) {
        std::optional<Cut> parts = cut(entry, "=");
        if (parts && parts->before == "seccomp" && parts->after != "unconfined" &&
            parts->after != "builtin") {
            options.emplace_back("seccomp=" + TRY(read_file(std::string(parts->after))));
        } else {
            options.emplace_back(entry);
        }
    }
    return options;
}

// -v name:/path, /host:/path[:options] go to Binds; a lone /path is an anonymous volume.
void add_volumes(
    const std::vector<std::string>& entries, json::Array& binds, json::Object& anonymous) {
    for (const std::string& entry : entries) {
        if (entry.find(':') == std::string::npos) {
            anonymous[entry] = json::Object();
        } else {
            binds.emplace_back(absolute_volume_flag(entry));
        }
    }
}

Result<void> set_bytes(
    json::Object& object, std::string_view key, const std::string& text, std::string_view flag) {
    if (!text.empty()) {
        auto bytes = parse_bytes(text);
        if (!bytes.ok()) {
            return bad_value(text, flag, bytes.error().message());
        }
        object[key] = *bytes;
    }
    return ok();
}

Result<void> set_duration(json::Object& object, std::string_view key, const std::string& text) {
    if (!text.empty()) {
        object[key] = TRY(parse_duration(text)).count();
    }
    return ok();
}

void set_text(json::Object& object, std::string_view key, const std::string& text) {
    if (!text.empty()) {
        object[key] = text;
    }
}

void set_number(
    json::Object& object, std::string_view key, const std::optional<std::int64_t>& number) {
    if (number) {
        object[key] = *number;
    }
}

void set_list(json::Object& object, std::string_view key, const std::vector<std::string>& texts) {
    if (!texts.empty()) {
        object[key] = to_array(texts);
    }
}

Result<void> set_servers(json::Object& object, const std::vector<std::string>& servers) {
    for (const std::string& server : servers) {
        std::array<unsigned char, sizeof(in6_addr)> address{};
        if (inet_pton(AF_INET, server.c_str(), address.data()) != 1 &&
            inet_pton(AF_INET6, server.c_str(), address.data()) != 1) {
            return bad_value(server, "--dns", "IP address is not correctly formatted: " + server);
        }
    }
    set_list(object, "Dns", servers);
    return ok();
}

Result<json::Object> resources_of(const RunOptions& options) {
    json::Object resources;
    TRY(set_bytes(resources, "Memory", options.memory, "-m, --memory"));
    TRY(set_bytes(resources, "MemorySwap", options.memory_swap, "--memory-swap"));
    TRY(set_bytes(
        resources, "MemoryReservation", options.memory_reservation, "--memory-reservation"));
    TRY(set_bytes(resources, "ShmSize", options.shm_size, "--shm-size"));
    if (!options.cpus.empty()) {
        char* end = nullptr;
        double cpus = std::strtod(options.cpus.c_str(), &end);
        if (*end != 0 || !(cpus > 0)) {
            return invalid_argument(
                "invalid argument \"" + options.cpus + "\" for \"--cpus\" flag: failed to parse " +
                options.cpus + " as a rational number");
        }
        resources["NanoCpus"] = static_cast<std::int64_t>(std::llround(cpus * 1e9));
    }
    set_number(resources, "CpuShares", options.cpu_shares);
    set_number(resources, "CpuQuota", options.cpu_quota);
    set_number(resources, "CpuPeriod", options.cpu_period);
    set_number(resources, "PidsLimit", options.pids_limit);
    set_number(resources, "OomScoreAdj", options.oom_score_adj);
    set_number(resources, "MemorySwappiness", options.memory_swappiness);
    set_number(resources, "CpuRealtimePeriod", options.cpu_realtime_period);
    set_number(resources, "CpuRealtimeRuntime", options.cpu_realtime_runtime);
    set_text(resources, "CpusetCpus", options.cpuset_cpus);
    set_text(resources, "CpusetMems", options.cpuset_mems);
    set_text(resources, "CgroupParent", options.cgroup_parent);
    if (options.oom_kill_disable) {
        resources["OomKillDisable"] = true;
    }
    return resources;
}

Result<void> add_health(const RunOptions& options, json::Object& config) {
    if (options.no_healthcheck) {
        config["Healthcheck"] = json::Object{{"Test", json::Array{"NONE"}}};
        return ok();
    }
    json::Object health;
    if (!options.health_command.empty()) {
        health["Test"] = json::Array{"CMD-SHELL", json::Value(options.health_command)};
    }
    TRY(set_duration(health, "Interval", options.health_interval));
    TRY(set_duration(health, "Timeout", options.health_timeout));
    TRY(set_duration(health, "StartPeriod", options.health_start_period));
    TRY(set_duration(health, "StartInterval", options.health_start_interval));
    set_number(health, "Retries", options.health_retries);
    if (!health.empty()) {
        config["Healthcheck"] = health;
    }
    return ok();
}

Result<json::Object>
host_config_of(const RunOptions& options, json::Object bindings, json::Array binds) {
    json::Object host = TRY(resources_of(options));
    host["Binds"] = binds.empty() ? json::Value(nullptr) : json::Value(std::move(binds));
    host["PortBindings"] = std::move(bindings);
    host["RestartPolicy"] = TRY(restart_policy(options.restart));
    host["AutoRemove"] = options.remove;
    const std::vector<std::string>& links = options.network_flags.links;
    host["Links"] = links.empty() ? json::Value(nullptr) : json::Value(to_array(links));
    host["Privileged"] = options.privileged;
    host["PublishAllPorts"] = options.publish_all;
    host["ReadonlyRootfs"] = options.read_only;
    if (options.init) {
        host["Init"] = true;
    }
    if (!options.mounts.empty()) {
        json::Array mounts;
        for (const std::string& mount : options.mounts) {
            auto parsed = parse_mount_flag(mount);
            if (!parsed.ok()) {
                return invalid_argument(
                    "invalid argument \"" + mount +
                    "\" for \"--mount\" flag: " + parsed.error().message());
            }
            mounts.emplace_back(std::move(*parsed));
        }
        host["Mounts"] = std::move(mounts);
    }
    if (!options.tmpfs.empty()) {
        json::Object tmpfs;
        for (const std::string& entry : options.tmpfs) {
            std::optional<Cut> parts = cut(entry, ":");
            tmpfs[parts ? parts->before : std::string_view(entry)] =
                parts ? parts->after : std::string_view();
        }
        host["Tmpfs"] = std::move(tmpfs);
    }
    set_list(host, "ExtraHosts", options.add_hosts);
    TRY(set_servers(host, options.dns));
    set_list(host, "DnsSearch", options.dns_search);
    set_list(host, "DnsOptions", options.dns_options);
    set_list(host, "CapAdd", options.capabilities_added);
    set_list(host, "CapDrop", options.capabilities_dropped);
    set_list(host, "GroupAdd", options.groups_added);
    set_list(host, "VolumesFrom", options.volumes_from);
    set_text(host, "VolumeDriver", options.volume_driver);
    if (!options.security_options.empty()) {
        host["SecurityOpt"] = TRY(security_options_of(options.security_options));
    }
    TRY(options.device_flags.apply(host));
    if (!options.storage_options.empty()) {
        host["StorageOpt"] = pairs_of(options.storage_options);
    }
    if (!options.annotations.empty()) {
        host["Annotations"] = pairs_of(options.annotations);
    }
    if (!options.ulimits.empty()) {
        host["Ulimits"] = TRY(ulimits_of(options.ulimits));
    }
    if (!options.sysctls.empty()) {
        host["Sysctls"] = pairs_of(options.sysctls);
    }
    if (options.log_driver == "none" && !options.log_options.empty()) {
        return invalid_argument("invalid logging opts for driver none");
    }
    if (!options.log_driver.empty() || !options.log_options.empty()) {
        host["LogConfig"] =
            json::Object{{"Type", options.log_driver}, {"Config", pairs_of(options.log_options)}};
    }
    if (!options.userns_mode.empty() && options.userns_mode != "host") {
        return invalid_argument("--userns: invalid USER mode");
    }
    set_text(host, "PidMode", options.pid_mode);
    set_text(host, "IpcMode", options.ipc_mode);
    set_text(host, "UTSMode", options.uts_mode);
    set_text(host, "UsernsMode", options.userns_mode);
    set_text(host, "CgroupnsMode", options.cgroupns_mode);
    set_text(host, "Runtime", options.runtime);
    set_text(host, "Isolation", options.isolation);
    return host;
}

// Which streams a client wants: all of them by default, those of -a when given.
bool attaches(const RunOptions& options, std::string_view stream) {
    if (options.attach.empty()) {
        return stream != "stdin" || options.interactive;
    }
    for (const std::string& name : options.attach) {
        if (equals_ignoring_case(name, stream)) {
            return true;
        }
    }
    return false;
}

Result<json::Object> config_of(const RunOptions& options, json::Object exposed) {
    json::Object config;
    config["Hostname"] = options.hostname;
    config["Domainname"] = options.domain_name;
    config["User"] = options.user;
    config["AttachStdin"] = attaches(options, "stdin");
    config["AttachStdout"] = attaches(options, "stdout");
    config["AttachStderr"] = attaches(options, "stderr");
    config["Tty"] = options.tty;
    config["OpenStdin"] = options.interactive;
    config["StdinOnce"] = options.interactive && attaches(options, "stdin");
    config["Env"] = TRY(collect_environment(options.environment, options.environment_files));
    config["WorkingDir"] = options.working_directory;
    config["Labels"] = TRY(collect_labels(options.labels, options.label_files));
    config["ExposedPorts"] = std::move(exposed);
    // An empty --entrypoint takes the image's away.
    config["Entrypoint"] = options.entrypoint
                               ? json::Value(json::Array{json::Value(*options.entrypoint)})
                               : json::Value(nullptr);
    set_text(config, "StopSignal", options.stop_signal);
    set_number(config, "StopTimeout", options.stop_timeout);
    TRY(add_health(options, config));
    return config;
}

} // namespace

Result<json::Array> collect_environment(
    const std::vector<std::string>& entries, const std::vector<std::string>& files) {
    json::Array environment;
    for (const std::string& file : files) {
        std::string content = TRY(read_file(file));
        for (std::string_view line : split(content, '\n')) {
            line = trim(line);
            if (line.empty() || line.front() == '#') {
                continue;
            }
            add_environment(environment, line);
        }
    }
    for (const std::string& entry : entries) {
        if (entry.empty() || entry.front() == '=') {
            return bad_value(entry, "-e, --env", "invalid environment variable: " + entry);
        }
        add_environment(environment, entry);
    }
    return environment;
}

Result<std::int64_t> parse_bytes(std::string_view text) {
    if (text == "-1") {
        return std::int64_t{-1};
    }
    std::string lower = to_lower(trim(text));
    char* end = nullptr;
    double number = std::strtod(lower.c_str(), &end);
    std::string_view unit = trim(std::string_view(end));
    static constexpr std::string_view letters = "bkmgtp";
    std::size_t power = 0;
    if (!unit.empty()) {
        power = letters.find(unit.front());
        bool spelled =
            unit.size() == 1 || (power > 0 && (unit.substr(1) == "b" || unit.substr(1) == "ib"));
        if (power == std::string_view::npos || !spelled) {
            power = letters.size();
        }
    }
    if (end == lower.c_str() || number < 0 || power == letters.size()) {
        return invalid_argument("invalid size: '" + std::string(text) + "'");
    }
    for (; power > 0; --power) {
        number *= 1024;
    }
    if (number > 9e18) {
        return invalid_argument("invalid size: '" + std::string(text) + "'");
    }
    return static_cast<std::int64_t>(number);
}

Result<json::Value> RunOptions::update_body() const {
    json::Object body = TRY(resources_of(*this));
    if (!restart.empty()) {
        body["RestartPolicy"] = TRY(restart_policy(restart));
    }
    return json::Value(std::move(body));
}

Result<json::Value>
RunOptions::create_body(const std::vector<std::string>& image_and_command) const {
    json::Object exposed;
    json::Object bindings;
    json::Object anonymous;
    json::Array binds;
    for (const std::string& port : expose) {
        exposed[port.find('/') == std::string::npos ? port + "/tcp" : port] = json::Object();
    }
    for (const std::string& port : publish) {
        TRY(add_published_port(port, exposed, bindings));
    }
    add_volumes(volumes, binds, anonymous);
    json::Object body = TRY(config_of(*this, std::move(exposed)));
    body["Image"] = image_and_command[0];
    std::vector<std::string> command(image_and_command.begin() + 1, image_and_command.end());
    body["Cmd"] = command.empty() ? json::Value(nullptr) : json::Value(to_array(command));
    body["Volumes"] = std::move(anonymous);
    body["HostConfig"] = TRY(host_config_of(*this, std::move(bindings), std::move(binds)));
    const std::vector<NetworkAttachment> attachments =
        TRY(network_attachments(networks, network_flags));
    body["HostConfig"].as_object()["NetworkMode"] = attachments.front().target;
    json::Object endpoints;
    for (const NetworkAttachment& attachment : attachments) {
        endpoints[attachment.target] = TRY(attachment.settings());
    }
    body["NetworkingConfig"] = json::Object{{"EndpointsConfig", std::move(endpoints)}};
    return json::Value(std::move(body));
}

} // namespace berth::cli
