// SPDX-License-Identifier: Apache-2.0
// Places and addresses.
#include "network/network_members.h"

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
    if (plan.subnet.length != 0) {
        members.v4_ = TRY(AddressPool::create(plan.subnet, plan.ip_range, plan.description));
        if (plan.gateway) {
            TRY(members.reserve(*plan.gateway));
        }
    }
    if (plan.subnet_v6) {
        members.v6_ = TRY(AddressPool::create(*plan.subnet_v6, plan.ip_range_v6, plan.description));
        if (plan.gateway_v6) {
            TRY(members.reserve(*plan.gateway_v6));
        }
    }
    for (const IpAddress& address : plan.reserved) {
        TRY(members.reserve(address));
    }
    return members;
}

Result<void> NetworkMembers::reserve(const IpAddress& address) {
    std::optional<AddressPool>& pool = address.is_v4() ? v4_ : v6_;
    return pool ? pool->reserve(address) : no_subnet_for(address);
}

void NetworkMembers::release(const ContainerAddresses& addresses) {
    if (addresses.v4) {
        v4_->release(*addresses.v4);
    }
    if (addresses.v6) {
        v6_->release(*addresses.v6);
    }
}

// The wanted address, or any; none where there is no pool.
Result<std::optional<IpAddress>> NetworkMembers::give(
    std::optional<AddressPool>& pool, const std::optional<IpAddress>& wanted) const {
    if (!pool) {
        return wanted ? Result<std::optional<IpAddress>>(no_subnet_for(*wanted))
                      : std::optional<IpAddress>();
    }
    if (wanted) {
        TRY(pool->reserve(*wanted));
        return wanted;
    }
    return std::optional(TRY(pool->allocate()));
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
    addresses.v4 = TRY(give(v4_, request.ip));
    if (!request.disable_ipv6) {
        Result<std::optional<IpAddress>> v6 = give(v6_, request.ip_v6);
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
