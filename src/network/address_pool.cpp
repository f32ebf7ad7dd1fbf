// SPDX-License-Identifier: Apache-2.0
// The addresses of one subnet.
#include "network/address_pool.h"

#include "network/address_arithmetic.h"

namespace berth::network {

using kernel::IpAddress;
using kernel::IpPrefix;

AddressPool::AddressPool(
    const IpPrefix& subnet, const IpAddress& first, const IpAddress& last, std::string owner)
    : subnet_(subnet)
    , first_(first)
    , last_(last)
    , owner_(std::move(owner))
    , lowest_candidate_(first) {}

Result<AddressPool>
AddressPool::create(const IpPrefix& subnet, std::optional<IpPrefix> range, std::string owner) {
    const int longest = subnet.address.is_v4() ? 32 : 127;
    if (subnet.length < 1 || subnet.length > longest) {
        return invalid_argument(
            "a network's subnet must leave room for addresses: " + subnet.to_string());
    }
    const IpPrefix network = subnet.network();
    const IpPrefix chosen = range.value_or(network).network();
    if (chosen.length < network.length || !network.contains(chosen.address)) {
        return invalid_argument(
            "the address range " + chosen.to_string() + " is not within the subnet " +
            network.to_string());
    }
    return AddressPool(
        network,
        chosen.address,
        last_of(chosen),
        owner.empty() ? network.to_string() : std::move(owner));
}

bool AddressPool::is_never_given(const IpAddress& address) const {
    return names_all_of(subnet_, address);
}

Result<IpAddress> AddressPool::allocate() {
    while (lowest_candidate_) {
        const IpAddress candidate = *lowest_candidate_;
        if (candidate == last_) {
            lowest_candidate_.reset();
        } else {
            lowest_candidate_ = successor(candidate);
        }
        if (!is_never_given(candidate) && taken_.insert(candidate).second) {
            return candidate;
        }
    }
    return Error(
        ErrorKind::ResourceExhausted,
        std::string("no available ") + (subnet_.address.is_v4() ? "IPv4" : "IPv6") +
            " addresses on this network's address pools: " + owner_);
}

Result<void> AddressPool::reserve(const IpAddress& address) {
    if (!subnet_.contains(address)) {
        return invalid_argument("no configured subnet contains IP address " + address.to_string());
    }
    if (is_never_given(address) || !taken_.insert(address).second) {
        return conflict("Address already in use");
    }
    return ok();
}

void AddressPool::release(const IpAddress& address) {
    if (taken_.erase(address) == 0 || address < first_ || address > last_) {
        return;
    }
    if (!lowest_candidate_ || address < *lowest_candidate_) {
        lowest_candidate_ = address;
    }
}

bool AddressPool::is_taken(const IpAddress& address) const {
    return taken_.contains(address);
}

} // namespace berth::network
