// SPDX-License-Identifier: Apache-2.0
// The three files that Docker manages inside of a container, and mount sources on the host.
#include "engine/container_files.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/core.h"
#include "engine/network_registry.h"
#include "engine/user_namespace.h"
#include "engine/volume_owner.h"
#include "network/hosts_file.h"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>

#include <fcntl.h>
#include <sys/mount.h>

namespace berth::engine {
namespace {

std::vector<kernel::IpAddress> addresses_of(const std::vector<EndpointState>& endpoints) {
    std::vector<kernel::IpAddress> addresses;
    for (const EndpointState& endpoint : endpoints) {
        for (const std::string& text : {endpoint.ip, endpoint.ip_v6}) {
            if (const auto address = kernel::IpAddress::parse(text); address.ok()) {
                addresses.push_back(*address);
            }
        }
    }
    return addresses;
}

std::set<std::string> set_of_lines(std::string_view text) {
    std::set<std::string> lines;
    for (const std::string_view line : split(text, '\n')) {
        lines.emplace(line);
    }
    return lines;
}

Result<std::string> hosts_text(const ContainerFilesInput& input) {
    const HostConfig& host_config = input.definition.host_config;
    network::HostsOptions options;
    options.hostname = input.definition.config.hostname;
    options.domainname = input.definition.config.domainname;
    options.extra_hosts = host_config.extra_hosts;
    options.addresses = addresses_of(input.endpoints);
    options.has_ipv6 = !turns_ipv6_off(host_config);
    options.host_gateways = input.host_gateways;
    std::string text = TRY(network::hosts_file(options));
    for (const std::string& line : input.link_hosts) {
        text += line + "\n";
    }
    if (is_host_mode(host_config.network_mode)) {
        // With the host's network come the host's names; only the extra ones are added.
        std::string host_text = TRY(read_file("/etc/hosts"));
        for (const std::string& extra : host_config.extra_hosts) {
            const auto separator = extra.find_first_of(":=");
            const std::string name = extra.substr(0, separator);
            const std::string address = extra.substr(separator + 1);
            if (address != "host-gateway") {
                host_text += address + "\t" + name + "\n";
                continue;
            }
            for (const kernel::IpAddress& gateway : input.host_gateways) {
                host_text += gateway.to_string() + "\t" + name + "\n";
            }
        }
        return host_text;
    }
    return text;
}

// The predefined networks have no embedded DNS.
bool has_embedded_dns(const std::vector<EndpointState>& endpoints) {
    return std::ranges::any_of(endpoints, [](const EndpointState& endpoint) {
        return !is_predefined_network(endpoint.network);
    });
}

Result<std::string> resolv_text(const ContainerFilesInput& input) {
    std::vector<network::ResolvConf> networks;
    for (const EndpointState& endpoint : input.endpoints) {
        networks.push_back(
            {.nameservers = endpoint.dns_servers,
             .search = endpoint.dns_search,
             .options = endpoint.dns_options});
    }
    network::DnsOptions options = dns_options(input.definition, input.daemon, networks);
    const bool is_plain =
        options.nameservers.empty() && options.search.empty() && options.options.empty();
    if (is_host_mode(input.definition.host_config.network_mode) && is_plain) {
        // A container in the host's network reaches the host's own resolver, stub or not.
        auto text = read_file("/etc/resolv.conf");
        return text.ok() ? std::move(text).value() : std::string();
    }
    const network::HostResolvConf host = TRY(network::find_host_resolv_conf());
    if (has_embedded_dns(input.endpoints)) {
        return network::embedded_resolv_conf(host, options).text;
    }
    options.has_ipv6 = std::ranges::any_of(
        input.endpoints, [](const EndpointState& endpoint) { return !endpoint.ip_v6.empty(); });
    return network::container_resolv_conf(host.text, options);
}

// What reads a hosts file and writes it again is done by one at a time: networks and links of a
// container change independently.
std::mutex& hosts_files() {
    static std::mutex mutex;
    return mutex;
}

// In place.
Result<void> rewrite(const std::string& path, std::string_view text) {
    const UniqueFd file = TRY(open_file(path, O_WRONLY | O_TRUNC));
    return write_all(file, text);
}

} // namespace

Result<void> write_container_files(const ContainerFilesInput& input) {
    const std::string hosts = TRY(hosts_text(input));
    const std::string resolv = TRY(resolv_text(input));
    const std::string hostname = input.definition.config.hostname + "\n";
    TRY(replace_file(input.directory + "/hosts", hosts, 0644, Sync::No));
    TRY(replace_file(input.directory + "/resolv.conf", resolv, 0644, Sync::No));
    return replace_file(input.directory + "/hostname", hostname, 0644, Sync::No);
}

Result<void> label_container_files(const std::string& directory, const std::string& label) {
    for (const char* name : {"/hosts", "/resolv.conf", "/hostname"}) {
        const std::string path = directory + name;
        const UniqueFd file = TRY(open_file(path, O_PATH | O_NOFOLLOW));
        TRY(relabel_tree(file, path, label));
    }
    return ok();
}

Result<void> update_hosts(const ContainerFilesInput& before, const ContainerFilesInput& after) {
    const std::set<std::string> old_lines = set_of_lines(TRY(hosts_text(before)));
    const std::set<std::string> new_lines = set_of_lines(TRY(hosts_text(after)));
    const std::string path = after.directory + "/hosts";
    const std::lock_guard alone(hosts_files());
    const std::string present = TRY(read_file(path));
    std::string text;
    for (const std::string_view line : split(present, '\n')) {
        const std::string copy(line);
        if (!line.empty() && (!old_lines.contains(copy) || new_lines.contains(copy))) {
            text += copy + "\n";
        }
    }
    for (const std::string& line : new_lines) {
        if (!line.empty() && !old_lines.contains(line)) {
            text += line + "\n";
        }
    }
    return rewrite(path, text);
}

Result<void> renew_hosts(
    const std::string& directory, const std::string& names, const std::vector<std::string>& lines) {
    const std::string path = directory + "/hosts";
    const std::lock_guard alone(hosts_files());
    const std::string present = TRY(read_file(path));
    const std::string text = network::replace_hosts_lines(present, names, lines);
    return text == present ? ok() : rewrite(path, text);
}

Result<void>
update_resolv_conf(const ContainerFilesInput& before, const ContainerFilesInput& after) {
    const std::string old_text = TRY(resolv_text(before));
    const std::string new_text = TRY(resolv_text(after));
    const std::string path = after.directory + "/resolv.conf";
    if (old_text == new_text || TRY(read_file(path)) != old_text) {
        return ok();
    }
    return rewrite(path, new_text);
}

std::vector<kernel::IpAddress>
host_gateways(const DaemonConfig& daemon, const network::Network* bridge) {
    std::vector<kernel::IpAddress> addresses = daemon.host_gateway_ips;
    if (!addresses.empty() || bridge == nullptr) {
        return addresses;
    }
    if (!bridge->gateway().is_unspecified()) {
        addresses.push_back(bridge->gateway());
    }
    if (const auto v6 = bridge->gateway_v6()) {
        addresses.push_back(*v6);
    }
    return addresses;
}

network::DnsOptions dns_options(const ContainerDefinition& definition, const DaemonConfig& daemon) {
    const HostConfig& own = definition.host_config;
    return {
        .nameservers = own.dns.empty() ? daemon.dns : own.dns,
        .search = own.dns_search.empty() ? daemon.dns_search : own.dns_search,
        .options = own.dns_options.empty() ? daemon.dns_options : own.dns_options};
}

network::DnsOptions dns_options(
    const ContainerDefinition& definition,
    const DaemonConfig& daemon,
    const std::vector<network::ResolvConf>& networks) {
    const HostConfig& own = definition.host_config;
    network::DnsOptions options = dns_options(definition, daemon);
    const auto choose = [&networks](
                            const std::vector<std::string>& asked_for,
                            auto member,
                            std::vector<std::string>& chosen) {
        if (!asked_for.empty()) {
            return;
        }
        for (const network::ResolvConf& conf : networks) {
            if (!(conf.*member).empty()) {
                chosen = conf.*member;
                return;
            }
        }
    };
    choose(own.dns, &network::ResolvConf::nameservers, options.nameservers);
    choose(own.dns_search, &network::ResolvConf::search, options.search);
    choose(own.dns_options, &network::ResolvConf::options, options.options);
    return options;
}

Result<void> make_bind_sources(const ContainerDefinition& definition) {
    for (const PlannedMount& mount : definition.mounts) {
        if (mount.point.type != "bind" || exists(mount.point.source)) {
            continue;
        }
        if (!mount.create_source) {
            return invalid_argument(
                "invalid mount config for type \"bind\": bind source path does not exist: " +
                mount.point.source);
        }
        auto made = make_directories(mount.point.source, 0755);
        if (!made.ok()) {
            return std::move(made).error().with_context(
                "error while creating mount source path '" + mount.point.source + "'");
        }
    }
    return ok();
}

std::string shared_memory_path(const Core& core, const std::string& id) {
    return core.directory(id) + "/shm";
}

Result<std::string> mount_shared_memory(const Core& core, const ContainerDefinition& definition) {
    const std::string path = shared_memory_path(core, definition.id);
    TRY(make_directories(path, 0700));
    std::string options = "mode=1777,size=" + std::to_string(definition.host_config.shm_size);
    if (const auto owners = owners_at_start(core, definition.host_config)) {
        options += ",uid=" + std::to_string(owners->root_uid()) +
                   ",gid=" + std::to_string(owners->root_gid());
    }
    if (core.selinux->is_enabled() && !definition.mount_label.empty()) {
        options += ",context=\"" + definition.mount_label + "\"";
    }
    // SAFETY: the path lies below the engine's own directory, which only root can enter.
    if (mount("shm", path.c_str(), "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, options.c_str()) !=
        0) {
        return errno_error("mounting " + path);
    }
    return path;
}

void unmount_shared_memory(const Core& core, const std::string& id) {
    const std::string path = shared_memory_path(core, id);
    if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT) {
        log::warn("shared memory not unmounted, ignoring", {{"path", path}});
    }
}

} // namespace berth::engine
