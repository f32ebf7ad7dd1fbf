// SPDX-License-Identifier: Apache-2.0
// The tables of iptables-legacy, which are no nf_tables: nobody tells when they change, and rules
// are put into them by replacing all of them at once. They are looked at, not touched.
#pragma once

#include <string>
#include <vector>

namespace berth::network {

// Whether somebody has made their filter tables, of either family. Loads no kernel module.
bool has_legacy_filter_table();
// Whether they have others that see each packet: raw, mangle, security. As above.
bool has_legacy_packet_tables();

// In the calling thread's network namespace: what of them stops forwarded packets although our
// rules let these through, in words for the log. Loads no kernel module.
std::vector<std::string> legacy_obstacles();

} // namespace berth::network
