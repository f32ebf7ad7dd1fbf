// SPDX-License-Identifier: Apache-2.0
// The JSON names of networks' parts, which are Docker's: for the database and the API.
#pragma once

#include "codec/json.h"
#include "engine/networks.h"

namespace berth::json {

template <>
struct Fields<engine::IpamPool> {
    using T = engine::IpamPool;
    static constexpr auto table = std::tuple{
        field("Subnet", &T::subnet, OmitEmpty),
        field("IPRange", &T::ip_range, OmitEmpty),
        field("Gateway", &T::gateway, OmitEmpty),
        field("AuxiliaryAddresses", &T::aux_addresses, OmitEmpty)};
};

} // namespace berth::json
