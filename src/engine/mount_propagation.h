// SPDX-License-Identifier: Apache-2.0
// Whether mounts can be passed on between the host and a bind mount as it asks.
#pragma once

#include "base/result.h"

#include <string>

namespace berth::engine {

// An Error in Docker's words when the source lies on a mount that passes nothing on. Whatever is
// not shared or slave is fine everywhere.
Result<void> check_propagation(const std::string& source, const std::string& propagation);

} // namespace berth::engine
