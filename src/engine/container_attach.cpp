// SPDX-License-Identifier: Apache-2.0
// Networks that come and go while the container runs. The default routes and the published ports
// belong to the network that is the way out, and move with it.
#include "base/log.h"
#include "base/rollback.h"
#include "engine/container_network.h"
#include "network/default_route.h"

#include <algorithm>

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

void ContainerNetwork::move_gateways(
    const ContainerDefinition& definition,
    const GatewayChoice& before,
    const UniqueFd& netns,
    std::vector<EndpointState>& endpoints) {
    const GatewayChoice after = gateways_of(definition, endpoints);
    const auto network_of =
        [&](const EndpointState& endpoint) -> std::shared_ptr<network::Network> {
        const auto found = find(endpoint.network);
        return found.ok() ? (*found)->network : nullptr;
    };
    const auto move = [&](IpFamily family,
                          const std::optional<std::size_t>& from,
                          const std::optional<std::size_t>& to) {
        if (from == to) {
            return;
        }
        if (!to) {
            remove_route(family, netns);
        } else {
            move_route(endpoints[*to], network_of(endpoints[*to]).get(), family, netns);
        }
        std::vector<network::BoundPort> ports;
        if (from) {
            EndpointState& old = endpoints[*from];
            ports = take_ports(old, family);
            const auto network = network_of(old);
            if (!ports.empty() && network != nullptr) {
                if (auto closed = network->unpublish(old.id, ports); !closed.ok()) {
                    complain_of_endpoint(old, "ports not withdrawn", closed.error());
                }
            }
        }
        if (!to) {
            return;
        }
        EndpointState& next = endpoints[*to];
        const auto network = find(next.network);
        if (!network.ok() || (*network)->network == nullptr) {
            return;
        }
        auto requests =
            ports.empty()
                ? ports_of(definition, **network, family == IpFamily::V4, family == IpFamily::V6)
                : Result(same_again(ports));
        if (!requests.ok() || requests->empty()) {
            return;
        }
        auto opened = (*network)->network->publish(next.id, *requests);
        if (!opened.ok()) {
            complain_of_endpoint(next, "ports not published", opened.error());
            return;
        }
        for (const PublishedPort& port : published_ports(*opened)) {
            next.ports.push_back(port);
        }
    };
    move(IpFamily::V4, before.v4, after.v4);
    move(IpFamily::V6, before.v6, after.v6);
}

Result<std::vector<EndpointState>> ContainerNetwork::publish(
    const ContainerDefinition& definition, std::vector<EndpointState>& endpoints) {
    const GatewayChoice gateways = gateways_of(definition, endpoints);
    std::vector<EndpointState> opened;
    Rollback rollback;
    rollback.push([&] { withdraw(opened); });
    // Where one family has no way out, the other's network says so.
    const std::size_t nowhere = endpoints.size();
    const std::size_t for_v4 = gateways.v4.value_or(gateways.v6.value_or(nowhere));
    const std::size_t for_v6 = gateways.v6.value_or(gateways.v4.value_or(nowhere));
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto network = find(endpoints[i].network);
        if (!network.ok() || (*network)->network == nullptr) {
            continue;
        }
        const auto requests = TRY(ports_of(definition, **network, for_v4 == i, for_v6 == i));
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
        const auto network = find(endpoint.network);
        if (!network.ok() || (*network)->network == nullptr) {
            continue;
        }
        std::vector<network::BoundPort> ports = take_ports(endpoint, IpFamily::V4);
        std::ranges::copy(take_ports(endpoint, IpFamily::V6), std::back_inserter(ports));
        if (auto closed = (*network)->network->unpublish(endpoint.id, ports); !closed.ok()) {
            complain_of_endpoint(endpoint, "ports not withdrawn", closed.error());
        }
    }
}

Result<void> ContainerNetwork::attach(
    const ContainerDefinition& definition,
    const KnownNetwork& network,
    const UniqueFd& netns,
    std::vector<EndpointState>& endpoints) {
    // A container whose last network was taken away has none's place in the books at most.
    const GatewayChoice before = gateways_of(definition, endpoints);
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
    GatewayChoice before = gateways_of(definition, endpoints);
    const auto gone = static_cast<std::size_t>(found - endpoints.begin());
    const EndpointState leaving = *found;
    leave(definition.id, leaving, network::Detach::Now);
    endpoints.erase(found);
    for (std::optional<std::size_t>* index : {&before.v4, &before.v6}) {
        if (*index == gone) {
            index->reset();
        } else if (*index && **index > gone) {
            --**index;
        }
    }
    move_gateways(definition, before, netns, endpoints);
}

} // namespace berth::engine
