// SPDX-License-Identifier: Apache-2.0
// Containers in a CNI network. What is begun is written down first: see cni_attachments.h.
#include "network/drivers/cni_network.h"

#include "base/log.h"
#include "base/rollback.h"
#include "kernel/process.h"
#include "network/drivers/cni_request.h"
#include "network/drivers/endpoint_interface.h"

#include <algorithm>
#include <array>
#include <utility>

namespace berth::network {
namespace {

using kernel::IpFamily;
using kernel::RouteBatch;
using kernel::RouteSocket;

// Before the plugins have given any: both families may be published.
ContainerAddresses any_addresses() {
    static constexpr std::array<std::uint8_t, 16> zero{};
    ContainerAddresses any;
    any.v4 = IpAddress();
    any.v6 = IpAddress::from_bytes(zero);
    return any;
}

ContainerAddresses addresses_in(const Endpoint& endpoint) {
    ContainerAddresses addresses;
    if (!endpoint.ip.is_unspecified()) {
        addresses.v4 = endpoint.ip;
    }
    addresses.v6 = endpoint.ip_v6;
    return addresses;
}

std::string context_of(const std::string& container_name, const std::string& endpoint_id) {
    return "driver failed programming external connectivity on endpoint " + container_name + " (" +
           endpoint_id + ")";
}

UniqueFd copy_of(FdRef fd) {
    return kernel::duplicate_apart(fd).value_or(UniqueFd());
}

// Where another network of the container is its way out: plugins do not know that.
Result<void> drop_default_routes(
    RouteSocket& inside, int index, const std::optional<IpAddress>& gateway, IpFamily family) {
    RouteBatch batch;
    bool has_some = false;
    for (const kernel::Route& route : TRY(inside.routes(family))) {
        const bool is_ours = route.output_index == index || (gateway && route.gateway == gateway);
        if (route.destination.length == 0 && is_ours) {
            batch.delete_route(route);
            has_some = true;
        }
    }
    return has_some ? inside.execute(batch) : ok();
}

// What plugins have left.
void remove_interface(FdRef netns, const std::string& name) {
    auto inside = RouteSocket::open_in(netns);
    if (!inside.ok()) {
        return;
    }
    const auto link = inside->find_link(name);
    if (link.ok() && *link) {
        RouteBatch batch;
        batch.delete_link((*link)->index);
        static_cast<void>(inside->execute(batch).ok());
    }
}

Endpoint endpoint_of(const EndpointRequest& request, const CniResult& result) {
    Endpoint endpoint;
    endpoint.id = request.id;
    endpoint.interface_name = request.interface_name;
    endpoint.host_interface = result.host_interface;
    if (result.v4) {
        endpoint.ip = result.v4->address;
        endpoint.prefix_length = result.v4->length;
        endpoint.gateway = result.gateway_v4.value_or(IpAddress());
    }
    if (result.v6) {
        endpoint.ip_v6 = result.v6->address;
        endpoint.prefix_length_v6 = result.v6->length;
        endpoint.gateway_v6 = result.gateway_v6;
    }
    endpoint.dns = result.dns;
    return endpoint;
}

} // namespace

// An endpoint on its way in.
struct CniNetwork::Joining {
    const EndpointRequest& request;
    CniAttachment attachment{};
    std::vector<BoundPort> ports{};
    UniqueFd made{}; // the new namespace

