// SPDX-License-Identifier: Apache-2.0
// docker info and docker version as the API writes them.
#include "api/wire/system.h"

namespace berth::api::wire {

namespace {

json::Object encode_commit(const std::string& id, ApiVersion version) {
    json::Object commit{{"ID", id}};
    if (version < ApiVersion{1, 49}) {
        commit["Expected"] = id;
    }
    return commit;
}

// Before 1.25 the names alone: "seccomp" for "name=seccomp,profile=builtin".
json::Array encode_security_options(const std::vector<std::string>& options, ApiVersion version) {
    json::Array array;
    for (const std::string& option : options) {
        std::string_view text = option;
        if (version < ApiVersion{1, 25}) {
            text = text.substr(text.find('=') + 1);
            text = text.substr(0, text.find(','));
        }
        array.push_back(json::Value(text));
    }
    return array;
}

json::Array encode_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
    json::Array array;
    for (const auto& [name, value] : pairs) {
        array.push_back(json::Array{json::Value(name), json::Value(value)});
    }
    return array;
}

json::Value null_when_empty(const std::vector<std::string>& texts) {
    return texts.empty() ? json::Value(nullptr) : json::encode(texts);
}

json::Object encode_plugins(const engine::SystemInfo& info) {
    return json::Object{
        {"Volume", json::encode(info.volume_plugins)},
        {"Network", json::encode(info.network_plugins)},
        {"Authorization", nullptr},
        {"Log", json::encode(info.log_plugins)}};
}

// 127.0.0.0/8 and ::1 are always among them; what has a slash is a network.
json::Object encode_registry(const engine::SystemInfo& info, ApiVersion version) {
    json::Array networks{json::Value("::1/128"), json::Value("127.0.0.0/8")};
    json::Object indexes;
    const auto add_index = [&indexes](const std::string& name, bool secure, json::Value mirrors) {
        indexes[name] = json::Object{
            {"Mirrors", std::move(mirrors)},
            {"Name", name},
            {"Official", name == "docker.io"},
            {"Secure", secure}};
    };
    const json::Value mirrors = json::encode(info.registry_mirrors);
    add_index("docker.io", true, mirrors);
    for (const std::string& registry : info.insecure_registries) {
        if (registry.find('/') != std::string::npos) {
            networks.emplace_back(registry);
        } else {
            add_index(registry, false, json::Array{});
        }
    }
    json::Object registry{
        {"IndexConfigs", std::move(indexes)},
        {"InsecureRegistryCIDRs", std::move(networks)},
        {"Mirrors", null_when_empty(info.registry_mirrors)}};
    if (version < ApiVersion{1, 49}) {
        registry["AllowNondistributableArtifactsCIDRs"] = nullptr;
        registry["AllowNondistributableArtifactsHostnames"] = nullptr;
    }
    return registry;
}

json::Object encode_runtimes(const engine::SystemInfo& info) {
    json::Object runtimes;
    for (const auto& [name, path] : info.runtimes) {
        runtimes[name] = json::Object{{"path", path}};
    }
    return runtimes;
}

json::Object encode_swarm() {
    return json::Object{
        {"NodeID", ""},
        {"NodeAddr", ""},
        {"LocalNodeState", "inactive"},
        {"ControlAvailable", false},
        {"Error", ""},
        {"RemoteManagers", nullptr}};
}

void add_counts(json::Object& object, const engine::SystemInfo& info) {
    object["ID"] = info.id;
    object["Containers"] = info.containers;
    object["ContainersRunning"] = info.containers_running;
    object["ContainersPaused"] = info.containers_paused;
    object["ContainersStopped"] = info.containers_stopped;
    object["Images"] = info.images;
    object["Driver"] = info.driver;
    object["DriverStatus"] = encode_pairs(info.driver_status);
    object["Plugins"] = encode_plugins(info);
}

void add_abilities(json::Object& object, const engine::SystemInfo& info) {
    object["MemoryLimit"] = info.memory_limit;
    object["SwapLimit"] = info.swap_limit;
    object["CpuCfsPeriod"] = info.cpu_cfs_period;
    object["CpuCfsQuota"] = info.cpu_cfs_quota;
    object["CPUShares"] = info.cpu_shares;
    object["CPUSet"] = info.cpu_set;
    object["PidsLimit"] = info.pids_limit;
    object["IPv4Forwarding"] = info.ipv4_forwarding;
    object["Debug"] = info.debug;
    object["NFd"] = info.open_files;
    object["OomKillDisable"] = info.oom_kill_disable;
    object["NGoroutines"] = info.threads;
    object["SystemTime"] = format_rfc3339(info.system_time);
    object["LoggingDriver"] = info.logging_driver;
    object["CgroupDriver"] = info.cgroup_driver;
    object["CgroupVersion"] = info.cgroup_version;
    object["NEventsListener"] = info.event_listeners;
}

void add_machine(json::Object& object, const engine::SystemInfo& info, ApiVersion version) {
    object["KernelVersion"] = info.kernel_version;
    object["OperatingSystem"] = info.operating_system;
    object["OSVersion"] = info.os_version;
    object["OSType"] = info.os_type;
    object["Architecture"] = info.architecture;
    object["IndexServerAddress"] = "https://index.docker.io/v1/";
    object["RegistryConfig"] = encode_registry(info, version);
    object["NCPU"] = info.cpus;
    object["MemTotal"] = info.memory_total;
    object["GenericResources"] = nullptr;
    object["DockerRootDir"] = info.docker_root_dir;
    object["HttpProxy"] = info.http_proxy;
    object["HttpsProxy"] = info.https_proxy;
    object["NoProxy"] = info.no_proxy;
    object["Name"] = info.name;
    object["Labels"] = json::encode(info.labels);
    object["ExperimentalBuild"] = info.experimental;
    object["ServerVersion"] = info.server_version;
}

} // namespace

