// SPDX-License-Identifier: Apache-2.0
// The way out of a running container, which moves when networks come and go.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_route.h"
#include "network/network.h"

#include <optional>
#include <string>

namespace berth::network {

struct WayOut {
    std::string interface_name;
    kernel::IpFamily family = kernel::IpFamily::V4;
    std::optional<IpAddress> gateway; // of the family; nullopt: the interface alone leads out
};

// All that is not in a network goes over the interface, without a neighbor that is asked for.
kernel::Route interface_default_route(kernel::IpFamily family, int interface_index);

// From now on all of the family that is not in a network goes this way. Routes of other metrics,
// which somebody else has set, stay.
Result<void> set_default_route(FdRef netns, const WayOut& way);

// Nothing goes out any more. Fine when nothing did.
Result<void> remove_default_route(FdRef netns, kernel::IpFamily family);

} // namespace berth::network
