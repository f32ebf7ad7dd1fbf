// SPDX-License-Identifier: Apache-2.0
// net.ipv4.ip_forward: ip-sysctl in the kernel's documentation.
#pragma once

#include <optional>

namespace berth::kernel {

// Of the network namespace in which this was asked first. nullopt: it cannot be read. For questions
// that come often: the kernel would look for the name among those of all namespaces. Thread-safe.
std::optional<bool> ipv4_forwarding();

} // namespace berth::kernel
