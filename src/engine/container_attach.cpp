// SPDX-License-Identifier: Apache-2.0
// Networks that come and go while the container runs. The default routes and the published ports
// belong to the network that is the way out, and move with it.
#include "base/log.h"
#include "base/rollback.h"
#include "engine/container_network.h"
#include "network/default_route.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace berth::engine {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;

void complain_of_endpoint(
    const EndpointState& endpoint, std::string_view what, const Error& error) {
    log::warn(
        std::string(what) + ", ignoring",
        {{"network", endpoint.network}, {"error", error.message()}});
}

bool is_of(const PublishedPort& port, IpFamily family) {
    return (port.host_ip.find(':') == std::string::npos) == (family == IpFamily::V4);
}

// The endpoint's published ports of the family; they are its no more.
std::vector<network::BoundPort> take_ports(EndpointState& endpoint, IpFamily family) {
    std::vector<network::BoundPort> taken;
    std::erase_if(endpoint.ports, [&](const PublishedPort& port) {
        const auto protocol = network::parse_protocol(port.protocol);
        const auto host_ip = IpAddress::parse(port.host_ip);
        if (!is_of(port, family) || !protocol.ok() || !host_ip.ok()) {
            return false;
        }
        taken.push_back(
            {.protocol = *protocol,
             .container_port = port.container_port,
             .host_ip = *host_ip,
             .host_port = port.host_port});
        return true;
    });
    return taken;
}

std::vector<network::PortRequest> same_again(const std::vector<network::BoundPort>& ports) {
    std::vector<network::PortRequest> requests;
    for (const network::BoundPort& port : ports) {
        requests.push_back(
            {.protocol = port.protocol,
             .container_port = port.container_port,
             .host_ip = port.host_ip,
             .host_port = port.host_port});
    }
    return requests;
}

// nullopt: it leads nowhere in this family, or whoever made it has seen to that (CNI plugins).
std::optional<network::WayOut>
way_out_over(const EndpointState& endpoint, const network::Network* network, IpFamily family) {
    const bool is_v4 = family == IpFamily::V4;
    network::WayOut way{
        .interface_name = endpoint.interface_name, .family = family, .gateway = std::nullopt};
    if (auto gateway = IpAddress::parse(is_v4 ? endpoint.gateway : endpoint.gateway_v6);
        gateway.ok()) {
        way.gateway = *gateway;
        return way;
    }
    const bool has_address = !(is_v4 ? endpoint.ip : endpoint.ip_v6).empty();
    if (has_address && network != nullptr && network->leads_out_by_interface()) {
        return way;
    }
    return std::nullopt;
}

void remove_route(IpFamily family, const UniqueFd& netns) {
    if (auto removed = network::remove_default_route(netns, family); !removed.ok()) {
        log::warn("default route stays, ignoring", {{"error", removed.error().message()}});
    }
}

void move_route(
    const EndpointState& to,
    const network::Network* network,
    IpFamily family,
    const UniqueFd& netns) {
    const auto way = way_out_over(to, network, family);
    if (!way) {
        return;
    }
    if (auto moved = network::set_default_route(netns, *way); !moved.ok()) {
        complain_of_endpoint(to, "default route not set", moved.error());
    }
}

} // namespace

