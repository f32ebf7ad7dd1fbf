// SPDX-License-Identifier: Apache-2.0
// One engine's networks: start, restore, create, remove.
#include "network/network_driver.h"

#include "base/log.h"
#include "base/rollback.h"
#include "network/bridge.h"
#include "network/bridge_watch.h"
#include "network/drivers/bridge_network_state.h"
#include "network/name_claim.h"

#include <algorithm>
#include <mutex>
#include <set>

namespace berth::network {

using NetworkMap = std::map<std::string, std::shared_ptr<BridgeNetwork>>;
using SublinkMap = std::map<std::string, std::shared_ptr<SublinkNetwork>>;
using CniMap = std::map<std::string, std::shared_ptr<CniNetwork>>;

struct NetworkDriver::State {
    std::shared_ptr<DriverParts> parts;
    NamespacePool::ShelfId isolated_shelf = 0;
    Synchronized<NetworkMap> networks{};
    Synchronized<SublinkMap> sublinks{};
    Synchronized<CniMap> cnis{};
    // One network is made or removed at a time; look-ups do not wait for it.
    std::mutex changing{};
    // REQUIRES for these two: changing is held.
    SubnetPools subnets;
    std::map<std::string, std::string> unhealed{}; // networks without a bridge, and why
    std::unique_ptr<BridgeWatch> watch{};          // ends before all that it heals

    // All or none.
    Result<void> take_subnets(const std::vector<Subnet>& wanted) {
        Rollback rollback;
        for (const Subnet& subnet : wanted) {
            TRY(subnets.take(subnet.prefix));
            rollback.push([this, &subnet] { subnets.give_back(subnet.prefix); });
        }
        rollback.commit();
        return ok();
    }

    void give_back_subnets(const std::vector<Subnet>& taken) {
        for (const Subnet& subnet : taken) {
            subnets.give_back(subnet.prefix);
        }
    }

    Result<std::shared_ptr<SublinkNetwork>>
    make_sublink(const SublinkOptions& options, const std::vector<EndpointRecord>& known = {}) {
        TRY(take_subnets(options.subnets));
        auto made = SublinkNetwork::create(parts, options, known);
        if (!made.ok()) {
            give_back_subnets(options.subnets);
            return made;
        }
        if ((*made)->has_made_parent()) {
            parts->links.lock()->all.insert((*made)->parent_index());
        }
        sublinks.lock()->insert_or_assign(options.name, *made);
        return made;
    }

    bool is_parent(int link) const {
        auto guard = sublinks.lock();
        return std::ranges::any_of(
            *guard, [link](const auto& entry) { return entry.second->parent_index() == link; });
    }

    Result<void> remove_sublink(const std::shared_ptr<SublinkNetwork>& network) {
        TRY(network->close());
        sublinks.lock()->erase(network->name());
        const bool is_shared = is_parent(network->parent_index());
        network->tear_down(is_shared ? ParentUse::Shared : ParentUse::Last);
        if (network->has_made_parent() && !is_shared) {
            parts->links.lock()->former.push_back(network->parent_index());
        }
        give_back_subnets(network->options().subnets);
        return ok();
    }

    Result<void> remove_cni(const std::shared_ptr<CniNetwork>& network) {
        TRY(network->close());
        network->tear_down();
        cnis.lock()->erase(network->name());
        return ok();
    }

    // What of the networks' bridges and what joins them has gone is made again. False: something
    // could not be.
    bool heal(const kernel::LinkNews& news);

