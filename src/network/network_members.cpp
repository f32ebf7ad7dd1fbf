// SPDX-License-Identifier: Apache-2.0
// Places and addresses.
#include "network/network_members.h"

#include <algorithm>

namespace berth::network {
namespace {

Error no_subnet_for(const IpAddress& address) {
    return invalid_argument("no configured subnet contains IP address " + address.to_string());
}

} // namespace

ContainerAddresses addresses_of(const EndpointRecord& record) {
    ContainerAddresses addresses;
    if (!record.ip.is_unspecified()) {
        addresses.v4 = record.ip;
    }
    addresses.v6 = record.ip_v6;
    return addresses;
}

Result<NetworkMembers> NetworkMembers::create(const NetworkAddressPlan& plan) {
    NetworkMembers members(plan.name);
    for (const Subnet& subnet : plan.subnets) {
        AddressPool pool = TRY(AddressPool::create(subnet.prefix, subnet.range, plan.description));
        if (subnet.gateway) {
            TRY(pool.reserve(*subnet.gateway));
        }
        members.pools_.push_back(std::move(pool));
    }
    for (const IpAddress& address : plan.reserved) {
        TRY(members.reserve(address));
    }
    return members;
}

AddressPool* NetworkMembers::pool_of(const IpAddress& address) {
    const auto found = std::ranges::find_if(
        pools_, [&](const AddressPool& pool) { return pool.subnet().contains(address); });
    return found == pools_.end() ? nullptr : &*found;
}

Result<void> NetworkMembers::reserve(const IpAddress& address) {
    AddressPool* pool = pool_of(address);
    return pool != nullptr ? pool->reserve(address) : no_subnet_for(address);
}

void NetworkMembers::release(const ContainerAddresses& addresses) {
    for (const std::optional<IpAddress>& address : {addresses.v4, addresses.v6}) {
        if (AddressPool* pool = address ? pool_of(*address) : nullptr; pool != nullptr) {
            pool->release(*address);
        }
    }
}

// The wanted address, or any; none where there is no pool.
Result<std::optional<IpAddress>>
NetworkMembers::give(kernel::IpFamily family, const std::optional<IpAddress>& wanted) {
    if (wanted) {
        TRY(wanted->family() == family ? reserve(*wanted) : no_subnet_for(*wanted));
        return wanted;
    }
    Result<std::optional<IpAddress>> given = std::optional<IpAddress>();
    for (AddressPool& pool : pools_) {
        if (pool.subnet().address.family() != family) {
            continue;
        }
        Result<IpAddress> address = pool.allocate();
        if (address.ok()) {
            return std::optional(*address);
        }
        given = std::move(address).error(); // it is full: perhaps the next one is not
    }
    return given;
}

Result<ContainerAddresses> NetworkMembers::enroll(const EndpointRequest& request) {
    if (closed_) {
        return not_found("network " + name_ + " not found");
    }
    if (places_.contains(request.id)) {
        return conflict(
            "endpoint with name " + request.container_name + " already exists in network " + name_);
    }
    ContainerAddresses addresses;
    addresses.v4 = TRY(give(kernel::IpFamily::V4, request.ip));
    if (!request.disable_ipv6) {
        Result<std::optional<IpAddress>> v6 = give(kernel::IpFamily::V6, request.ip_v6);
        if (!v6.ok()) {
            release(addresses);
            return std::move(v6).error();
        }
        addresses.v6 = *v6;
    }
    places_.emplace(request.id, addresses);
    return addresses;
}

Result<void>
NetworkMembers::restore(const std::string& endpoint_id, const ContainerAddresses& addresses) {
    ContainerAddresses had;
    Result<void> all = ok();
    for (const std::optional<IpAddress>& address : {addresses.v4, addresses.v6}) {
        if (!address) {
            continue;
        }
        Result<void> reserved = reserve(*address);
        if (reserved.ok()) {
            (address->is_v4() ? had.v4 : had.v6) = address;
        } else {
            all = std::move(reserved);
        }
    }
    places_.insert_or_assign(endpoint_id, had);
    return all;
}

void NetworkMembers::strike_off(const std::string& endpoint_id) {
    const auto found = places_.find(endpoint_id);
    if (found != places_.end()) {
        release(found->second);
        places_.erase(found);
    }
}

Result<void> NetworkMembers::close(const std::string& network) {
    if (!places_.empty()) {
        return Error(
            ErrorKind::Forbidden,
            "error while removing network: network " + network + " has active endpoints");
    }
    closed_ = true;
    return ok();
}

void NetworkMembers::dissolve() {
    places_.clear();
    closed_ = true;
}

} // namespace berth::network
