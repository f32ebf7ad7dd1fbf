// SPDX-License-Identifier: Apache-2.0
// What an interface does with packets on their way, as rtnetlink requests: the rate at which it
// sends (a token bucket in place of its queue), and an eBPF program that sees what it receives.
#pragma once

#include "kernel/netlink_route.h"

#include <cstdint>
#include <string>

namespace berth::kernel {

// What is too much waits, for a tenth of a second at most, and is dropped then. Again for an
// interface that has one: changes the rate.
void add_rate_limit(RouteBatch& batch, int index, std::uint64_t bytes_per_second);

// The program (BPF_PROG_TYPE_SCHED_CLS, direct action) sees all that the interface receives, before
// a bridge does. Two requests; the first fails with EEXIST where the interface has such a place
// (clsact) already. Again: the new program replaces the one of that name and priority.
void add_receive_program(RouteBatch& batch, int index, FdRef program, const std::string& name);

} // namespace berth::kernel
