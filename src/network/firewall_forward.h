// SPDX-License-Identifier: Apache-2.0
// What of forwarded packets is let through to and from containers: chains of the table of the
// family inet, whose sets firewall_content.cpp makes. Internal.
#pragma once

#include "kernel/nftables.h"
#include "network/firewall_content.h"

namespace berth::network {

void write_forward(kernel::NftBatch& batch, const FirewallContent& content);

} // namespace berth::network
