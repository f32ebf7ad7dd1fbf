// SPDX-License-Identifier: Apache-2.0
// Who is in a network, and the network's two address pools: an endpoint gets its place and its
// addresses of both families whole or not at all. Not thread-safe; its owner locks.
#pragma once

#include "base/result.h"
#include "network/address_pool.h"
#include "network/network.h"
#include "network/port_publisher.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::network {

// What the addresses come from, in words of the networks' options.
struct NetworkAddressPlan {
    std::string name;
    std::string description; // stands in errors of the pools
    IpPrefix subnet;         // length 0: a network without IPv4
    std::optional<IpAddress> gateway;
    std::optional<IpPrefix> ip_range;
    std::optional<IpPrefix> subnet_v6;
    std::optional<IpAddress> gateway_v6;
    std::optional<IpPrefix> ip_range_v6;
    std::vector<IpAddress> reserved;

    // Of the options of any driver.
    template <class Options>
    static NetworkAddressPlan of(const Options& options) {
        return {
            .name = options.name,
            .description = options.description,
            .subnet = options.subnet,
            .gateway = options.gateway,
            .ip_range = options.ip_range,
            .subnet_v6 = options.subnet_v6,
            .gateway_v6 = options.gateway_v6,
            .ip_range_v6 = options.ip_range_v6,
            .reserved = options.reserved};
    }
};

ContainerAddresses addresses_of(const EndpointRecord& record);

class NetworkMembers {
  public:
    // The gateways and what is reserved are never given out.
    static Result<NetworkMembers> create(const NetworkAddressPlan& plan);

    // NotFound once the network is closed, Conflict for an id that is there and for an address that
    // is taken. An address of a family that the network does not have is the user's mistake.
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

    Result<std::optional<IpAddress>>
    give(std::optional<AddressPool>& pool, const std::optional<IpAddress>& wanted) const;
    Result<void> reserve(const IpAddress& address);
    void release(const ContainerAddresses& addresses);

    std::string name_;
    std::optional<AddressPool> v4_;
    std::optional<AddressPool> v6_;
    std::map<std::string, ContainerAddresses> places_; // by endpoint
    bool closed_ = false;
};

} // namespace berth::network