    FdRef netns() const { return request.netns != nullptr ? FdRef(*request.netns) : FdRef(made); }
};

Result<CniConfiguration> CniNetwork::load() const {
    return load_cni_configuration(options_.configuration, options_.directory);
}

Result<std::string> CniNetwork::agree(const CniConfiguration& configuration) {
    std::string text;
    for (const std::string& version : configuration.versions) {
        text += version + " ";
    }
    text += configuration.text(configuration.versions.front());
    {
        auto agreed = agreed_.lock();
        if (agreed->text == text) {
            return agreed->version;
        }
    }
    const CniAttachments& cni = *parts_->cni;
    std::string version = TRY(negotiate_cni_version(cni.plugins(), configuration, cni.patience()));
    *agreed_.lock() = {.text = std::move(text), .version = version};
    return version;
}

Result<std::shared_ptr<CniNetwork>>
CniNetwork::create(std::shared_ptr<DriverParts> parts, const CniOptions& options) {
    std::shared_ptr<CniNetwork> network = TRY(restore(std::move(parts), options, {}));
    const CniConfiguration configuration = TRY(network->load());
    const std::string version = TRY(network->agree(configuration));
    if (options.has_rates) {
        TRY(check_cni_rates(configuration));
    }
    const CniAttachments& cni = *network->parts_->cni;
    TRY(cni_status(cni.plugins(), configuration, version, cni.patience()));
    return network;
}

Result<std::shared_ptr<CniNetwork>> CniNetwork::restore(
    std::shared_ptr<DriverParts> parts,
    const CniOptions& options,
    const std::vector<EndpointRecord>& known) {
    Members members{
        .places = TRY(NetworkMembers::create(
            NetworkAddressPlan{.name = options.name, .description = options.description}))};
    for (const EndpointRecord& endpoint : known) {
        TRY(members.places.restore(endpoint.id, {}));
        if (const auto held = parts->ports.restore(endpoint.ports); !held.ok()) {
            log::debug(
                "cannot hold an endpoint's ports, ignoring",
                {{"endpoint", endpoint.id}, {"error", held.error().message()}});
        }
        members.endpoints.emplace(
            endpoint.id,
            Live{
                .ports = endpoint.ports,
                .addresses = addresses_of(endpoint),
                .container_name = endpoint.container_name});
    }
    return std::shared_ptr<CniNetwork>(
        new CniNetwork(std::move(parts), options, std::move(members)));
}

Result<Endpoint> CniNetwork::finish(const Joining& joining) const {
    const EndpointRequest& request = joining.request;
    const CniResult result =
        TRY(CniResult::read(joining.attachment.result, request.interface_name));
    RouteSocket inside = TRY(RouteSocket::open_in(joining.netns()));
    const std::optional<kernel::Link> link = TRY(inside.find_link(request.interface_name));
    if (!link) {
        return internal_error(
            "the CNI plugins made no interface " + request.interface_name + " in the container");
    }
    TRY(check_cni_result(request, result, link->mac));
    if (!request.default_route) {
        TRY(drop_default_routes(inside, link->index, result.gateway_v4, IpFamily::V4));
    }
    if (!request.default_route_v6) {
        TRY(drop_default_routes(inside, link->index, result.gateway_v6, IpFamily::V6));
    }
    TRY(complete_interface(
        {.inside = inside, .netns = joining.netns(), .index = link->index}, request));
    Endpoint endpoint = endpoint_of(request, result);
    endpoint.mac = link->mac;
    if (endpoint.host_interface.empty()) {
        endpoint.host_interface = options_.name; // tells the books that it is wired
    }
    return endpoint;
}

// What of the reserved ports leads to an address that the container has.
std::vector<BoundPort>
CniNetwork::keep_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& addresses) {
    std::vector<BoundPort> kept;
    std::vector<BoundPort> others;
    for (const BoundPort& port : ports) {
        (addresses.of(port.host_ip.family()) ? kept : others).push_back(port);
    }
    parts_->ports.release(others);
    return kept;
}

Result<void> CniNetwork::make_attachment(Joining& joining) {
    const CniConfiguration configuration = TRY(load());
    const std::string version = TRY(agree(configuration));
    joining.attachment = TRY(cni_attachment_of(joining.request, configuration, version));
    return ok();
}

