// SPDX-License-Identifier: Apache-2.0
// Making and removing networks, after moby's daemon/network.go and libnetwork/network.go. The
// interface is made before the row: an engine that dies in between leaves a bridge with its label,
// which the next one sweeps.
#include "engine/network_registry.h"

#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "engine/cni_options.h"
#include "engine/daemon_options.h"
#include "engine/network_options.h"
#include "engine/traffic_limits.h"
#include "network/address_arithmetic.h"

#include <algorithm>

namespace berth::engine {
namespace {

Error forbidden(std::string message) {
    return Error(ErrorKind::Forbidden, std::move(message));
}

Result<void> check_name(const std::string& name) {
    if (trim(name).empty()) {
        return invalid_argument("invalid network name: name is empty");
    }
    if (trim(name).size() != name.size()) {
        return invalid_argument(
            "invalid network name: \"" + name + "\" has leading or trailing white space");
    }
    if (is_predefined_network(name)) {
        return forbidden("operation is not permitted on predefined " + name + " network ");
    }
    return ok();
}

Result<void> check_driver(const std::string& driver) {
    if (driver.empty() || driver == "bridge" || is_sublink_driver(driver) ||
        is_cni_driver(driver)) {
        return ok();
    }
    if (driver == "host" || driver == "null") {
        return forbidden("only one instance of \"" + driver + "\" network is allowed");
    }
    if (driver == "overlay") {
        return forbidden(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" "
            "to connect this node to swarm and try again.");
    }
    return not_found("plugin \"" + driver + "\" not found");
}

bool is_default_driver(const Ipam& ipam) {
    return ipam.driver.empty() || ipam.driver == Ipam().driver;
}

Result<void> check_config_only(const NetworkCreate& request) {
    if (request.config_only &&
        (request.ingress || request.internal || request.attachable || !request.scope.empty())) {
        return forbidden(
            "configuration network can only contain network specific fields. Network operator "
            "fields like [ ingress | internal | attachable | scope ] are not supported.");
    }
    if (!request.config_from || request.config_from->network.empty()) {
        return ok();
    }
    if (request.config_only) {
        return forbidden("a configuration network cannot depend on another configuration network");
    }
    const Ipam ipam = request.ipam.value_or(Ipam());
    const bool has_ipam = !is_default_driver(ipam) || !ipam.options.value_or(StringMap()).empty() ||
                          !ipam.config.empty();
    if (has_ipam || !request.enable_ipv4.value_or(true) || request.enable_ipv6.value_or(false) ||
        !request.labels.empty()) {
        return forbidden(
            "user-specified configurations are not supported if the network depends on a "
            "configuration network");
    }
    if (!request.options.empty()) {
        return forbidden(
            "network driver options are not supported if the network depends on a configuration "
            "network");
    }
    return ok();
}

// An option given as a driver option, which the field of the request overrules.
Result<bool> family_is_enabled(
    NetworkInspect& network, const std::optional<bool>& field, std::string_view name, bool usual) {
    const std::string key(name);
    if (field) {
        network.options.erase(key);
        return *field;
    }
    const auto found = network.options.find(key);
    if (found == network.options.end()) {
        return usual;
    }
    auto value = parse_go_bool(found->second);
    if (!value.ok()) {
        return invalid_argument("driver-opt \"" + key + "\" is not a valid bool");
    }
    return *value;
}

bool has_pool(const NetworkInspect& network, bool v4) {
    return std::ranges::any_of(network.ipam.config, [v4](const IpamPool& pool) {
        return (pool.subnet.find(':') == std::string::npos) == v4;
    });
}

} // namespace

bool is_predefined_network(const std::string& name) {
    return name == "bridge" || name == "host" || name == "none" || name == "default";
}

void NetworkRegistry::add(KnownNetwork network) {
    auto known = std::make_shared<const KnownNetwork>(std::move(network));
    auto tables = tables_.lock();
    tables->by_id[known->info.id] = known;
    tables->by_name[known->info.name] = known;
}

Result<KnownNetworkPtr> NetworkRegistry::find(const std::string& text) const {
    auto tables = tables_.lock();
    if (const auto found = tables->by_id.find(text); found != tables->by_id.end()) {
        return found->second;
    }
    if (const auto found = tables->by_name.find(text); found != tables->by_name.end()) {
        return found->second;
    }
    const auto first = tables->by_id.lower_bound(text);
    if (text.empty() || first == tables->by_id.end() || !first->first.starts_with(text)) {
        return not_found("network " + text + " not found");
    }
    std::size_t matches = 0;
    for (auto next = first; next != tables->by_id.end() && next->first.starts_with(text); ++next) {
        ++matches;
    }
    if (matches > 1) {
        return invalid_argument(
            "network " + text + " is ambiguous (" + std::to_string(matches) +
            " matches found based on ID prefix)");
    }
    return first->second;
}

std::vector<KnownNetworkPtr> NetworkRegistry::all() const {
    std::vector<KnownNetworkPtr> networks;
    auto tables = tables_.lock();
    for (const auto& [name, network] : tables->by_name) {
        networks.push_back(network);
    }
    return networks;
}

Result<void> NetworkRegistry::apply_config_from(NetworkInspect& network) const {
    auto found = find(network.config_from.network);
    if (!found.ok() || !(*found)->info.config_only) {
        return not_found(
            "configuration network \"" + network.config_from.network + "\" does not exist");
    }
    const NetworkInspect& from = (*found)->info;
    network.config_from.network = from.name;
    network.enable_ipv4 = from.enable_ipv4;
    network.enable_ipv6 = from.enable_ipv6;
    network.ipam = from.ipam;
    network.options = from.options;
    network.labels = from.labels;
    return ok();
}

Result<NetworkInspect> NetworkRegistry::define(const NetworkCreate& request) const {
    TRY(check_name(request.name));
    TRY(check_driver(request.driver));
    TRY(check_config_only(request));
    if (!request.scope.empty() && request.scope != "local") {
        return invalid_argument(
            "invalid network scope \"" + request.scope + "\": this engine has local networks only");
    }
    if (request.ingress) {
        return forbidden("ingress network only supported in swarm mode");
    }
    NetworkInspect network;
    network.name = request.name;
    const std::string driver = request.driver.empty() ? "bridge" : request.driver;
    network.driver = request.config_only ? "null" : driver;
    network.options = request.options;
    network.config_from = request.config_from.value_or(ConfigFrom());
    const bool is_copy = !network.config_from.network.empty();
    const auto defaults = config_.default_network_options.find(network.driver);
    if (!is_copy && defaults != config_.default_network_options.end()) {
        network.options.insert(defaults->second.begin(), defaults->second.end());
    }
    network.enable_ipv4 = TRY(
        family_is_enabled(network, request.enable_ipv4, "com.docker.network.enable_ipv4", true));
    network.enable_ipv6 = TRY(
        family_is_enabled(network, request.enable_ipv6, "com.docker.network.enable_ipv6", false));
    network.ipam = request.ipam.value_or(Ipam());
    TRY(check_ipam(network.ipam.config, network.enable_ipv6));
    // It has no addresses to give, and every network of the engine's own wants some.
    if (network.ipam.driver == "null") {
        return invalid_argument(
            network.ipam.config.empty()
                ? std::string(network.enable_ipv4 ? "ipv4" : "ipv6") + " pool is empty"
                : "null ipam driver does not handle specific address pool requests");
    }
    if (!is_default_driver(network.ipam)) {
        return not_found("ipam driver \"" + network.ipam.driver + "\" not found");
    }
    network.ipam.driver = Ipam().driver;
    // As an inspect shows them: IPv4 first.
    std::ranges::stable_sort(network.ipam.config, {}, [](const IpamPool& pool) {
        return pool.subnet.find(':') != std::string::npos;
    });
    network.internal = request.internal;
    network.attachable = request.attachable;
    network.config_only = request.config_only;
    network.labels = request.labels;
    if (is_copy) {
        TRY(apply_config_from(network));
    }
    TRY(check_own_options(network));
    TRY(check_interface_prefix(network.options));
    if (is_cni_driver(network.driver)) {
        TRY(check_cni_network(network));
    }
    if (!network.enable_ipv4 && !network.enable_ipv6) {
        return invalid_argument("IPv4 or IPv6 must be enabled");
    }
    return network;
}

Result<void> NetworkRegistry::choose_subnets(NetworkInspect& network) {
    if (is_cni_driver(network.driver)) {
        return ok();
    }
    const auto choose = [&](kernel::IpFamily family) -> Result<void> {
        const bool has_gateway = TRY(has_usual_gateway(network, family));
        const kernel::IpPrefix subnet = TRY(driver_->pick_subnet(family));
        network.ipam.config.push_back(
            {.subnet = subnet.to_string(),
             .ip_range = {},
             .gateway = has_gateway ? network::successor(subnet.address).to_string() : "",
             .aux_addresses = {}});
        return ok();
    };
    if (network.enable_ipv4 && !has_pool(network, true)) {
        TRY(choose(kernel::IpFamily::V4));
        network.subnet_v4_is_chosen = true;
    }
    if (network.enable_ipv6 && !has_pool(network, false)) {
        TRY(choose(kernel::IpFamily::V6));
        network.subnet_v6_is_chosen = true;
    }
    return ok();
}

Result<std::shared_ptr<network::Network>> NetworkRegistry::make(NetworkInspect& info) {
    if (is_sublink_driver(info.driver)) {
        // Without a parent there is no way out.
        info.internal = info.internal || option_or(info.options, parent_option, "").empty();
        const network::SublinkOptions options = TRY(sublink_options_of(info));
        return std::shared_ptr<network::Network>(TRY(driver_->create(options)));
    }
    if (is_cni_driver(info.driver)) {
        return std::shared_ptr<network::Network>(
            TRY(driver_->create(cni_options_of(info, config_))));
    }
    const network::BridgeOptions options = TRY(bridge_options_of(info));
    if (driver_->find(options.name) != nullptr) {
        return forbidden(
            "cannot create network " + info.id + " (" + options.name +
            "): conflicts with another network: networks have same bridge name");
    }
    return std::shared_ptr<network::Network>(TRY(driver_->create(options)));
}

Result<KnownNetworkPtr> NetworkRegistry::create(const NetworkCreate& request) {
    const std::lock_guard changing(changing_);
    NetworkInspect info = TRY(define(request));
    if (tables_.lock()->by_name.contains(info.name)) {
        return conflict("network with name " + info.name + " already exists");
    }
    info.id = random_hex(32);
    info.created = Timestamp::now();
    std::shared_ptr<network::Network> made;
    if (!info.config_only) {
        TRY(choose_subnets(info));
        made = TRY(make(info));
    }
    Result<void> written = table_.insert(info);
    if (!written.ok()) {
        if (made) {
            auto removed = driver_->remove(made->name());
            if (!removed.ok()) {
                log::warn("half made network not removed, ignoring", {{"network", info.name}});
            }
        }
        return std::move(written).error();
    }
    add({.info = info, .network = std::move(made)});
    return find(info.id);
}

Result<void> NetworkRegistry::remove(const KnownNetworkPtr& network) {
    const std::lock_guard changing(changing_);
    const NetworkInspect& info = network->info;
    if (network->is_predefined) {
        return forbidden(info.name + " is a pre-defined network and cannot be removed");
    }
    if (!find(info.id).ok()) {
        return not_found("network " + info.name + " not found");
    }
    if (info.config_only) {
        for (const KnownNetworkPtr& other : all()) {
            if (other->info.config_from.network == info.name) {
                return forbidden("configuration network \"" + info.name + "\" is in use");
            }
        }
    }
    if (network->network) {
        TRY(driver_->remove(network->network->name()));
    }
    // An engine that dies here finds the row and makes the network again.
    TRY(table_.remove(info.name));
    auto tables = tables_.lock();
    tables->by_id.erase(info.id);
    tables->by_name.erase(info.name);
    return ok();
}

} // namespace berth::engine
