// SPDX-License-Identifier: Apache-2.0
// How many addresses of a network are taken and how many can be given out: Status of an inspect.
#pragma once

#include "codec/json.h"
#include "engine/networks.h"

namespace berth::api::wire {

json::Value encode_network_status(const engine::NetworkInspect& network);

} // namespace berth::api::wire
