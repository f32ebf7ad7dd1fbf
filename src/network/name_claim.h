// SPDX-License-Identifier: Apache-2.0
// A name (of a bridge, of a table) held by one engine of this network namespace. Two engines with
// the same bridge would each take the other's containers for leftovers and remove them.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>
#include <string_view>

namespace berth::network {

// Held until the descriptor is closed, by a crash too. Conflict when another process (or another
// driver of this one) holds it.
Result<UniqueFd> claim_name(std::string_view kind, const std::string& name);

} // namespace berth::network
