// SPDX-License-Identifier: Apache-2.0
// Words for rates, and where they are applied.
#include "network/rate_limit.h"

#include "base/strings.h"
#include "kernel/netlink_queue.h"

#include <charconv>
#include <cmath>
#include <string>

namespace berth::network {
namespace {

constexpr double bytes_per_bit = 1.0 / 8;
constexpr double smallest_rate = 1000; // a packet would wait for seconds
constexpr double largest_rate = 1e15;

struct Unit {
    std::string_view name;
    double bytes;
};

constexpr Unit units[] = {
    {"", bytes_per_bit},
    {"bit", bytes_per_bit},
    {"kbit", bytes_per_bit * 1e3},
    {"mbit", bytes_per_bit * 1e6},
    {"gbit", bytes_per_bit * 1e9},
    {"tbit", bytes_per_bit * 1e12},
    {"kibit", bytes_per_bit * 1024},
    {"mibit", bytes_per_bit * 1024 * 1024},
    {"gibit", bytes_per_bit * 1024 * 1024 * 1024},
    {"bps", 1},
    {"kbps", 1e3},
    {"mbps", 1e6},
    {"gbps", 1e9},
    {"kibps", 1024},
    {"mibps", 1024 * 1024},
    {"gibps", 1024 * 1024 * 1024},
};

} // namespace

Result<std::uint64_t> parse_rate(std::string_view text) {
    const auto bad = [&](const std::string& why) {
        return invalid_argument("invalid rate \"" + std::string(text) + "\": " + why);
    };
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !std::isfinite(number) || number <= 0) {
        return bad("a number and a unit such as mbit are wanted");
    }
    const std::string name = to_lower(std::string_view(end, text.data() + text.size()));
    for (const Unit& unit : units) {
        if (unit.name == name) {
            const double rate = number * unit.bytes;
            if (rate < smallest_rate || rate > largest_rate) {
                return bad("it must be between 8kbit and 8000tbit");
            }
            return static_cast<std::uint64_t>(rate);
        }
    }
    return bad("unknown unit");
}

Result<void> limit_rates(
    const RateLimits& limits,
    kernel::RouteSocket& host,
    int host_index,
    kernel::RouteSocket& inside,
    int inside_index) {
    if (limits.egress != 0) {
        kernel::RouteBatch batch;
        kernel::add_rate_limit(batch, inside_index, limits.egress);
        TRY_CONTEXT(inside.execute(batch), "limit the container's egress");
    }
    if (limits.ingress != 0) {
        kernel::RouteBatch batch;
        kernel::add_rate_limit(batch, host_index, limits.ingress);
        TRY_CONTEXT(host.execute(batch), "limit the container's ingress");
    }
    return ok();
}

} // namespace berth::network
