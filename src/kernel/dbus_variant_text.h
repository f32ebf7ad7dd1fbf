// SPDX-License-Identifier: Apache-2.0
// Values as GVariant text, as people write properties of units in annotations: "uint64 5",
// "'inactive-or-failed'", "['a', 'b']".
#pragma once

#include "base/result.h"
#include "kernel/dbus_message.h"

#include <string_view>

namespace berth::kernel {

// A number without a type is an int32, or a double when it has a point or an exponent.
// NotImplemented for types that no property of a unit has.
Result<DbusProperty::Value> parse_variant_text(std::string_view text);

} // namespace berth::kernel
