// SPDX-License-Identifier: Apache-2.0
// A registered callback: it is taken back when the Subscription is destroyed. A callback that runs
// at that moment on another thread may still finish.
#pragma once

#include <functional>
#include <utility>

namespace berth::engine {

class Subscription {
  public:
    Subscription() = default;

    explicit Subscription(std::function<void()> cancel)
        : cancel_(std::move(cancel)) {}

    Subscription(Subscription&& other) noexcept
        : cancel_(std::exchange(other.cancel_, nullptr)) {}

    Subscription& operator=(Subscription&& other) noexcept {
        if (this != &other) {
            reset();
            cancel_ = std::exchange(other.cancel_, nullptr);
        }
        return *this;
    }

    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    ~Subscription() { reset(); }

    void reset() {
        if (auto cancel = std::exchange(cancel_, nullptr)) {
            cancel();
        }
    }

  private:
    std::function<void()> cancel_;
};

} // namespace berth::engine
