// SPDX-License-Identifier: Apache-2.0
// Extended attributes of layers' files: those that a layer carries elsewhere, and what setting one
// would do, for layers whose files are never created: what setxattr(2) refuses is refused, what the
// extractor passes over is passed over.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <string>

namespace berth::store {

// Not overlayfs's, and none that mean something on this machine alone. The path's last component is
// not followed.
Result<std::map<std::string, std::string>> portable_attributes(const std::string& path);

// True when the attribute belongs on a file of this mode (type included). An access control list
// changes the mode's permissions, as it does in a file system. InvalidArgument for what the kernel
// does not take.
Result<bool>
admit_attribute(const std::string& name, const std::string& value, std::uint16_t& mode);

} // namespace berth::store
