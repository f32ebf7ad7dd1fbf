// SPDX-License-Identifier: Apache-2.0
// What setting an extended attribute would do, for layers whose files are never created: what
// setxattr(2) refuses is refused, what the extractor passes over is passed over.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace berth::store {

// True when the attribute belongs on a file of this mode (type included). An access control list
// changes the mode's permissions, as it does in a file system. InvalidArgument for what the kernel
// does not take.
Result<bool>
admit_attribute(const std::string& name, const std::string& value, std::uint16_t& mode);

} // namespace berth::store
