// SPDX-License-Identifier: Apache-2.0
// The addresses of one subnet.
#include "network/address_pool.h"

#include <algorithm>

namespace berth::network {

using kernel::IpAddress;
using kernel::IpPrefix;

namespace {

std::uint32_t last_of(const IpPrefix& prefix) {
    const std::uint32_t host_bits =
        prefix.length == 0 ? 0xffffffffU
                           : static_cast<std::uint32_t>((1ULL << (32 - prefix.length)) - 1);
    return prefix.network().address.v4() | host_bits;
}

} // namespace

AddressPool::AddressPool(const IpPrefix& subnet, std::uint32_t first, std::uint32_t last)
    : subnet_(subnet)
    , first_(first)
    , last_(last)
    , lowest_candidate_(first) {}

Result<AddressPool> AddressPool::create(const IpPrefix& subnet, std::optional<IpPrefix> range) {
    if (!subnet.address.is_v4() || (range && !range->address.is_v4())) {
        return not_implemented("IPv6 address pools are not supported: " + subnet.to_string());
    }
    if (subnet.length < 1 || subnet.length > 30) {
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
    const std::uint32_t first = std::max(chosen.address.v4(), network.address.v4() + 1);
    const std::uint32_t last = std::min(last_of(chosen), last_of(network) - 1);
    return AddressPool(network, first, last);
}

Result<IpAddress> AddressPool::allocate() {
    for (std::uint32_t candidate = lowest_candidate_; candidate <= last_; ++candidate) {
        if (taken_.insert(candidate).second) {
            lowest_candidate_ = candidate + 1;
            return IpAddress::from_v4(candidate);
        }
    }
    lowest_candidate_ = last_ + 1;
    return Error(
        ErrorKind::ResourceExhausted,
        "no available IPv4 addresses on this network's address pools: " + subnet_.to_string());
}

Result<void> AddressPool::reserve(const IpAddress& address) {
    if (!subnet_.contains(address) || address == subnet_.address ||
        address.v4() == last_of(subnet_)) {
        return invalid_argument("no configured subnet contains IP address " + address.to_string());
    }
    if (!taken_.insert(address.v4()).second) {
        return conflict("Address already in use");
    }
    return ok();
}

void AddressPool::release(const IpAddress& address) {
    if (address.is_v4() && taken_.erase(address.v4()) != 0 && address.v4() >= first_) {
        lowest_candidate_ = std::min(lowest_candidate_, address.v4());
    }
}

bool AddressPool::is_taken(const IpAddress& address) const {
    return address.is_v4() && taken_.contains(address.v4());
}

} // namespace berth::network
