// SPDX-License-Identifier: Apache-2.0
// The one buffer that a monitor reads into. Its pages go back to the kernel when traffic pauses: a
// thousand quiet containers must not hold a thousand buffers.
#pragma once

#include "base/result.h"
#include "io/event_loop.h"

#include <cstddef>
#include <span>

namespace berth::monitor {

class Scratch {
  public:
    // The capacity of a pipe: what one read can give at most.
    static constexpr std::size_t size = 64U << 10;

    explicit Scratch(io::EventLoop& loop);
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch();

    std::span<char> bytes() { return bytes_; }

    // That many bytes were filled.
    void used(std::size_t count);

    // Gives back the pages and what the heap does not need, in a moment.
    void trim_soon();

  private:
    io::EventLoop& loop_;
    std::span<char> bytes_;
    bool trim_is_due_ = false;
    io::EventLoop::TimerId timer_{};
};

} // namespace berth::monitor
