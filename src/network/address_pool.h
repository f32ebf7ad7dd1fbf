// SPDX-License-Identifier: Apache-2.0
// The addresses of one subnet: the lowest free one is given out. Not thread-safe; its owner locks.
#pragma once

#include "base/result.h"
#include "kernel/netlink_address.h"

#include <cstdint>
#include <optional>
#include <set>

namespace berth::network {

class AddressPool {
  public:
    // range (within subnet) limits what allocate() chooses from; asked-for addresses may lie
    // anywhere in the subnet. The network and broadcast addresses are never given out.
    static Result<AddressPool>
    create(const kernel::IpPrefix& subnet, std::optional<kernel::IpPrefix> range = std::nullopt);

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
    AddressPool(const kernel::IpPrefix& subnet, std::uint32_t first, std::uint32_t last);

    kernel::IpPrefix subnet_;
    std::uint32_t first_; // of the range, host byte order, inclusive
    std::uint32_t last_;
    // Every address below this one in the range is taken: a full subnet is not searched again.
    std::uint32_t lowest_candidate_;
    std::set<std::uint32_t> taken_;
};

} // namespace berth::network
