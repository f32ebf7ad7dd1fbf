// SPDX-License-Identifier: Apache-2.0
// dockerd's options by name, and what each does to the configuration.
#include "engine/daemon_options.h"

#include "base/strings.h"
#include "base/time.h"
#include "engine/subordinate_ids.h"
#include "store/layer_store.h"

#include <type_traits>

namespace berth::engine {
namespace {

template <auto Member>
Result<void> set(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto& target = config.*Member;
    using Target = std::remove_cvref_t<decltype(target)>;
    if constexpr (std::is_same_v<Target, bool> || std::is_same_v<Target, std::optional<bool>>) {
        target = TRY(parse_go_bool(value));
    } else if constexpr (std::is_same_v<Target, std::int64_t>) {
        auto number = parse_number<std::int64_t>(value);
        if (!number.ok()) {
            return invalid_argument(
                "strconv.ParseInt: parsing \"" + std::string(value) + "\": invalid syntax");
        }
        target = *number;
    } else if constexpr (std::is_same_v<Target, std::vector<std::string>>) {
        target.emplace_back(value);
    } else {
        target = value;
    }
    return ok();
}

// Configures a helper program or a feature that Berth has built in or does without.
Result<void> ignore(DaemonConfig& config, const DaemonOption& option, std::string_view) {
    config.ignored.emplace_back(option.flag);
    return ok();
}

// Asks for something that Berth cannot do yet: only the value that means "off" is fine.
Result<void> refuse(DaemonConfig&, const DaemonOption& option, std::string_view value) {
    if (value.empty() || (option.shape == OptionShape::Number && value == "0") ||
        (option.shape == OptionShape::Switch && !parse_go_bool(value).value_or(true))) {
        return ok();
    }
    return not_implemented("--" + std::string(option.flag) + " is not implemented by this engine");
}

// "name", "name=true" or "name=false".
Result<void> set_feature(DaemonConfig& config, const DaemonOption& option, std::string_view value) {
    const auto parts = cut(value, "=");
    const std::string name(trim(parts ? parts->before : value));
    if (name.empty()) {
        return invalid_argument("invalid feature: \"" + std::string(value) + "\" has no name");
    }
    const bool is_on = parts ? TRY(parse_go_bool(parts->after)) : true;
    if (!config.features.emplace(name, is_on).second) {
        return invalid_argument("feature " + name + " was set twice");
    }
    return ignore(config, option, value);
}

Result<void>
add_nondistributable(DaemonConfig& config, const DaemonOption& option, std::string_view value) {
    config.nondistributable_artifacts.emplace_back(value);
    return ignore(config, option, value);
}

Result<void> set_storage_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    constexpr std::string_view layer_form = "overlay2.layer_form";
    const auto parts = cut(value, "=");
    if (parts && parts->before == "overlay2.size") {
        config.container_size = TRY(parse_memory_size(parts->after));
        return ok();
    }
    if (!parts || parts->before != layer_form) {
        return invalid_argument(
            "unknown storage option \"" + std::string(value) + "\"; there are " +
            std::string(layer_form) + "=auto|erofs|directory and overlay2.size=<bytes>");
    }
    TRY(store::parse_layer_form(parts->after));
    config.layer_form = parts->after;
    return ok();
}

template <auto Member>
Result<void> set_size(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    config.*Member = TRY(parse_memory_size(value));
    return ok();
}

template <auto Member>
Result<void> set_age(DaemonConfig& config, const DaemonOption& option, std::string_view value) {
    auto age = parse_duration(value);
    if (!age.ok() || age->count() < 0) {
        return invalid_argument(
            std::string(option.key) + ": \"" + std::string(value) +
            "\" is not a duration such as \"90s\"");
    }
    config.*Member = *age;
    return ok();
}

Result<void> set_firewall(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    if (value != "pass" && value != "respect") {
        return invalid_argument(
            "invalid firewall mode \"" + std::string(value) + "\": there are pass and respect");
    }
    config.firewall = value;
    return ok();
}

Result<void> set_userns_remap(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    if (!value.empty()) {
        TRY(parse_userns_remap(value));
    }
    config.userns_remap = value;
    return ok();
}

Result<void> add_host_gateway(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    const kernel::IpAddress address = TRY(kernel::IpAddress::parse(value));
    for (const kernel::IpAddress& other : config.host_gateway_ips) {
        if (other.is_v4() == address.is_v4()) {
            return invalid_argument(
                std::string("only one ") + (address.is_v4() ? "IPv4" : "IPv6") +
                " host gateway IP address can be specified");
        }
    }
    config.host_gateway_ips.push_back(address);
    return ok();
}

Result<void> add_default_ulimit(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    Ulimit limit = TRY(parse_ulimit(value));
    std::string name = limit.name;
    config.default_ulimits.insert_or_assign(std::move(name), std::move(limit));
    return ok();
}

Result<void> add_log_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts) {
        config.log_options.insert_or_assign(std::string(value), std::string());
        return ok();
    }
    config.log_options.insert_or_assign(std::string(parts->before), std::string(parts->after));
    return ok();
}