    void abandon_unknown(const std::vector<NetworkRecord>& records);
    Result<void> restore(const std::vector<NetworkRecord>& records);
    Result<void> restore_one(const NetworkRecord& record, const HostLinks& found);
};

namespace {

std::string name_of(const NetworkRecord& record) {
    if (record.cni) {
        return record.cni->name;
    }
    return record.sublink ? record.sublink->name : record.options.name;
}

// moby's macvlan and ipvlan drivers (createNetwork), each of which knows its own networks alone.
Result<void> check_parent(const SublinkOptions& options, const SublinkMap& others) {
    const std::string& parent = parent_name(options);
    for (const auto& [name, other] : others) {
        const SublinkOptions& had = other->options();
        if (had.kind != options.kind || parent_name(had) != parent) {
            continue;
        }
        if (options.kind == SublinkKind::Ipvlan) {
            return Error(
                ErrorKind::Forbidden,
                "network " + name + " is already using parent interface " + parent);
        }
        const std::string taken =
            "macvlan network " + had.id + " is already using parent interface " + parent;
        if (options.mode == SublinkMode::Passthru) {
            return Error(ErrorKind::Forbidden, "cannot use mode passthru, " + taken);
        }
        if (had.mode == SublinkMode::Passthru) {
            return Error(ErrorKind::Forbidden, taken + " in mode passthru");
        }
    }
    return ok();
}

template <class Map>
typename Map::mapped_type find_in(const Synchronized<Map>& networks, const std::string& name) {
    auto guard = networks.lock();
    const auto found = guard->find(name);
    return found == guard->end() ? nullptr : found->second;
}

Result<std::shared_ptr<DriverParts>> start_parts(const NetworkDriver::Options& options) {
    UniqueFd claim = TRY(claim_name("table", options.table));
    Firewall firewall = TRY(Firewall::open(options.table, options.firewall));
    std::unique_ptr<NamespacePool> pool =
        TRY(NamespacePool::start(options.sysctls, options.loose_pool_size));
    std::unique_ptr<InterfaceReaper> reaper = TRY(InterfaceReaper::start());
    kernel::RouteSocket host = TRY(kernel::RouteSocket::open());
    FlowShortcut flows = FlowShortcut::start();
    const ShortcutHooks hooks = flows.hooks();
    std::shared_ptr<DriverParts> parts(new DriverParts{
        .owner = "berth:" + options.table,
        .flows = std::move(flows),
        .shortcut = BridgeShortcut::open(hooks),
        .loopback = LoopbackShortcut::open(),
        .firewall = std::move(firewall),
        .pool = std::move(pool),
        .reaper = std::move(reaper),
        .host = Synchronized<kernel::RouteSocket>(std::move(host)),
        .table_claim = std::move(claim),
        .relays_ports = options.relays_ports,
        .families = options.firewall.families,
        .cni = std::make_shared<CniAttachments>(options.cni),
    });
    parts->flows.set_busy_program(parts->shortcut.take_busy_program());
    return parts;
}

} // namespace

NetworkDriver::NetworkDriver(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

NetworkDriver::~NetworkDriver() = default;

Result<void>
NetworkDriver::State::restore_one(const NetworkRecord& record, const HostLinks& found) {
    if (record.sublink) {
        TRY(make_sublink(*record.sublink, record.endpoints));
        return ok();
    }
    if (record.cni) {
        auto made = TRY(CniNetwork::restore(parts, *record.cni, record.endpoints));
        cnis.lock()->insert_or_assign(record.cni->name, std::move(made));
        return ok();
    }
    TRY(take_subnets(subnets_of(record.options)));
    auto made = BridgeNetworkState::create(parts, record.options, record.endpoints, &found);
    if (!made.ok()) {
        give_back_subnets(subnets_of(record.options));
        return std::move(made).error();
    }
    std::unique_ptr<BridgeNetworkState> network = std::move(made).value();
    for (const EndpointRecord& endpoint : record.endpoints) {
        network->restore(endpoint, found);
    }
    if (network->is_torn(found)) {
        const Result<void> healed = network->heal();
        if (!healed.ok()) {
            log::error(
                "containers of a network are cut off, ignoring",
                {{"bridge", record.options.name}, {"error", healed.error().message()}});
        }
    }
    parts->links.lock()->all.insert(network->bridge.index);
    networks.lock()->insert_or_assign(
        record.options.name, std::shared_ptr<BridgeNetwork>(new BridgeNetwork(std::move(network))));
    return ok();
}

bool NetworkDriver::State::heal(const kernel::LinkNews& news) {
    const std::lock_guard guard(changing);
    const NetworkMap known = *networks.lock();
    std::erase_if(unhealed, [&](const auto& entry) { return !known.contains(entry.first); });
    for (const auto& [name, network] : known) {
        const bool is_hit = news.incomplete || network->state_->has_lost(news.removed);
        const auto before = unhealed.find(name);
        if (!is_hit && before == unhealed.end()) {
            continue;
        }
        const Result<void> healed = network->state_->heal();
        if (healed.ok()) {
            unhealed.erase(name);
            continue;
        }
        const std::string& why = healed.error().message();
        if (before == unhealed.end() || before->second != why) {
            log::error("a network's containers are cut off", {{"bridge", name}, {"error", why}});
        }
        unhealed.insert_or_assign(name, why);
    }
    return unhealed.empty();
}

// Attachments of containers that have ended, or that were never told of.
void NetworkDriver::State::abandon_unknown(const std::vector<NetworkRecord>& records) {
    std::set<std::string> known;
    for (const NetworkRecord& record : records) {
        for (const EndpointRecord& endpoint : record.endpoints) {
            known.insert(endpoint.id);
        }
    }
    for (const std::string& id : parts->cni->ids()) {
        if (!known.contains(id)) {
            parts->cni->abandon(id);
        }
    }
}

Result<void> NetworkDriver::State::restore(const std::vector<NetworkRecord>& records) {
    std::vector<kernel::Link> there = TRY(parts->host.lock()->links());
    const HostLinks found(std::move(there), TRY(parts->host.lock()->addresses()));
    for (const NetworkRecord& record : records) {
        Result<void> restored = restore_one(record, found);
        if (restored.ok()) {
            continue;
        }
        Error error = std::move(restored).error().with_context("network " + name_of(record));
        if (!record.is_optional) {
            return error;
        }
        log::error("network cannot be made again, ignoring", {{"error", error.message()}});
    }
    const std::set<int> own = parts->links.lock()->all;
    for (const kernel::Link& link : found.all) {
        const bool is_first = link.alias == parts->owner && !own.contains(link.index);
        const bool is_further = link.alias.starts_with(BridgePorts::label(parts->owner, "")) &&
                                !networks.lock()->contains(
                                    link.alias.substr(BridgePorts::label(parts->owner, "").size()));
        // Made by an engine that was killed before it could write down or tell.
        if (is_first || is_further) {
            log::info("removing a network's interface that nobody knows", {{"name", link.name}});
            if (link.kind == "bridge") {
                parts->reaper->discard_bridge(link.index);
            } else {
                parts->reaper->discard(link.index);
            }
        }
    }
    return ok();
}

Result<std::unique_ptr<NetworkDriver>> NetworkDriver::start(const Options& options) {
    std::shared_ptr<DriverParts> parts = TRY(start_parts(options));
    // Before the networks are looked for: what goes from here on is heard of.
    kernel::LinkWatch links = TRY(kernel::LinkWatch::open());
    SubnetPools subnets = TRY(SubnetPools::create(options.subnet_pools));
    std::unique_ptr<State> state(
        new State{.parts = std::move(parts), .subnets = std::move(subnets)});
    TRY(state->restore(options.networks));
    state->parts->firewall.when_others_change([&parts = *state->parts](const ForeignRules& rules) {
        parts.shortcut.heed(rules);
        parts.flows.heed(rules);
    });
    state->abandon_unknown(options.networks);
    TRY(state->parts->firewall.rebuild());
    state->isolated_shelf = state->parts->pool->add_shelf({}, options.isolated_pool_size);
    state->watch =
        TRY(BridgeWatch::start(std::move(links), [raw = state.get()](const kernel::LinkNews& news) {
            return raw->heal(news);
        }));
    return std::unique_ptr<NetworkDriver>(new NetworkDriver(std::move(state)));
}

Result<std::shared_ptr<BridgeNetwork>> NetworkDriver::create(const BridgeOptions& options) {
    const std::lock_guard changing(state_->changing);
    if (find(options.name)) {
        return conflict("network with name " + options.name + " already exists");
    }
    TRY(state_->take_subnets(subnets_of(options)));
    const auto left = state_->parts->host.lock()->find_link(options.name);
    if (left.ok() && *left && (*left)->alias == state_->parts->owner) {
        // A network with this bridge has just been removed; the bridge is on its way out.
        state_->parts->reaper->finish_bridge((*left)->index);
    }
    auto made = BridgeNetworkState::create(state_->parts, options);
    if (!made.ok()) {
        state_->give_back_subnets(subnets_of(options));
        return std::move(made).error();
    }
    state_->parts->links.lock()->all.insert((*made)->bridge.index);
    std::shared_ptr<BridgeNetwork> network(new BridgeNetwork(std::move(made).value()));
    state_->networks.lock()->emplace(options.name, network);
    return network;
}

Result<std::shared_ptr<SublinkNetwork>> NetworkDriver::create(const SublinkOptions& options) {
    const std::lock_guard changing(state_->changing);
    if (find(options.name)) {
        return conflict("network with name " + options.name + " already exists");
    }
    TRY(check_parent(options, *state_->sublinks.lock()));
    const auto left = state_->parts->host.lock()->find_link(parent_name(options));
    if (left.ok() && *left && SublinkNetwork::is_made_parent(**left, state_->parts->owner) &&
        !state_->is_parent((*left)->index)) {
        // The last network on this parent has just been removed; the parent is on its way out.
        state_->parts->reaper->finish();
    }
    return state_->make_sublink(options);
}

Result<std::shared_ptr<CniNetwork>> NetworkDriver::create(const CniOptions& options) {
    const std::lock_guard changing(state_->changing);
    if (find(options.name)) {
        return conflict("network with name " + options.name + " already exists");
    }
    auto made = TRY(CniNetwork::create(state_->parts, options));
    state_->cnis.lock()->emplace(options.name, made);
    return made;
}

std::shared_ptr<Network> NetworkDriver::find(const std::string& name) const {
    if (auto found = find_in(state_->cnis, name)) {
        return found;
    }
    if (auto found = find_in(state_->sublinks, name)) {
        return found;
    }
    return find_in(state_->networks, name);
}

Result<void> NetworkDriver::remove(const std::string& name) {
    const std::lock_guard changing(state_->changing);
    if (const auto sublink = find_in(state_->sublinks, name)) {
        return state_->remove_sublink(sublink);
    }
    if (const auto cni = find_in(state_->cnis, name)) {
        return state_->remove_cni(cni);
    }
    const std::shared_ptr<BridgeNetwork> network = find_in(state_->networks, name);
    if (!network) {
        return not_found("network " + name + " not found");
    }
    TRY(network->state_->close());
    TRY(network->state_->tear_down());
    state_->networks.lock()->erase(name);
    state_->parts->links.lock()->former.push_back(network->state_->bridge.index);
    state_->give_back_subnets(subnets_of(network->options()));
    return ok();
}

Result<UniqueFd> NetworkDriver::create_isolated_namespace() {
    return std::move(TRY(state_->parts->pool->take(state_->isolated_shelf)).netns);
}

Result<void> NetworkDriver::set_up_namespace(
    FdRef netns, const std::vector<std::pair<std::string, std::string>>& other) const {
    return state_->parts->pool->set_up(netns, other);
}

Result<IpPrefix> NetworkDriver::pick_subnet(kernel::IpFamily family) {
    const std::lock_guard changing(state_->changing);
    auto links = state_->parts->links.lock();
    auto picked = state_->subnets.pick(family, links->all, *state_->parts->host.lock());
    for (const int link : std::exchange(links->former, {})) {
        links->all.erase(link);
    }
    return picked;
}

Result<std::vector<std::string>> NetworkDriver::foreign_obstacles() const {
    return state_->parts->firewall.foreign_obstacles();
}

Result<void> NetworkDriver::remove_all() {
    const std::lock_guard changing(state_->changing);
    const NetworkMap networks = std::exchange(*state_->networks.lock(), {});
    for (const auto& [name, network] : networks) {
        const Result<void> removed = network->state_->tear_down();
        if (!removed.ok()) {
            log::debug(
                "cannot remove a network, ignoring",
                {{"network", name}, {"error", removed.error().message()}});
        }
    }
    const SublinkMap sublinks = std::exchange(*state_->sublinks.lock(), {});
    for (const auto& [name, network] : sublinks) {
        network->tear_down(ParentUse::Last);
    }
    const CniMap cnis = std::exchange(*state_->cnis.lock(), {});
    for (const auto& [name, network] : cnis) {
        network->tear_down();
    }
    state_->parts->reaper->finish();
    return state_->parts->firewall.remove();
}

void NetworkDriver::wait_until_removed() {
    state_->parts->cni->finish();
    state_->parts->reaper->finish();
}

} // namespace berth::network