GatewayChoice ContainerNetwork::gateways_of(
    const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const {
    static const KnownNetwork gone;
    std::vector<KnownNetworkPtr> held;
    std::vector<GatewayCandidate> candidates;
    for (const EndpointState& endpoint : endpoints) {
        const auto network = find(endpoint.network);
        held.push_back(network.ok() ? *network : nullptr);
        const auto& all = definition.networking.endpoints_config;
        const auto settings = all.find(endpoint.network);
        candidates.push_back(
            {.network = held.back() ? held.back().get() : &gone,
             .priority = settings == all.end() ? 0 : settings->second.gw_priority});
    }
    return choose_gateways(candidates);
}

// What default routes and published ports lead by.
struct ContainerNetwork::WaysOut {
    GatewayChoice routes;
    GatewayChoice ports;
    // Of a network that was left: they keep their numbers.
    std::vector<network::BoundPort> freed_v4{};
    std::vector<network::BoundPort> freed_v6{};
};

ContainerNetwork::WaysOut ContainerNetwork::ways_out_of(
    const ContainerDefinition& definition, const std::vector<EndpointState>& endpoints) const {
    const GatewayChoice routes = gateways_of(definition, endpoints);
    return {.routes = routes, .ports = routes.for_ports()};
}

void ContainerNetwork::move_gateways(
    const ContainerDefinition& definition,
    const WaysOut& before,
    const UniqueFd& netns,
    std::vector<EndpointState>& endpoints) {
    const WaysOut after = ways_out_of(definition, endpoints);
    const auto move = [&](IpFamily family,
                          const std::optional<std::size_t>& from,
                          const std::optional<std::size_t>& to) {
        if (from != to && !to) {
            remove_route(family, netns);
        } else if (from != to) {
            const auto network = find(endpoints[*to].network);
            move_route(
                endpoints[*to], network.ok() ? (*network)->network.get() : nullptr, family, netns);
        }
    };
    move(IpFamily::V4, before.routes.v4, after.routes.v4);
    move(IpFamily::V6, before.routes.v6, after.routes.v6);
    move_ports(definition, before, after.ports, endpoints);
}

void ContainerNetwork::move_ports(
    const ContainerDefinition& definition,
    const WaysOut& ways_before,
    const GatewayChoice& after,
    std::vector<EndpointState>& endpoints) {
    const GatewayChoice& before = ways_before.ports;
    std::vector<network::BoundPort> ports_v4 = ways_before.freed_v4;
    std::vector<network::BoundPort> ports_v6 = ways_before.freed_v6;
    if (before.v4 && before.v4 != after.v4) {
        ports_v4 = withdraw_ports(endpoints[*before.v4], true, false);
    }
    if (before.v6 && before.v6 != after.v6) {
        ports_v6 = withdraw_ports(endpoints[*before.v6], false, true);
    }
    const bool opens_v4 = after.v4 && before.v4 != after.v4;
    const bool opens_v6 = after.v6 && before.v6 != after.v6;
    const auto again = [&](const std::optional<std::size_t>& to,
                           const std::vector<network::BoundPort>& ports,
                           bool v4,
                           bool v6) {
        const auto network = find(endpoints[*to].network);
        if (!network.ok() || (*network)->network == nullptr) {
            return;
        }
        publish_again(
            endpoints[*to],
            ports.empty() ? ports_of(definition, **network, v4, v6) : Result(same_again(ports)));
    };
    if (opens_v4 && opens_v6 && after.v4 == after.v6 && ports_v4.empty() && ports_v6.empty()) {
        again(after.v4, {}, true, true); // a port of the engine's choice is the same of both
        return;
    }
    if (opens_v4) {
        again(after.v4, ports_v4, true, false);
    }
    if (opens_v6) {
        again(after.v6, ports_v6, false, true);
    }
}

std::vector<network::BoundPort>
ContainerNetwork::withdraw_ports(EndpointState& endpoint, bool v4, bool v6) {
    std::vector<network::BoundPort> ports;
    if (v4) {
        ports = take_ports(endpoint, IpFamily::V4);
    }
    if (v6) {
        std::ranges::copy(take_ports(endpoint, IpFamily::V6), std::back_inserter(ports));
    }
    const auto network = find(endpoint.network);
    if (!ports.empty() && network.ok() && (*network)->network) {
        if (auto closed = (*network)->network->unpublish(endpoint.id, ports); !closed.ok()) {
            complain_of_endpoint(endpoint, "ports not withdrawn", closed.error());
        }
    }
    return ports;
}

void ContainerNetwork::publish_again(
    EndpointState& endpoint, const Result<std::vector<network::PortRequest>>& requests) {
    const auto network = find(endpoint.network);
    if (!requests.ok() || requests->empty() || !network.ok()) {
        return;
    }
    const auto opened = (*network)->network->publish(endpoint.id, *requests);
    if (!opened.ok()) {
        complain_of_endpoint(endpoint, "ports not published", opened.error());
        return;
    }
    std::ranges::copy(published_ports(*opened), std::back_inserter(endpoint.ports));
    // As if they had been published together: IPv4 first.
    std::ranges::stable_sort(endpoint.ports, std::less(), [](const PublishedPort& port) {
        return std::tuple(
            port.container_port, port.protocol, port.host_port, is_of(port, IpFamily::V6));
    });
}

Result<std::vector<EndpointState>> ContainerNetwork::publish(
    const ContainerDefinition& definition, std::vector<EndpointState>& endpoints) {
    const GatewayChoice for_ports = gateways_of(definition, endpoints).for_ports();
    std::vector<EndpointState> opened;
    Rollback rollback;
    rollback.push([&] { withdraw(opened); });
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto network = find(endpoints[i].network);
        if (!network.ok() || (*network)->network == nullptr) {
            continue;
        }
        const auto requests =
            TRY(ports_of(definition, **network, for_ports.v4 == i, for_ports.v6 == i));
        if (requests.empty()) {
            continue;
        }
        const auto bound = TRY((*network)->network->publish(endpoints[i].id, requests));
        opened.push_back(endpoints[i]);
        opened.back().ports = published_ports(bound);
    }
    const bool nothing = std::ranges::all_of(
        opened, [](const EndpointState& endpoint) { return endpoint.ports.empty(); });
    if (nothing) {
        return conflict(
            "cannot publish ports of container " + definition.name +
            ": none of its networks leads to the host's address");
    }
    rollback.commit();
    for (EndpointState& endpoint : endpoints) {
        for (const EndpointState& part : opened) {
            if (part.id == endpoint.id) {
                endpoint.ports.insert(endpoint.ports.end(), part.ports.begin(), part.ports.end());
            }
        }
    }
    return opened;
}