Result<void> add_address_pool(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    config.default_address_pools.push_back(TRY(parse_address_pool(value)));
    return ok();
}

// "bridge=com.docker.network.driver.mtu=1400"
Result<void>
add_default_network_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    const auto driver = cut(value, "=");
    const auto option = driver ? cut(driver->after, "=") : std::nullopt;
    if (!option) {
        return invalid_argument(
            "invalid default network options format: \"" + std::string(value) +
            "\" must be driver=option=value");
    }
    config.default_network_options[std::string(driver->before)].insert_or_assign(
        std::string(option->before), std::string(option->after));
    return ok();
}

Result<void> add_runtime(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts || trim(parts->before).empty() || trim(parts->after).empty()) {
        return invalid_argument("invalid runtime argument: " + std::string(value));
    }
    const std::string name = to_lower(trim(parts->before));
    if (name == "runc" || name == "berth") {
        return invalid_argument("runtime name '" + name + "' is reserved");
    }
    if (!config.runtimes.emplace(name, trim(parts->after)).second) {
        return invalid_argument("runtime '" + name + "' was already defined");
    }
    return ok();
}

Result<void> add_exec_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts || parts->before != "native.cgroupdriver") {
        return invalid_argument("Unknown option: \"" + std::string(value) + "\"");
    }
    if (parts->after != "cgroupfs" && parts->after != "systemd") {
        return invalid_argument("invalid cgroup driver: " + std::string(parts->after));
    }
    config.exec_options.emplace_back(value);
    return ok();
}

using enum OptionShape;

