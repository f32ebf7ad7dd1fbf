// SPDX-License-Identifier: Apache-2.0
// The local route.
#include "network/loopback_v6.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/netlink_local_route.h"
#include "kernel/netlink_route.h"

#include <cerrno>

namespace berth::network {
namespace {

// Behind the one by lo, which the host's own connections go on to take. Each bridge has a metric of
// its own, above this: of one metric the kernel has one such route only, by whichever link.
constexpr std::uint32_t least_metric = 2000;

} // namespace

bool can_carry_loopback_v6() {
    const Result<std::string> on_bridges =
        read_file("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    return !on_bridges.ok() || trim(on_bridges.value()) == "0";
}

Result<void> carry_loopback_v6(const std::string& bridge) {
    kernel::RouteSocket host = TRY(kernel::RouteSocket::open());
    const std::optional<kernel::Link> link = TRY(host.find_link(bridge));
    if (!link) {
        return ok();
    }
    kernel::RouteBatch batch;
    kernel::add_local_route(
        batch,
        {TRY(kernel::IpAddress::parse("::1")), 128},
        link->index,
        least_metric + static_cast<std::uint32_t>(link->index));
    const std::vector<int> errors = TRY(host.execute_each(batch));
    if (errors[0] != 0 && errors[0] != EEXIST) {
        return Error::from_errno("let " + bridge + " carry [::1]'s packets", errors[0]);
    }
    return ok();
}

} // namespace berth::network
