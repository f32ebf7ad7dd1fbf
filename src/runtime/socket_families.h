// SPDX-License-Identifier: Apache-2.0
// Which kinds of sockets a process may make. Faults of the kernel were again and again reached by
// families that hardly a program needs and that load a module when they are asked for
// (CVE-2026-43284, CVE-2026-43500, CVE-2026-46300: IPsec, RxRPC).
#pragma once

#include "base/result.h"
#include "oci/runtime_config.h"

#include <cstdint>

namespace berth::runtime {

enum class SocketFamilies : std::uint8_t {
    All,     // what the profile says
    Limited, // UNIX, INET, INET6, and NETLINK for routes and for events of devices
};

// Takes from a profile every other family, and whatever it allows stays at most what it was.
// socketcall(2), which has its arguments where no filter sees them, is answered ENOSYS: 32 bit
// programs whose C library still uses it have no sockets. InvalidArgument for a profile that allows
// what it does not name.
Result<void> limit_socket_families(oci::Seccomp& profile);

} // namespace berth::runtime