constexpr DaemonOption table[] = {
    {"add-runtime",
     0,
     "runtimes",
     Pairs,
     "Register an additional OCI compatible runtime",
     add_runtime},
    {"allow-direct-routing",
     0,
     "allow-direct-routing",
     Switch,
     "Allow remote access to published ports on container addresses",
     refuse},
    {"allow-nondistributable-artifacts",
     0,
     "allow-nondistributable-artifacts",
     List,
     "Accepted, without effect",
     add_nondistributable},
    {"authorization-plugin",
     0,
     "authorization-plugins",
     List,
     "Authorization plugins to load",
     set<&DaemonConfig::authorization_plugins>},
    {"bip", 0, "bip", Text, "Address and prefix of the default bridge", set<&DaemonConfig::bip>},
    {"bip6",
     0,
     "bip6",
     Text,
     "IPv6 address and prefix of the default bridge",
     set<&DaemonConfig::bip6>},
    {"bridge",
     'b',
     "bridge",
     Text,
     "Attach containers to a network bridge, or \"none\"",
     set<&DaemonConfig::bridge>},
    {"cdi-spec-dir",
     0,
     "cdi-spec-dirs",
     List,
     "CDI specification directories to use",
     set<&DaemonConfig::cdi_spec_dirs>},
    {"cgroup-parent",
     0,
     "cgroup-parent",
     Text,
     "Set parent cgroup for all containers",
     set<&DaemonConfig::cgroup_parent>},
    {"cni-config-dir",
     0,
     "cni-config-dir",
     Text,
     "Directory of CNI network configurations",
     set<&DaemonConfig::cni_config_directory>},
    {"cni-plugin-dir",
     0,
     "cni-plugin-dirs",
     List,
     "Directories of CNI plugins",
     set<&DaemonConfig::cni_plugin_directories>},
    {"cni-timeout", 0, "cni-timeout", Text, "CNI time limit", set_age<&DaemonConfig::cni_timeout>},
    {"config-file", 0, "", Text, "Daemon configuration file", set<&DaemonConfig::config_file>},
    {"containerd", 0, "containerd", Text, "Accepted, without effect", ignore},
    {"containerd-namespace", 0, "containerd-namespace", Text, "Accepted, without effect", ignore},
    {"containerd-plugins-namespace",
     0,
     "containerd-plugin-namespace",
     Text,
     "Accepted, without effect",
     ignore},
    {"cpu-rt-period", 0, "cpu-rt-period", Number, "Real-time period of all containers", refuse},
    {"cpu-rt-runtime", 0, "cpu-rt-runtime", Number, "Real-time share of all containers", refuse},
    {"cri-containerd", 0, "cri-containerd", Switch, "Accepted, without effect", ignore},
    {"data-root",
     0,
     "data-root",
     Text,
     "Root directory of persistent state",
     set<&DaemonConfig::data_root>},
    {"debug", 'D', "debug", Switch, "Enable debug mode", set<&DaemonConfig::debug>},
    {"default-address-pool",
     0,
     "default-address-pools",
     List,
     "Default address pools for node specific local networks",
     add_address_pool},
    {"default-cgroupns-mode",
     0,
     "default-cgroupns-mode",
     Text,
     "Default mode for containers cgroup namespace",
     set<&DaemonConfig::default_cgroupns_mode>},
    {"default-gateway",
     0,
     "default-gateway",
     Text,
     "Default gateway of the default bridge network",
     set<&DaemonConfig::default_gateway>},
    {"default-gateway-v6",
     0,
     "default-gateway-v6",
     Text,
     "IPv6 gateway of the default bridge network",
     set<&DaemonConfig::default_gateway_v6>},
    {"default-ipc-mode",
     0,
     "default-ipc-mode",
     Text,
     "Default mode for containers ipc",
     set<&DaemonConfig::default_ipc_mode>},
    {"default-network-opt",
     0,
     "default-network-opts",
     Pairs,
     "Default network options",
     add_default_network_option},
    {"default-runtime",
     0,
     "default-runtime",
     Text,
     "Default OCI runtime for containers",
     set<&DaemonConfig::default_runtime>},
    {"default-shm-size",
     0,
     "default-shm-size",
     Text,
     "Default shm size for containers",
     set_size<&DaemonConfig::default_shm_size>},
    {"default-ulimit",
     0,
     "default-ulimits",
     Pairs,
     "Default ulimits for containers",
     add_default_ulimit},
    {"dns", 0, "dns", List, "DNS server to use", set<&DaemonConfig::dns>},
    {"dns-opt", 0, "dns-opts", List, "DNS options to use", set<&DaemonConfig::dns_options>},
    {"dns-search",
     0,
     "dns-search",
     List,
     "DNS search domains to use",
     set<&DaemonConfig::dns_search>},
    {"exec-opt", 0, "exec-opts", List, "Runtime execution options", add_exec_option},
    {"exec-root",
     0,
     "exec-root",
     Text,
     "Root directory for execution state files",
     set<&DaemonConfig::exec_root>},
    {"experimental",
     0,
     "experimental",
     Switch,
     "Enable experimental features",
     set<&DaemonConfig::experimental>},
    {"feature", 0, "features", Pairs, "Accepted, without effect", set_feature},
    {"firewall",
     0,
     "firewall",
     Text,
     "Published ports pass the host's own firewall, or respect it: pass or respect",
     set_firewall},
    {"fixed-cidr",
     0,
     "fixed-cidr",
     Text,
     "IPv4 subnet of the default bridge's containers",
     set<&DaemonConfig::fixed_cidr>},
    {"fixed-cidr-v6",
     0,
     "fixed-cidr-v6",
     Text,
     "IPv6 subnet of the default bridge's containers",
     set<&DaemonConfig::fixed_cidr_v6>},
    {"gc-delay",
     0,
     "gc-delay",
     Text,
     "How long after work that may leave garbage it is collected",
     set_age<&DaemonConfig::gc_delay>},
    {"gc-interval",
     0,
     "gc-interval",
     Text,
     "How often garbage is collected without such work, or 0s",
     set_age<&DaemonConfig::gc_interval>},
    {"gc-unused-for",
     0,
     "gc-unused-for",
     Text,
     "How old blobs and layers are that are collected when nothing needs them",
     set_age<&DaemonConfig::gc_unused_for>},
    {"group", 'G', "group", Text, "Group for the unix socket", set<&DaemonConfig::group>},
    {"host", 'H', "hosts", List, "Daemon socket(s) to connect to", set<&DaemonConfig::hosts>},
    {"host-gateway-ip",
     0,
     "host-gateway-ips",
     List,
     "Addresses that host-gateway in --add-host stands for (default: the default bridge's)",
     add_host_gateway},
    {"http-proxy",
     0,
     "http-proxy",
     Text,
     "HTTP proxy URL to use for outgoing traffic",
     set<&DaemonConfig::http_proxy>},
    {"https-proxy",
     0,
     "https-proxy",
     Text,
     "HTTPS proxy URL to use for outgoing traffic",
     set<&DaemonConfig::https_proxy>},
    {"icc", 0, "icc", Switch, "Enable inter-container communication", set<&DaemonConfig::icc>},
    {"init", 0, "init", Switch, "Run an init in the container", set<&DaemonConfig::init>},
    {"init-path", 0, "init-path", Text, "Accepted, without effect", ignore},
    {"insecure-registry",
     0,
     "insecure-registries",
     List,
     "Enable insecure registry communication",
     set<&DaemonConfig::insecure_registries>},
    {"ip", 0, "ip", Text, "Host address of published ports", set<&DaemonConfig::ip>},
    {"ip-forward",
     0,
     "ip-forward",
     Switch,
     "Enable IP forwarding in the system",
     set<&DaemonConfig::ip_forward>},
    {"ip-forward-no-drop", 0, "ip-forward-no-drop", Switch, "Accepted, without effect", ignore},
    {"ip-masq", 0, "ip-masq", Switch, "Enable IP masquerading", set<&DaemonConfig::ip_masquerade>},
    {"ip6tables", 0, "ip6tables", Switch, "Accepted, without effect", ignore},
    {"iptables", 0, "iptables", Switch, "Enable firewall rules", set<&DaemonConfig::iptables>},
    {"ipv6",
     0,
     "ipv6",
     Switch,
     "Enable IPv6 networking for the default bridge network",
     set<&DaemonConfig::ipv6>},
    {"label", 0, "labels", List, "Set key=value labels to the daemon", set<&DaemonConfig::labels>},
    {"live-restore",
     0,
     "live-restore",
     Switch,
     "Leave containers running when the daemon stops",
     set<&DaemonConfig::live_restore>},
    {"log-driver",
     0,
     "log-driver",
     Text,
     "Default driver for container logs",
     set<&DaemonConfig::log_driver>},
    {"log-format", 0, "log-format", Text, "Accepted, without effect", ignore},
    {"log-level",
     'l',
     "log-level",
     Text,
     "debug, info, warn, error or fatal",
     set<&DaemonConfig::log_level>},
    {"log-opt", 0, "log-opts", Pairs, "Default log driver options for containers", add_log_option},
    {"max-concurrent-downloads",
     0,
     "max-concurrent-downloads",
     Number,
     "Set the max concurrent downloads",
     set<&DaemonConfig::max_concurrent_downloads>},
    {"max-concurrent-uploads",
     0,
     "max-concurrent-uploads",
     Number,
     "Set the max concurrent uploads",
     set<&DaemonConfig::max_concurrent_uploads>},
    {"max-download-attempts",
     0,
     "max-download-attempts",
     Number,
     "Set the max download attempts for each pull",
     set<&DaemonConfig::max_download_attempts>},
    {"max-layer-ratio",
     0,
     "max-layer-ratio",
     Number,
     "How many times its compressed size a layer above 1 GiB may have, or 0",
     set<&DaemonConfig::max_layer_ratio>},
    {"max-layer-size",
     0,
     "max-layer-size",
     Text,
     "How large a layer may be, unpacked",
     set_size<&DaemonConfig::max_layer_size>},
    {"metrics-addr",
     0,
     "metrics-addr",
     Text,
     "Address and port to serve the metrics API on",
     set<&DaemonConfig::metrics_address>},
    {"mtu", 0, "mtu", Number, "Set the MTU of the default bridge network", set<&DaemonConfig::mtu>},
    {"network-control-plane-mtu",
     0,
     "network-control-plane-mtu",
     Number,
     "Accepted, without effect",
     ignore},
    {"no-new-privileges",
     0,
     "no-new-privileges",
     Switch,
     "Set no-new-privileges for new containers",
     set<&DaemonConfig::no_new_privileges>},
    {"no-proxy",
     0,
     "no-proxy",
     Text,
     "Hosts for which the proxy is skipped",
     set<&DaemonConfig::no_proxy>},
    {"node-generic-resource",
     0,
     "node-generic-resources",
     List,
     "Advertise user-defined resource",
     refuse},
    {"oom-score-adjust", 0, "oom-score-adjust", Number, "Accepted, without effect", ignore},
    {"pidfile",
     'p',
     "pidfile",
     Text,
     "Path to use for daemon PID file",
     set<&DaemonConfig::pidfile>},
    {"raw-logs", 0, "raw-logs", Switch, "Accepted, without effect", ignore},
    {"registry-mirror",
     0,
     "registry-mirrors",
     List,
     "Preferred registry mirror",
     set<&DaemonConfig::registry_mirrors>},
    {"rootless", 0, "rootless", Switch, "Enable rootless mode", refuse},
    {"seccomp-profile",
     0,
     "seccomp-profile",
     Text,
     "Path to seccomp profile, or \"unconfined\"",
     set<&DaemonConfig::seccomp_profile>},
    {"selinux-enabled",
     0,
     "selinux-enabled",
     Switch,
     "Enable selinux support",
     set<&DaemonConfig::selinux_enabled>},
    {"shutdown-timeout",
     0,
     "shutdown-timeout",
     Number,
     "Seconds that containers get to stop",
     set<&DaemonConfig::shutdown_timeout>},
    {"socket-families",
     0,
     "socket-families",
     Text,
     "Socket families of containers: all, or limited",
     set<&DaemonConfig::socket_families>},
    {"storage-driver",
     's',
     "storage-driver",
     Text,
     "Storage driver to use",
     set<&DaemonConfig::storage_driver>},
    {"storage-opt",
     0,
     "storage-opts",
     List,
     "Storage driver options: overlay2.size, overlay2.layer_form",
     set_storage_option},
    {"swarm-default-advertise-addr",
     0,
     "swarm-default-advertise-addr",
     Text,
     "Accepted, without effect",
     ignore},
    {"tls", 0, "tls", Switch, "Use TLS; implied by --tlsverify", set<&DaemonConfig::tls>},
    {"tlscacert",
     0,
     "tlscacert",
     Text,
     "Trust certs signed only by this CA (default ~/.docker/ca.pem)",
     set<&DaemonConfig::tls_ca>},
    {"tlscert",
     0,
     "tlscert",
     Text,
     "Path to TLS certificate file (default ~/.docker/cert.pem)",
     set<&DaemonConfig::tls_certificate>},
    {"tlskey",
     0,
     "tlskey",
     Text,
     "Path to TLS key file (default ~/.docker/key.pem)",
     set<&DaemonConfig::tls_key>},
    {"tlsverify",
     0,
     "tlsverify",
     Switch,
     "Use TLS and verify the remote",
     set<&DaemonConfig::tls_verify>},
    {"userland-proxy",
     0,
     "userland-proxy",
     Switch,
     "Relay published IPv6 ports of the host to containers without IPv6 (default true)",
     set<&DaemonConfig::userland_proxy>},
    {"userland-proxy-path", 0, "userland-proxy-path", Text, "Accepted, without effect", ignore},
    {"userns-remap", 0, "userns-remap", Text, "User namespaces for containers", set_userns_remap},
};

} // namespace

std::span<const DaemonOption> daemon_options() {
    return table;
}

} // namespace berth::engine
