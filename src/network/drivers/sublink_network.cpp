// SPDX-License-Identifier: Apache-2.0
// Interfaces on a parent, made within the container's namespace at once.
#include "network/drivers/sublink_network.h"

#include "base/log.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "base/verify.h"
#include "kernel/netlink_namespace.h"
#include "network/address_arithmetic.h"
#include "network/drivers/endpoint_interface.h"

#include <linux/if_link.h>

#include <cerrno>

#include <fcntl.h>

namespace berth::network {
namespace {

using kernel::LinkState;
using kernel::NewLink;
using kernel::RouteBatch;
using kernel::RouteSocket;

constexpr std::uint16_t largest_vlan = 4094;

std::uint32_t macvlan_mode(SublinkMode mode) {
    switch (mode) {
    case SublinkMode::Private:
        return MACVLAN_MODE_PRIVATE;
    case SublinkMode::Vepa:
        return MACVLAN_MODE_VEPA;
    case SublinkMode::Passthru:
        return MACVLAN_MODE_PASSTHRU;
    case SublinkMode::Bridge:
    case SublinkMode::L2:
    case SublinkMode::L3:
    case SublinkMode::L3s:
        return MACVLAN_MODE_BRIDGE;
    }
    VERIFY(false);
}

std::uint16_t ipvlan_mode(SublinkMode mode) {
    if (mode == SublinkMode::L3) {
        return IPVLAN_MODE_L3;
    }
    return mode == SublinkMode::L3s ? IPVLAN_MODE_L3S : IPVLAN_MODE_L2;
}

std::uint16_t ipvlan_flags(IpvlanFlag flag) {
    switch (flag) {
    case IpvlanFlag::Bridge:
        return 0;
    case IpvlanFlag::Private:
        return IPVLAN_F_PRIVATE;
    case IpvlanFlag::Vepa:
        return IPVLAN_F_VEPA;
    }
    VERIFY(false);
}

bool is_layer3(const SublinkOptions& options) {
    return options.mode == SublinkMode::L3 || options.mode == SublinkMode::L3s;
}

// "eth0.10"
struct VlanName {
    std::string parent;
    std::uint16_t id = 0;
};

std::optional<VlanName> parse_vlan_name(const std::string& name) {
    const std::optional<Cut> parts = cut_last(name, ".");
    if (!parts || parts->before.empty()) {
        return std::nullopt;
    }
    const Result<std::uint16_t> id = parse_number<std::uint16_t>(parts->after);
    if (!id.ok() || *id == 0 || *id > largest_vlan) {
        return std::nullopt;
    }
    return VlanName{std::string(parts->before), *id};
}

// A parent that leads nowhere.
Result<void> make_lone_parent(RouteSocket& host, const std::string& name) {
    RouteBatch batch;
    batch.add_link({.name = name, .kind = "dummy"});
    const Result<void> made = host.execute(batch);
    if (!made.ok() && made.error().error_number() == EOPNOTSUPP) {
        return not_implemented(
            "this kernel has no dummy interfaces: a macvlan or ipvlan network needs a parent "
            "(-o parent=eth0)");
    }
    return made;
}

Result<void> make_vlan_parent(RouteSocket& host, const std::string& name) {
    const std::optional<VlanName> vlan = parse_vlan_name(name);
    std::optional<kernel::Link> parent;
    if (vlan) {
        parent = TRY(host.find_link(vlan->parent));
    }
    if (!parent) {
        return invalid_argument(
            "invalid subinterface vlan name " + name + ", example formatting is eth0.10");
    }
    RouteBatch batch;
    batch.add_link({.name = name, .kind = "vlan", .parent = parent->index, .vlan_id = vlan->id});
    return host.execute(batch);
}

} // namespace

Result<SublinkNetwork::Parent>
SublinkNetwork::ensure_parent(DriverParts& parts, const SublinkOptions& options) {
    const std::string& name = options.parent.empty() ? options.name : options.parent;
    auto host = parts.host.lock();
    std::optional<kernel::Link> link = TRY(host->find_link(name));
    if (!link) {
        TRY(options.parent.empty() ? make_lone_parent(*host, name) : make_vlan_parent(*host, name));
        RouteBatch label;
        label.change_link(name, {.state = LinkState::Up, .alias = parts.owner});
        TRY(host->execute(label));
        link = TRY(host->find_link(name));
    }
    if (!link) {
        return internal_error("the interface " + name + " vanished while it was made");
    }
    return Parent{.index = link->index, .mtu = link->mtu, .ours = link->alias == parts.owner};
}

Result<SublinkNetwork::Members> SublinkNetwork::make_members(const SublinkOptions& options) {
    Members members;
    if (options.subnet.length != 0) {
        members.v4 =
            TRY(AddressPool::create(options.subnet, options.ip_range, options.description));
        TRY(members.v4->reserve(*options.gateway));
    }
    if (options.subnet_v6) {
        members.v6 =
            TRY(AddressPool::create(*options.subnet_v6, options.ip_range_v6, options.description));
        TRY(members.v6->reserve(*options.gateway_v6));
    }
    for (const IpAddress& address : options.reserved) {
        std::optional<AddressPool>& pool = address.is_v4() ? members.v4 : members.v6;
        if (!pool) {
            return invalid_argument(
                "no configured subnet contains IP address " + address.to_string());
        }
        TRY(pool->reserve(address));
    }
    return members;
}

Result<std::shared_ptr<SublinkNetwork>> SublinkNetwork::create(
    std::shared_ptr<DriverParts> parts,
    const SublinkOptions& options,
    const std::vector<EndpointRecord>& known) {
    SublinkOptions resolved = options;
    if (options.subnet.length != 0 && !options.gateway) {
        resolved.gateway = successor(options.subnet.network().address);
    }
    if (options.subnet_v6 && !options.gateway_v6) {
        resolved.gateway_v6 = successor(options.subnet_v6->network().address);
    }
    Members members = TRY(make_members(resolved));
    for (const EndpointRecord& endpoint : known) {
        Live live{.v6 = endpoint.ip_v6, .mac = endpoint.mac};
        if (members.v4 && members.v4->reserve(endpoint.ip).ok()) {
            live.v4 = endpoint.ip;
        }
        if (members.v6 && endpoint.ip_v6) {
            static_cast<void>(members.v6->reserve(*endpoint.ip_v6).ok());
        }
        members.endpoints.emplace(endpoint.id, std::move(live));
    }
    const Parent parent = TRY(ensure_parent(*parts, resolved));
    resolved.internal = resolved.internal || resolved.parent.empty();
    resolved.mtu = resolved.mtu == 0 ? parent.mtu : resolved.mtu;
    std::shared_ptr<SublinkNetwork> network(
        new SublinkNetwork(std::move(parts), std::move(resolved), parent));
    *network->members_.lock() = std::move(members);
    return network;
}

Result<void> SublinkNetwork::enroll(const EndpointRequest& request) {
    auto members = members_.lock();
    if (members->removed) {
        return not_found("network " + options_.name + " not found");
    }
    if (members->endpoints.contains(request.id)) {
        return conflict(
            "endpoint with name " + request.container_name + " already exists in network " +
            options_.name);
    }
    if (options_.mode == SublinkMode::Passthru && !members->endpoints.empty()) {
        return conflict(
            "a macvlan network in passthru mode has one container, and has it: the parent "
            "interface is its own");
    }
    Live live;
    live.v4 = TRY(give_address(members->v4, request.ip));
    if (!request.disable_ipv6) {
        Result<std::optional<IpAddress>> v6 = give_address(members->v6, request.ip_v6);
        if (!v6.ok()) {
            if (live.v4) {
                members->v4->release(*live.v4);
            }
            return std::move(v6).error();
        }
        live.v6 = *v6;
    }
    live.interface_name = request.interface_name;
    members->endpoints.emplace(request.id, std::move(live));
    return ok();
}

void SublinkNetwork::strike_off(const std::string& endpoint_id) {
    auto members = members_.lock();
    const auto found = members->endpoints.find(endpoint_id);
    if (found == members->endpoints.end()) {
        return;
    }
    if (found->second.v4) {
        members->v4->release(*found->second.v4);
    }
    if (found->second.v6) {
        members->v6->release(*found->second.v6);
    }
    members->endpoints.erase(found);
}

Endpoint SublinkNetwork::endpoint_of(const EndpointRequest& request) const {
    Endpoint endpoint;
    endpoint.id = request.id;
    endpoint.interface_name = request.interface_name;
    // Nothing of it is on the host; the parent's name tells the books that it is wired.
    endpoint.host_interface = options_.parent.empty() ? options_.name : options_.parent;
    auto members = members_.lock();
    const Live& live = members->endpoints.at(request.id);
    const bool has_gateway = !options_.internal && !is_layer3(options_);
    if (live.v4) {
        endpoint.ip = *live.v4;
        endpoint.prefix_length = options_.subnet.length;
        endpoint.gateway = has_gateway ? *options_.gateway : IpAddress();
    }
    if (live.v6) {
        endpoint.ip_v6 = live.v6;
        endpoint.prefix_length_v6 = options_.subnet_v6->length;
        endpoint.gateway_v6 = has_gateway ? options_.gateway_v6 : std::nullopt;
    }
    endpoint.mac =
        request.mac.value_or(live.v4 ? MacAddress::for_address(*live.v4) : MacAddress::random());
    return endpoint;
}

Result<Endpoint> SublinkNetwork::wire(const EndpointRequest& request) {
    Endpoint endpoint = endpoint_of(request);
    UniqueFd made;
    if (request.netns == nullptr) {
        made = std::move(TRY(parts_->pool->take(NamespaceTemplate{})).netns);
    }
    const FdRef netns = request.netns != nullptr ? FdRef(*request.netns) : FdRef(made);
    NewLink link{
        .name = request.interface_name,
        .kind = options_.kind == SublinkKind::Macvlan ? "macvlan" : "ipvlan",
        .parent = parent_.index,
        .netns = netns,
        .mtu = options_.mtu};
    if (options_.kind == SublinkKind::Macvlan) {
        link.mac = endpoint.mac;
        link.macvlan_mode = macvlan_mode(options_.mode);
    } else {
        link.ipvlan_mode = ipvlan_mode(options_.mode);
        link.ipvlan_flags = ipvlan_flags(options_.flag);
    }
    RouteBatch batch;
    batch.add_link(link);
    TRY(parts_->host.lock()->execute(batch));
    std::optional<RouteSocket> inside;
    {
        const auto scope = TRY(kernel::NetworkNamespaceScope::enter(netns));
        inside = TRY(RouteSocket::open());
    }
    const std::optional<kernel::Link> there = TRY(inside->find_link(request.interface_name));
    if (!there) {
        return internal_error("the interface " + link.name + " vanished while it was made");
    }
    endpoint.mac = there->mac; // ipvlan and passthru: the parent's
    Rollback rollback;
    rollback.push([&] {
        RouteBatch undo;
        undo.delete_link(there->index);
        static_cast<void>(inside->execute(undo).ok());
    });
    TRY(configure_interface(
        {.inside = *inside, .netns = netns, .index = there->index, .form = InterfaceForm::Down},
        request,
        endpoint));
    if (is_layer3(options_) && !options_.internal && request.default_route) {
        RouteBatch route; // there are no neighbours to ask: the interface alone
        route.add_route({.destination = {}, .output_index = there->index});
        TRY(inside->execute(route));
    }
    UniqueFd kept(TRY(request.netns != nullptr ? request.netns->duplicate() : made.duplicate()));
    rollback.commit();
    auto members = members_.lock();
    Live& live = members->endpoints.at(request.id);
    live.netns = std::move(kept);
    live.mac = endpoint.mac;
    endpoint.netns = std::move(made);
    return endpoint;
}

Result<Endpoint> SublinkNetwork::connect(const EndpointRequest& request) {
    TRY(enroll(request));
    Result<Endpoint> endpoint = wire(request);
    if (!endpoint.ok()) {
        strike_off(request.id);
    }
    return endpoint;
}

Result<void> SublinkNetwork::disconnect(const std::string& endpoint_id, Detach /*detach*/) {
    UniqueFd netns;
    std::string interface_name;
    {
        auto members = members_.lock();
        const auto found = members->endpoints.find(endpoint_id);
        if (found == members->endpoints.end()) {
            return not_found("endpoint " + endpoint_id + " not found");
        }
        netns = std::move(found->second.netns);
        interface_name = found->second.interface_name;
    }
    if (netns) {
        const auto scope = TRY(kernel::NetworkNamespaceScope::enter(netns));
        RouteSocket inside = TRY(RouteSocket::open());
        const std::optional<kernel::Link> link = TRY(inside.find_link(interface_name));
        if (link) {
            RouteBatch batch;
            batch.delete_link(link->index);
            TRY(inside.execute(batch));
        }
    }
    strike_off(endpoint_id);
    return ok();
}

void SublinkNetwork::adopt(
    const std::string& endpoint_id, FdRef netns, const std::string& interface) {
    auto members = members_.lock();
    const auto found = members->endpoints.find(endpoint_id);
    if (found != members->endpoints.end() && !found->second.netns) {
        found->second.netns = UniqueFd(::fcntl(netns.get(), F_DUPFD_CLOEXEC, 3));
        found->second.interface_name = interface;
    }
}

Result<std::vector<BoundPort>> SublinkNetwork::publish(
    const std::string& /*endpoint_id*/, const std::vector<PortRequest>& /*ports*/) {
    return not_implemented(
        "ports cannot be published in a macvlan or ipvlan network: its containers are on the "
        "parent's network themselves");
}

Result<void> SublinkNetwork::unpublish(
    const std::string& /*endpoint_id*/, const std::vector<BoundPort>& /*ports*/) {
    return ok();
}

Result<void> SublinkNetwork::close() {
    auto members = members_.lock();
    if (!members->endpoints.empty()) {
        return Error(
            ErrorKind::Forbidden,
            "error while removing network: network " + options_.description +
                " has active endpoints");
    }
    members->removed = true;
    return ok();
}

void SublinkNetwork::tear_down() {
    members_.lock()->removed = true;
    if (parent_.ours) {
        parts_->reaper->discard(parent_.index);
    }
}

} // namespace berth::network
