// SPDX-License-Identifier: Apache-2.0
// Waiting for what tells nobody when it is done.
#pragma once

#include <chrono>
#include <thread>

namespace berth {

// Asks at once, and then at each interval until the limit; false when that ends first.
template <typename Ask>
bool poll_until(Ask is_done, std::chrono::microseconds interval, std::chrono::microseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!is_done()) {
        if (std::chrono::steady_clock::now() >= end) {
            return false;
        }
        std::this_thread::sleep_for(interval);
    }
    return true;
}

} // namespace berth