Result<Endpoint> CniNetwork::join(const EndpointRequest& request) {
    CniAttachments& cni = *parts_->cni;
    Joining joining{.request = request};
    TRY(make_attachment(joining));
    Rollback rollback;
    joining.ports = TRY_CONTEXT(
        parts_->ports.reserve(request.ports, any_addresses()),
        context_of(request.container_name, request.id));
    rollback.push([&] { parts_->ports.release(joining.ports); });
    if (!joining.ports.empty()) {
        joining.attachment.capability_values[ports_capability] = cni_port_mappings(joining.ports);
    }
    if (request.netns == nullptr) {
        joining.made = std::move(TRY(parts_->pool->take(NamespaceTemplate{})).netns);
    }
    TRY(cni.save(joining.attachment));
    rollback.push([&] {
        // Where it fails it is tried again, and the log has it.
        static_cast<void>(cni.remove(joining.attachment, copy_of(joining.netns())).ok());
        remove_interface(joining.netns(), request.interface_name);
    });
    joining.attachment.result = TRY(cni_add(
        cni.plugins(), joining.attachment, cni_netns_path(joining.netns()), cni.patience()));
    TRY(cni.save(joining.attachment));
    Endpoint endpoint = TRY(finish(joining));
    Live live{.netns = copy_of(joining.netns()), .container_name = request.container_name};
    rollback.commit();
    live.addresses = addresses_in(endpoint);
    live.ports = keep_ports(std::exchange(joining.ports, {}), live.addresses);
    endpoint.ports = live.ports;
    endpoint.netns = std::move(joining.made);
    members_.lock()->endpoints.emplace(request.id, std::move(live));
    return endpoint;
}

Result<Endpoint> CniNetwork::connect(const EndpointRequest& request) {
    if (request.connections != 0) {
        return not_implemented("com.berth.connections is not implemented for CNI networks: only "
                               "their plugins know which way packets take");
    }
    EndpointRequest place{.id = request.id, .container_name = request.container_name};
    TRY(members_.lock()->places.enroll(place));
    Result<Endpoint> endpoint = join(request);
    if (!endpoint.ok()) {
        members_.lock()->places.strike_off(request.id);
    }
    return endpoint;
}

Result<void> CniNetwork::take_off(const std::string& endpoint_id, UniqueFd netns, Detach detach) {
    const UniqueFd kept = copy_of(netns);
    auto attachment = parts_->cni->load(endpoint_id);
    if (!attachment.ok()) {
        return std::move(attachment).error();
    }
    Result<void> removed = parts_->cni->remove(*attachment, std::move(netns));
    if (kept && detach == Detach::Now) {
        remove_interface(kept, attachment->interface_name);
    }
    return removed;
}

Result<void> CniNetwork::disconnect(const std::string& endpoint_id, Detach detach) {
    Live live;
    {
        auto members = members_.lock();
        auto found = members->endpoints.extract(endpoint_id);
        if (found.empty()) {
            return no_endpoint(endpoint_id);
        }
        live = std::move(found.mapped());
    }
    Result<void> removed = take_off(endpoint_id, std::move(live.netns), detach);
    parts_->ports.release(live.ports);
    members_.lock()->places.strike_off(endpoint_id);
    if (!removed.ok()) {
        // It is out of our books; its plugins are asked again and again.
        return internal_error(removed.error().message());
    }
    return ok();
}

void CniNetwork::adopt(
    const std::string& endpoint_id, FdRef netns, const std::string& /*interface*/) {
    {
        auto members = members_.lock();
        const auto found = members->endpoints.find(endpoint_id);
        if (found == members->endpoints.end() || found->second.netns) {
            return;
        }
        found->second.netns = copy_of(netns);
    }
    parts_->cni->check(endpoint_id, copy_of(netns));
}

Result<CniNetwork::Opened> CniNetwork::opened_of(const std::string& endpoint_id) const {
    auto members = members_.lock();
    const auto found = members->endpoints.find(endpoint_id);
    if (found == members->endpoints.end()) {
        return no_endpoint(endpoint_id);
    }
    const Live& live = found->second;
    return Opened{
        .netns = copy_of(live.netns),
        .ports = live.ports,
        .addresses = live.addresses,
        .container_name = live.container_name};
}

