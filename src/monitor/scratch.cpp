// SPDX-License-Identifier: Apache-2.0
// An anonymous mapping and a timer.
#include "monitor/scratch.h"

#include "monitor/idle_memory.h"

#include <chrono>
#include <utility>

#include <sys/mman.h>

namespace berth::monitor {
namespace {

constexpr std::chrono::milliseconds trim_delay{60};
constexpr std::size_t worth_giving_back = 4096;

} // namespace

Scratch::Scratch(io::EventLoop& loop, std::function<void()> before_trim)
    : loop_(loop)
    , before_trim_(std::move(before_trim)) {
    void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    VERIFY(pages != MAP_FAILED);
    bytes_ = {static_cast<char*>(pages), size};
}

Scratch::~Scratch() {
    if (trim_is_due_) {
        loop_.cancel_timer(timer_);
    }
    (void)munmap(bytes_.data(), bytes_.size());
}

void Scratch::used(std::size_t count) {
    // Small writes touch one page and code that all monitors share: not worth giving back.
    if (count > worth_giving_back) {
        trim_soon();
    }
}

void Scratch::trim_soon() {
    active_ = true;
    if (!trim_is_due_) {
        trim_is_due_ = true;
        timer_ = loop_.add_timer(trim_delay, [this] { trim(); });
    }
}

void Scratch::trim() {
    trim_is_due_ = false;
    if (std::exchange(active_, false)) { // not a whole delay of silence yet
        trim_is_due_ = true;
        timer_ = loop_.add_timer(trim_delay, [this] { trim(); });
        return;
    }
    if (before_trim_) {
        before_trim_();
    }
    wait_without_memory(bytes_, loop_.readiness(), loop_.milliseconds_to_timer());
}

} // namespace berth::monitor
