// SPDX-License-Identifier: Apache-2.0
// What a user chooses of the firewall.
#pragma once

#include <cstdint>
#include <optional>

namespace berth::network {

enum class HostFirewall : std::uint8_t {
    Passed,    // published ports are open whatever the host's own rules say, as with Docker
    Respected, // a published port is open where the host's rules let it in (firewall_judge.h)
};

// Which packets the engine's rules judge and translate.
enum class FirewallFamilies : std::uint8_t {
    Both,
    V4Alone, // Docker's --ip6tables=false
};

// Of a packet (nft(8): meta mark): those of its bits that the mask has are the value.
struct PacketMark {
    std::uint32_t value = 0;
    std::uint32_t mask = UINT32_MAX;

    bool operator==(const PacketMark&) const = default;
};

struct FirewallOptions {
    HostFirewall host = HostFirewall::Passed;
    FirewallFamilies families = FirewallFamilies::Both;
    // What others have marked so reaches containers of networks that are not internal, whatever
    // these rules would say.
    std::optional<PacketMark> accepted_mark{};
};

} // namespace berth::network
