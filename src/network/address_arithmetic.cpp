// SPDX-License-Identifier: Apache-2.0
// Arithmetic on the bytes as they are in a packet.
#include "network/address_arithmetic.h"

#include <algorithm>
#include <array>

namespace berth::network {

using kernel::IpAddress;
using kernel::IpPrefix;

namespace {

using Bytes = std::array<std::uint8_t, 16>;

Bytes bytes_of(const IpAddress& address) {
    Bytes bytes{};
    std::copy(address.bytes().begin(), address.bytes().end(), bytes.begin());
    return bytes;
}

IpAddress address_from(const Bytes& bytes, const IpAddress& family_of) {
    return IpAddress::from_bytes(std::span(bytes).first(family_of.bytes().size()));
}

} // namespace

IpAddress last_of(const IpPrefix& prefix) {
    Bytes bytes = bytes_of(prefix.network().address);
    for (std::size_t i = 0; i < prefix.address.bytes().size(); ++i) {
        const int bits =
            std::clamp(static_cast<int>(prefix.length) - static_cast<int>(i) * 8, 0, 8);
        bytes[i] = static_cast<std::uint8_t>(bytes[i] | (0xff >> bits));
    }
    return address_from(bytes, prefix.address);
}

IpAddress successor(const IpAddress& address) {
    Bytes bytes = bytes_of(address);
    for (std::size_t i = address.bytes().size(); i > 0; --i) {
        if (++bytes[i - 1] != 0) {
            break;
        }
    }
    return address_from(bytes, address);
}

// RFC 3021, RFC 6164.
bool names_all_of(const IpPrefix& subnet, const IpAddress& address) {
    const bool is_v4 = subnet.address.is_v4();
    if (subnet.length >= (is_v4 ? 31 : 127)) {
        return false;
    }
    return address == subnet.network().address || (is_v4 && address == last_of(subnet));
}

IpAddress usual_gateway(const IpPrefix& subnet, const std::optional<IpPrefix>& range) {
    const IpAddress first = range ? range->network().address : subnet.network().address;
    return names_all_of(subnet, first) ? successor(first) : first;
}

std::optional<IpPrefix> successor(const IpPrefix& prefix) {
    const IpAddress next = successor(last_of(prefix));
    if (next <= prefix.address) {
        return std::nullopt;
    }
    return IpPrefix{next, prefix.length};
}

} // namespace berth::network
