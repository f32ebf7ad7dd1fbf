// SPDX-License-Identifier: Apache-2.0
// What containers may send: a table of the family bridge, which sees each frame from a container.
#pragma once

#include "network/firewall_content.h"

#include <string>

namespace berth::network {

void add_source_elements(
    FirewallElements& elements, const std::string& interface, const FirewallEndpoint& endpoint);

// REQUIRES, here and below: the batch is in the table of the family bridge.
void write_source_guard(kernel::NftBatch& batch);
// The chain that holds interfaces back which have a rate, where there is one among the elements.
// May be there already. Without a rate on the host no frame meets it.
void write_rates(kernel::NftBatch& batch, const FirewallElements& elements);

} // namespace berth::network
