// SPDX-License-Identifier: Apache-2.0
// Interfaces on a parent, made within the container's namespace at once.
#include "network/drivers/sublink_network.h"

#include "base/log.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "base/verify.h"
#include "kernel/process.h"
#include "network/address_arithmetic.h"
#include "network/default_route.h"
#include "network/drivers/endpoint_interface.h"

#include <linux/if_link.h>

#include <cerrno>

namespace berth::network {
namespace {

using kernel::IpFamily;
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
    Result<void> made = host.execute(batch);
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

// The default routes of the families that the endpoint has an address of.
Result<void> add_interface_routes(
    RouteSocket& inside, int index, const EndpointRequest& request, const Endpoint& endpoint) {
    RouteBatch batch;
    const bool has_v4 = request.default_route && !endpoint.ip.is_unspecified();
    const bool has_v6 = request.default_route_v6 && endpoint.ip_v6;
    if (has_v4) {
        batch.add_route(interface_default_route(IpFamily::V4, index));
    }
    if (has_v6) {
        batch.add_route(interface_default_route(IpFamily::V6, index));
    }
    return has_v4 || has_v6 ? inside.execute(batch) : ok();
}

} // namespace

bool SublinkNetwork::leads_out_by_interface() const {
    return is_layer3(options_) && !options_.internal;
}

// moby's macvlan and ipvlan drivers (GetSkipGwAlloc).
bool has_usual_gateway(const SublinkOptions& options) {
    return !options.internal && !options.parent.empty() && !is_layer3(options);
}

const std::string& parent_name(const SublinkOptions& options) {
    return options.parent.empty() ? options.name : options.parent;
}

// A bridge of ours has the label, too, and may be a parent like any other interface of the host.
bool SublinkNetwork::is_made_parent(const kernel::Link& link, const std::string& owner) {
    return link.alias == owner && (link.kind == "vlan" || link.kind == "dummy");
}

Result<SublinkNetwork::Parent>
SublinkNetwork::ensure_parent(DriverParts& parts, const SublinkOptions& options) {
    if (options.parent == "lo") {
        const std::string kind = options.kind == SublinkKind::Macvlan ? "macvlan" : "ipvlan";
        return invalid_argument("loopback interface is not a valid " + kind + " parent link");
    }
    const std::string& name = parent_name(options);
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
    return Parent{
        .index = link->index, .mtu = link->mtu, .ours = is_made_parent(*link, parts.owner)};
}

Result<std::shared_ptr<SublinkNetwork>> SublinkNetwork::create(
    std::shared_ptr<DriverParts> parts,
    const SublinkOptions& options,
    const std::vector<EndpointRecord>& known) {
    SublinkOptions resolved = options;
    for (Subnet& subnet : resolved.subnets) {
        if (!subnet.gateway && has_usual_gateway(options)) {
            subnet.gateway = usual_gateway(subnet.prefix, subnet.range);
        }
    }
    Members members{
        .places = TRY(NetworkMembers::create(
            {.name = options.name,
             .description = options.description,
             .subnets = resolved.subnets,
             .reserved = options.reserved}))};
    for (const EndpointRecord& endpoint : known) {
        const Result<void> restored = members.places.restore(endpoint.id, addresses_of(endpoint));
        if (!restored.ok()) {
            log::debug(
                "cannot restore an endpoint's addresses, ignoring",
                {{"endpoint", endpoint.id}, {"error", restored.error().message()}});
        }
        members.endpoints.emplace(endpoint.id, Live());
    }
    const Parent parent = TRY(ensure_parent(*parts, resolved));
    resolved.internal = resolved.internal || resolved.parent.empty();
    resolved.mtu = resolved.mtu == 0 ? parent.mtu : resolved.mtu;
    return std::shared_ptr<SublinkNetwork>(
        new SublinkNetwork(std::move(parts), std::move(resolved), parent, std::move(members)));
}

Result<ContainerAddresses> SublinkNetwork::enroll(const EndpointRequest& request) {
    auto members = members_.lock();
    if (options_.mode == SublinkMode::Passthru && members->places.size() != 0) {
        return conflict(
            "a macvlan network in passthru mode has one container, and has it: the parent "
            "interface is its own");
    }
    return members->places.enroll(request);
}

Endpoint SublinkNetwork::endpoint_of(
    const EndpointRequest& request, const ContainerAddresses& addresses) const {
    Endpoint endpoint;
    endpoint.id = request.id;
    endpoint.interface_name = request.interface_name;
    // Nothing of it is on the host; the parent's name tells the books that it is wired.
    endpoint.host_interface = parent_name(options_);
    const bool has_gateway = !options_.internal && !is_layer3(options_);
    if (addresses.v4) {
        const Subnet& subnet = *subnet_of(options_.subnets, *addresses.v4);
        endpoint.ip = *addresses.v4;
        endpoint.prefix_length = subnet.prefix.length;
        endpoint.gateway = has_gateway ? subnet.gateway.value_or(IpAddress()) : IpAddress();
    }
    if (addresses.v6) {
        const Subnet& subnet = *subnet_of(options_.subnets, *addresses.v6);
        endpoint.ip_v6 = addresses.v6;
        endpoint.prefix_length_v6 = subnet.prefix.length;
        endpoint.gateway_v6 = has_gateway ? subnet.gateway : std::nullopt;
    }
    endpoint.mac = request.mac.value_or(
        addresses.v4 ? MacAddress::for_address(*addresses.v4) : MacAddress::random());
    return endpoint;
}

Result<Endpoint>
SublinkNetwork::wire(const EndpointRequest& request, const ContainerAddresses& addresses) {
    Endpoint endpoint = endpoint_of(request, addresses);
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
    RouteSocket inside = TRY(RouteSocket::open_in(netns));
    const std::optional<kernel::Link> there = TRY(inside.find_link(request.interface_name));
    if (!there) {
        return internal_error("the interface " + link.name + " vanished while it was made");
    }
    endpoint.mac = there->mac; // ipvlan and passthru: the parent's
    Rollback rollback;
    rollback.push([&] {
        RouteBatch undo;
        undo.delete_link(there->index);
        static_cast<void>(inside.execute(undo).ok());
    });
    TRY(configure_interface(
        {.inside = inside, .netns = netns, .index = there->index, .form = InterfaceForm::Down},
        request,
        endpoint));
    if (leads_out_by_interface()) {
        TRY(add_interface_routes(inside, there->index, request, endpoint));
    }
    UniqueFd kept(TRY(request.netns != nullptr ? request.netns->duplicate() : made.duplicate()));
    rollback.commit();
    members_.lock()->endpoints.emplace(
        request.id, Live{.netns = std::move(kept), .interface_name = request.interface_name});
    endpoint.netns = std::move(made);
    return endpoint;
}

Result<Endpoint> SublinkNetwork::connect(const EndpointRequest& request) {
    if (request.rates != RateLimits() || request.connections != 0) {
        return not_implemented(
            "com.berth.rate.egress, com.berth.rate.ingress and com.berth.connections are not "
            "implemented for macvlan and ipvlan networks: their interfaces have no end on the "
            "host");
    }
    const ContainerAddresses addresses = TRY(enroll(request));
    Result<Endpoint> endpoint = wire(request, addresses);
    if (!endpoint.ok()) {
        members_.lock()->places.strike_off(request.id);
    }
    return endpoint;
}

Result<void> SublinkNetwork::unplug(const Live& live) {
    if (!live.netns) {
        return ok();
    }
    RouteSocket inside = TRY(RouteSocket::open_in(live.netns));
    const std::optional<kernel::Link> link = TRY(inside.find_link(live.interface_name));
    if (!link) {
        return ok();
    }
    RouteBatch batch;
    batch.delete_link(link->index);
    return inside.execute(batch);
}

Result<void> SublinkNetwork::disconnect(const std::string& endpoint_id, Detach /*detach*/) {
    Live live;
    {
        auto members = members_.lock();
        auto found = members->endpoints.extract(endpoint_id);
        if (found.empty()) {
            return no_endpoint(endpoint_id);
        }
        live = std::move(found.mapped());
    }
    Result<void> unplugged = unplug(live);
    auto members = members_.lock();
    if (!unplugged.ok()) {
        members->endpoints.emplace(endpoint_id, std::move(live)); // it may be tried again
        return unplugged;
    }
    members->places.strike_off(endpoint_id);
    return ok();
}

void SublinkNetwork::adopt(
    const std::string& endpoint_id, FdRef netns, const std::string& interface) {
    auto members = members_.lock();
    const auto found = members->endpoints.find(endpoint_id);
    if (found != members->endpoints.end() && !found->second.netns) {
        found->second.netns = kernel::duplicate_apart(netns).value_or(UniqueFd());
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

IpAddress SublinkNetwork::gateway() const {
    const Subnet* first = first_subnet(options_.subnets, kernel::IpFamily::V4);
    return first != nullptr ? first->gateway.value_or(IpAddress()) : IpAddress();
}

std::optional<IpAddress> SublinkNetwork::gateway_v6() const {
    const Subnet* first = first_subnet(options_.subnets, kernel::IpFamily::V6);
    return first != nullptr ? first->gateway : std::nullopt;
}

Result<void> SublinkNetwork::close() {
    return members_.lock()->places.close(options_.description);
}

void SublinkNetwork::tear_down(ParentUse use) {
    members_.lock()->places.dissolve();
    if (parent_.ours && use == ParentUse::Last) {
        parts_->reaper->discard(parent_.index);
    }
}

} // namespace berth::network