void ContainerNetwork::withdraw(const std::vector<EndpointState>& endpoints) {
    for (EndpointState endpoint : endpoints) {
        withdraw_ports(endpoint, true, true);
    }
}

Result<void> ContainerNetwork::attach(
    const ContainerDefinition& definition,
    const KnownNetwork& network,
    const UniqueFd& netns,
    std::vector<EndpointState>& endpoints) {
    // A container whose last network was taken away has none's place in the books at most.
    const WaysOut before = ways_out_of(definition, endpoints);
    endpoints.push_back(TRY(join_running(definition, network, netns, endpoints)));
    move_gateways(definition, before, netns, endpoints);
    announce(definition, {endpoints.back()}, netns);
    return ok();
}

void ContainerNetwork::detach(
    const ContainerDefinition& definition,
    const std::string& network_name,
    const UniqueFd& netns,
    std::vector<EndpointState>& endpoints) {
    const auto found = std::ranges::find_if(
        endpoints, [&](const EndpointState& endpoint) { return endpoint.network == network_name; });
    if (found == endpoints.end()) {
        return;
    }
    WaysOut before = ways_out_of(definition, endpoints);
    const auto gone = static_cast<std::size_t>(found - endpoints.begin());
    EndpointState leaving = *found;
    leave(definition.id, leaving, network::Detach::Now);
    endpoints.erase(found);
    before.freed_v4 = take_ports(leaving, IpFamily::V4);
    before.freed_v6 = take_ports(leaving, IpFamily::V6);
    for (std::optional<std::size_t>* index :
         {&before.routes.v4, &before.routes.v6, &before.ports.v4, &before.ports.v6}) {
        if (*index == gone) {
            index->reset();
        } else if (*index && **index > gone) {
            --**index;
        }
    }
    move_gateways(definition, before, netns, endpoints);
}

} // namespace berth::engine
