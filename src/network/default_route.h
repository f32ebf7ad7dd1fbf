// SPDX-License-Identifier: Apache-2.0
// The way out of a running container, which moves when networks come and go.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/network.h"

#include <optional>
#include <string>

namespace berth::network {

// From now on all that is not in a network goes to the gateway over the interface.
Result<void>
set_default_route(FdRef netns, const std::string& interface_name, const IpAddress& gateway);

// Nothing goes out any more. Fine when nothing did.
Result<void> remove_default_route(FdRef netns, kernel::IpFamily family);

} // namespace berth::network
