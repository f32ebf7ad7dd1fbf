// SPDX-License-Identifier: Apache-2.0
// What containers may send: a table of the family bridge, which sees each frame from a container.
#pragma once

#include "network/firewall_content.h"

#include <string>

namespace berth::network {

void add_source_elements(
    FirewallElements& elements, const std::string& interface, const FirewallEndpoint& endpoint);

// REQUIRES: the batch is in the table of the family bridge.
void write_source_guard(kernel::NftBatch& batch);

} // namespace berth::network
