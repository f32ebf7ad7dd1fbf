// SPDX-License-Identifier: Apache-2.0
// Ending a subscription from a callback that may run inside of the subscription's own delivery.
#pragma once

#include "engine/subscription.h"
#include "io/event_loop.h"

#include <utility>

namespace berth::api {

// Cancels in the engine's loop. A stream's on_close() can come from within the very call that ended
// it, with the publisher's locks held.
inline void cancel_later(io::EventLoop& loop, engine::Subscription subscription) {
    loop.post([subscription = std::move(subscription)]() mutable { subscription.reset(); });
}

} // namespace berth::api