json::Value encode_info(const engine::SystemInfo& info, ApiVersion version) {
    json::Object object;
    add_counts(object, info);
    add_abilities(object, info);
    add_machine(object, info, version);
    object["Runtimes"] = encode_runtimes(info);
    object["DefaultRuntime"] = info.default_runtime;
    object["Swarm"] = encode_swarm();
    object["LiveRestoreEnabled"] = info.live_restore;
    object["Isolation"] = "";
    object["InitBinary"] = info.init_binary;
    // There is no containerd, which is "N/A" in dockerd's words; runtime and init are parts of the
    // engine, of its version.
    object["ContainerdCommit"] = encode_commit("N/A", version);
    object["RuncCommit"] = encode_commit(info.version, version);
    object["InitCommit"] = encode_commit(info.version, version);
    if (version < ApiVersion{1, 50}) {
        object["BridgeNfIptables"] = false;
        object["BridgeNfIp6tables"] = false;
    }
    if (version >= ApiVersion{1, 49}) {
        object["FirewallBackend"] = json::Object{{"Driver", "nftables"}};
    }
    object["SecurityOptions"] = encode_security_options(info.security_options, version);
    object["CDISpecDirs"] = json::encode(info.cdi_spec_dirs);
    if (version >= ApiVersion{1, 50} && !info.cdi_devices.empty()) {
        json::Array devices;
        for (const std::string& device : info.cdi_devices) {
            devices.push_back(json::Object{{"Source", "cdi"}, {"ID", device}});
        }
        object["DiscoveredDevices"] = std::move(devices);
    }
    object["Warnings"] = null_when_empty(info.warnings);
    return object;
}

json::Value encode_version(const engine::SystemVersion& version) {
    json::Object details{
        {"ApiVersion", maximum_version.to_string()},
        {"Arch", version.architecture},
        {"BuildTime", version.build_time},
        {"Experimental", version.experimental ? "true" : "false"},
        {"GitCommit", version.git_commit},
        {"GoVersion", "none"},
        {"KernelVersion", version.kernel_version},
        {"MinAPIVersion", minimum_version.to_string()},
        {"Os", version.os}};
    json::Array components{json::Object{
        {"Name", "Engine"}, {"Version", version.server_version}, {"Details", std::move(details)}}};
    json::Object object{
        {"Platform", json::Object{{"Name", "Berth " + version.version}}},
        {"Components", std::move(components)},
        {"Version", version.server_version},
        {"ApiVersion", maximum_version.to_string()},
        {"MinAPIVersion", minimum_version.to_string()},
        {"GitCommit", version.git_commit},
        {"GoVersion", "none"},
        {"Os", version.os},
        {"Arch", version.architecture},
        {"KernelVersion", version.kernel_version}};
    if (version.experimental) {
        object["Experimental"] = true;
    }
    if (!version.build_time.empty()) {
        object["BuildTime"] = version.build_time;
    }
    return object;
}

} // namespace berth::api::wire
