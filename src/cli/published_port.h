// SPDX-License-Identifier: Apache-2.0
// The -p grammar: [ip:][hostPort[-hostPort]:]containerPort[-containerPort][/proto].
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <string_view>

namespace berth::cli {

// Adds the ports to ExposedPorts and PortBindings of a create request.
Result<void>
add_published_port(std::string_view text, json::Object& exposed, json::Object& bindings);

} // namespace berth::cli
