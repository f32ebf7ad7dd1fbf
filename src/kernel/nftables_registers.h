// SPDX-License-Identifier: Apache-2.0
// What nf_tables expressions of rules are made of: registers, and values as they lie in them. For
// the two files of NftRule only.
#pragma once

#include "kernel/netlink_address.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace berth::kernel {

constexpr std::uint32_t source_port_offset = 0; // in the TCP, UDP and SCTP headers
constexpr std::uint32_t destination_port_offset = 2;

// Where the addresses are in an IP header.
struct AddressPlace {
    std::uint32_t source = 12;
    std::uint32_t destination = 16;
    std::uint32_t size = 4;
};

inline AddressPlace place_of(IpFamily family) {
    return family == IpFamily::V4 ? AddressPlace{}
                                  : AddressPlace{.source = 8, .destination = 24, .size = 16};
}

inline std::uint8_t protocol_family(IpFamily family) {
    return family == IpFamily::V4 ? std::uint8_t{NFPROTO_IPV4} : std::uint8_t{NFPROTO_IPV6};
}

// Registers of four bytes; a longer value runs over the next ones.
constexpr std::uint32_t reg(std::uint32_t number) {
    return NFT_REG32_00 + number;
}

inline std::array<std::uint8_t, 4> native_bytes(std::uint32_t number) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &number, bytes.size());
    return bytes;
}

inline std::array<std::uint8_t, 2> big_endian_bytes(std::uint16_t number) {
    return {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number & 0xff)};
}

} // namespace berth::kernel
