// SPDX-License-Identifier: Apache-2.0
// An anonymous mapping and a timer.
#include "monitor/scratch.h"

#include <chrono>

#include <malloc.h>
#include <sys/mman.h>

namespace berth::monitor {
namespace {

constexpr std::chrono::milliseconds trim_delay{100};
constexpr std::size_t page_size = 4096;

} // namespace

Scratch::Scratch(io::EventLoop& loop)
    : loop_(loop) {
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
    if (count > page_size) {
        trim_soon();
    }
}

void Scratch::trim_soon() {
    if (trim_is_due_) {
        return;
    }
    trim_is_due_ = true;
    timer_ = loop_.add_timer(trim_delay, [this] {
        trim_is_due_ = false;
        (void)madvise(bytes_.data(), bytes_.size(), MADV_DONTNEED);
        (void)malloc_trim(0);
    });
}

} // namespace berth::monitor
