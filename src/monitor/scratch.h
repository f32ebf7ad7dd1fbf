// SPDX-License-Identifier: Apache-2.0
// The one buffer that a monitor reads into, and the moment when memory is given back: soon after
// the last traffic or request.
#pragma once

#include "base/result.h"
#include "io/event_loop.h"

#include <cstddef>
#include <functional>
#include <span>

namespace berth::monitor {

class Scratch {
  public:
    // The capacity of a pipe: what one read can give at most.
    static constexpr std::size_t size = 64U << 10;

    // before_trim: lets the owner drop what it can make again.
    explicit Scratch(io::EventLoop& loop, std::function<void()> before_trim = {});
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch();

    std::span<char> bytes() { return bytes_; }

    // That many bytes were filled.
    void used(std::size_t count);

    // Gives memory back (idle_memory.h) when nothing happens for a moment.
    void trim_soon();

  private:
    void trim();

    io::EventLoop& loop_;
    std::function<void()> before_trim_;
    std::span<char> bytes_;
    bool trim_is_due_ = false;
    bool active_ = false; // since the timer was set
    io::EventLoop::TimerId timer_{};
};

} // namespace berth::monitor
