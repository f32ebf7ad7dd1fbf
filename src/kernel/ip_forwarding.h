// SPDX-License-Identifier: Apache-2.0
// net.ipv4.ip_forward and net.ipv6.conf.all.forwarding: ip-sysctl in the kernel's documentation.
// The latter is all that IPv6 asks: an interface's own switch makes it a router's towards its
// neighbors.
#pragma once

#include <optional>

namespace berth::kernel {

// Of the network namespace in which this was asked first. nullopt: it cannot be read. For questions
// that come often: the kernel would look for the name among those of all namespaces. Thread-safe.
std::optional<bool> ipv4_forwarding();
std::optional<bool> ipv6_forwarding();

} // namespace berth::kernel
