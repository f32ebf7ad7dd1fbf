// SPDX-License-Identifier: Apache-2.0
// Who is in a network, and the pools of its subnets: an endpoint gets its place and its addresses
// of both families whole or not at all. Not thread-safe; its owner locks.
#pragma once

#include "base/result.h"
#include "network/address_pool.h"
#include "network/network.h"
#include "network/port_publisher.h"
#include "network/subnet.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::network {

// What the addresses come from.
struct NetworkAddressPlan {
    std::string name;
    std::string description; // stands in errors of the pools
    std::vector<Subnet> subnets{};
    std::vector<IpAddress> reserved{};
};

ContainerAddresses addresses_of(const EndpointRecord& record);

class NetworkMembers {
  public:
    // The gateways and what is reserved are never given out.
    static Result<NetworkMembers> create(const NetworkAddressPlan& plan);

    // Addresses that nobody asks for come from the first subnet of their family that has one.
    // NotFound once the network is closed, Conflict for an id that is there and for an address that
    // is taken. An address that is in none of the subnets is the user's mistake.
    Result<ContainerAddresses> enroll(const EndpointRequest& request);

    // The place of an earlier engine's endpoint. The Error is for the log: an address that could
    // not be had is not the endpoint's, the place is.
    Result<void> restore(const std::string& endpoint_id, const ContainerAddresses& addresses);

    // Fine for one who is not there.
    void strike_off(const std::string& endpoint_id);

    // Nobody joins any more. Forbidden while somebody is there, whom `network` has.
    Result<void> close(const std::string& network);

    // Nobody is there any more, and nobody joins.
    void dissolve();

    std::size_t size() const { return places_.size(); }

  private:
    explicit NetworkMembers(std::string name)
        : name_(std::move(name)) {}

    AddressPool* pool_of(const IpAddress& address);
    Result<std::optional<IpAddress>>
    give(kernel::IpFamily family, const std::optional<IpAddress>& wanted);
    Result<void> reserve(const IpAddress& address);
    void release(const ContainerAddresses& addresses);

    std::string name_;
    std::vector<AddressPool> pools_;                   // in the subnets' order; they do not overlap
    std::map<std::string, ContainerAddresses> places_; // by endpoint
    bool closed_ = false;
};

} // namespace berth::network
