// SPDX-License-Identifier: Apache-2.0
// The rate at which an interface sends, as an rtnetlink request: a token bucket in place of its
// queue.
#pragma once

#include "kernel/netlink_route.h"

#include <cstdint>

namespace berth::kernel {

// What is too much waits, for a tenth of a second at most, and is dropped then. Again for an
// interface that has one: changes the rate.
void add_rate_limit(RouteBatch& batch, int index, std::uint64_t bytes_per_second);

} // namespace berth::kernel