Result<void> CniNetwork::change_ports(
    const std::string& endpoint_id, FdRef netns, const std::vector<BoundPort>& ports) {
    CniAttachments& cni = *parts_->cni;
    CniAttachment attachment = TRY(cni.load(endpoint_id));
    const CniConfiguration configuration = TRY(CniConfiguration::parse(attachment.configuration));
    if (!configuration.has_capability(ports_capability)) {
        return no_cni_capability(configuration, "published ports are", ports_capability);
    }
    const std::string path = cni_netns_path(netns);
    const CniAttachment before = attachment;
    Result<void> changed = cni_change(
        cni.plugins(),
        attachment,
        ports_capability,
        cni_port_mappings(ports),
        path,
        cni.patience());
    if (changed.ok()) {
        changed = cni.save(attachment);
    }
    if (!changed.ok()) {
        CniAttachment again = attachment;
        const json::Value old = before.capability_values.contains(ports_capability)
                                    ? before.capability_values.at(ports_capability)
                                    : json::Value(json::Array());
        static_cast<void>(
            cni_change(cni.plugins(), again, ports_capability, old, path, cni.patience()).ok());
        return changed;
    }
    auto members = members_.lock();
    const auto found = members->endpoints.find(endpoint_id);
    if (found != members->endpoints.end()) {
        found->second.ports = ports;
    }
    return ok();
}

Result<std::vector<BoundPort>>
CniNetwork::publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) {
    Opened opened = TRY(opened_of(endpoint_id));
    const std::vector<BoundPort> bound = TRY_CONTEXT(
        parts_->ports.reserve(ports, opened.addresses),
        context_of(opened.container_name, endpoint_id));
    if (bound.empty()) {
        return bound;
    }
    opened.ports.insert(opened.ports.end(), bound.begin(), bound.end());
    Result<void> changed = change_ports(endpoint_id, opened.netns, opened.ports);
    if (!changed.ok()) {
        parts_->ports.release(bound);
        return std::move(changed).error();
    }
    return bound;
}

Result<void>
CniNetwork::unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) {
    Opened opened = TRY(opened_of(endpoint_id));
    std::vector<BoundPort> closing;
    for (const BoundPort& port : ports) {
        const auto place = std::ranges::find(opened.ports, port);
        if (place != opened.ports.end()) {
            closing.push_back(port);
            opened.ports.erase(place);
        }
    }
    if (closing.empty()) {
        return ok();
    }
    TRY(change_ports(endpoint_id, opened.netns, opened.ports));
    parts_->ports.release(closing);
    return ok();
}

Result<void> CniNetwork::close() {
    return members_.lock()->places.close(options_.description);
}

void CniNetwork::collect() {
    const auto configuration = load();
    if (!configuration.ok() || !configuration->is_inline) {
        return; // others may have containers in it
    }
    const CniAttachments& cni = *parts_->cni;
    std::vector<std::pair<std::string, std::string>> valid;
    for (const std::string& id : cni.ids()) {
        const auto attachment = cni.load(id);
        const auto with = attachment.ok() ? CniConfiguration::parse(attachment->configuration)
                                          : Result<CniConfiguration>(attachment.error());
        if (with.ok() && with->name == configuration->name) {
            valid.emplace_back(attachment->id, attachment->interface_name);
        }
    }
    const auto version = agree(*configuration);
    const Result<void> collected =
        version.ok() ? cni_collect(cni.plugins(), *configuration, *version, valid, cni.patience())
                     : Result<void>(version.error());
    if (!collected.ok()) {
        log::debug(
            "CNI plugins did not clear up, ignoring",
            {{"network", options_.description}, {"error", collected.error().message()}});
    }
}

void CniNetwork::tear_down() {
    std::map<std::string, Live> rest;
    {
        auto members = members_.lock();
        members->places.dissolve();
        rest = std::exchange(members->endpoints, {});
    }
    for (auto& [id, live] : rest) {
        const Result<void> removed = take_off(id, std::move(live.netns), Detach::Behind);
        if (!removed.ok()) {
            log::debug(
                "a CNI attachment is not removed, retrying",
                {{"endpoint", id}, {"error", removed.error().message()}});
        }
        parts_->ports.release(live.ports);
    }
    collect();
}

} // namespace berth::network
