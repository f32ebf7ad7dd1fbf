// SPDX-License-Identifier: Apache-2.0
// The addresses of one subnet of either family: the lowest free one is given out. Not thread-safe;
// its owner locks.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"

#include <optional>
#include <set>
#include <string>

namespace berth::network {

class AddressPool {
  public:
    // range (within subnet) limits what allocate() chooses from; asked-for addresses may lie
    // anywhere in the subnet. The network address (IPv6: that of all routers) and the broadcast
    // address are never given out. `owner` stands in errors; default: the subnet.
    static Result<AddressPool> create(
        const kernel::IpPrefix& subnet,
        std::optional<kernel::IpPrefix> range = std::nullopt,
        std::string owner = {});

    // ResourceExhausted "no available IPv4 addresses on this network's address pools: …" when all
    // are taken.
    Result<kernel::IpAddress> allocate();

    // This very address; Conflict "Address already in use" when taken, InvalidArgument when
    // outside. Also how a restart gets back what was given out before.
    Result<void> reserve(const kernel::IpAddress& address);

    // Free addresses are ignored.
    void release(const kernel::IpAddress& address);

    bool is_taken(const kernel::IpAddress& address) const;

    const kernel::IpPrefix& subnet() const { return subnet_; }

  private:
    AddressPool(
        const kernel::IpPrefix& subnet,
        const kernel::IpAddress& first,
        const kernel::IpAddress& last,
        std::string owner);

    bool is_never_given(const kernel::IpAddress& address) const;

    kernel::IpPrefix subnet_;
    kernel::IpAddress first_; // of the range, inclusive
    kernel::IpAddress last_;
    std::string owner_;
    // Every address below this one in the range is taken, so that a full subnet is not searched
    // again; nullopt: all are.
    std::optional<kernel::IpAddress> lowest_candidate_;
    std::set<kernel::IpAddress> taken_;
};

} // namespace berth::network
