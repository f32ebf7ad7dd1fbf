// SPDX-License-Identifier: Apache-2.0
// IP addresses (both families), prefixes and MAC addresses as small values, in network byte order
// as netlink and nf_tables carry them.
#pragma once

#include "base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace berth::kernel {

enum class IpFamily : std::uint8_t { V4, V6 };

class IpAddress {
  public:
    // 0.0.0.0
    IpAddress() = default;

    // "172.17.0.2" or "fd00::2"; no zone, no prefix.
    static Result<IpAddress> parse(std::string_view text);

    // From a number in host byte order: 0x7f000001 is 127.0.0.1.
    static IpAddress from_v4(std::uint32_t number);

    // REQUIRES: 4 or 16 bytes.
    static IpAddress from_bytes(std::span<const std::uint8_t> bytes);

    IpFamily family() const { return family_; }

    bool is_v4() const { return family_ == IpFamily::V4; }

    // 4 or 16 bytes, network order.
    std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }

    // REQUIRES: is_v4(). Host byte order.
    std::uint32_t v4() const;

    // 127.0.0.0/8 or ::1.
    bool is_loopback() const;

    // 0.0.0.0 or ::
    bool is_unspecified() const;

    std::string to_string() const;

    auto operator<=>(const IpAddress&) const = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
    IpFamily family_ = IpFamily::V4;
};

// An address with a prefix length: a subnet, or an interface's address within one.
struct IpPrefix {
    IpAddress address;
    std::uint8_t length = 0;

    // "172.17.0.0/16"; host bits are kept.
    static Result<IpPrefix> parse(std::string_view text);

    // The same with the host bits zero.
    IpPrefix network() const;
    bool contains(const IpAddress& other) const;
    bool overlaps(const IpPrefix& other) const;
    std::string to_string() const;

    auto operator<=>(const IpPrefix&) const = default;
};

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    // "02:42:ac:11:00:02"
    static Result<MacAddress> parse(std::string_view text);

    // 02:42 and the four bytes of a v4 address: a reused address keeps its MAC, so neighbours' ARP
    // caches stay right.
    static MacAddress for_address(const IpAddress& address);
    static MacAddress random();
    std::string to_string() const;

    // Neither a group's nor nobody's: one that an interface can have.
    bool is_unicast() const { return (bytes[0] & 1U) == 0 && *this != MacAddress(); }

    auto operator<=>(const MacAddress&) const = default;
};

} // namespace berth::kernel
