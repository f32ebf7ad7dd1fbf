// SPDX-License-Identifier: Apache-2.0
// epoll(7) with an eventfd for other threads. A descriptor's number may be used again within one
// batch of events: a generation tells the old owner's events from the new one's.
#include "network/socket_loop.h"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace berth::network {
namespace {

constexpr int events_at_once = 64;

int control(
    const UniqueFd& epoll, int operation, FdRef fd, std::uint32_t events, std::uint64_t token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    return ::epoll_ctl(epoll.get(), operation, fd.get(), &event);
}

} // namespace

Result<std::unique_ptr<SocketLoop>> SocketLoop::create() {
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) {
        return errno_error("epoll_create1");
    }
    UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    std::unique_ptr<SocketLoop> loop(new SocketLoop(std::move(epoll), std::move(wake)));
    TRY(loop->add(loop->wake_, EPOLLIN, nullptr));
    return loop;
}

std::uint64_t SocketLoop::token_of(int fd) const {
    const auto index = static_cast<std::size_t>(fd);
    return std::uint64_t{slots_[index].generation} << 32 | static_cast<std::uint32_t>(fd);
}

Result<void>
SocketLoop::add(FdRef fd, std::uint32_t events, std::shared_ptr<SocketHandler> handler) {
    const auto index = static_cast<std::size_t>(fd.get());
    if (slots_.size() <= index) {
        slots_.resize(index + 1);
    }
    ++slots_[index].generation;
    if (control(epoll_, EPOLL_CTL_ADD, fd, events, token_of(fd.get())) != 0) {
        return errno_error("epoll_ctl");
    }
    slots_[index].handler = std::move(handler);
    return ok();
}

void SocketLoop::change(FdRef fd, std::uint32_t events) {
    static_cast<void>(control(epoll_, EPOLL_CTL_MOD, fd, events, token_of(fd.get())));
}

void SocketLoop::remove(FdRef fd) {
    const auto index = static_cast<std::size_t>(fd.get());
    if (index < slots_.size() && slots_[index].handler) {
        static_cast<void>(control(epoll_, EPOLL_CTL_DEL, fd, 0, 0));
        slots_[index].handler.reset();
        ++slots_[index].generation;
    }
}

SocketLoop::TimerId SocketLoop::after(Clock::duration time, std::function<void()> action) {
    const TimerId id(Clock::now() + time, ++timer_count_);
    timers_.emplace(id, std::move(action));
    return id;
}

void SocketLoop::cancel(const TimerId& timer) {
    timers_.erase(timer);
}

void SocketLoop::wake() {
    const std::uint64_t one = 1;
    // It fails only when 2^64 - 1 calls wait, which wakes as well.
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

void SocketLoop::post(std::function<void()> action) {
    posted_.lock()->actions.push_back(std::move(action));
    wake();
}

void SocketLoop::stop() {
    posted_.lock()->stopped = true;
    wake();
}

int SocketLoop::milliseconds_to_next_timer() const {
    if (timers_.empty()) {
        return -1;
    }
    const auto left = timers_.begin()->first.first - Clock::now();
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return rounded < 0 ? 0 : static_cast<int>(rounded);
}

void SocketLoop::run_timers() {
    const Clock::time_point now = Clock::now();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
        const std::function<void()> action = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        action();
    }
}

bool SocketLoop::run_posted() {
    std::uint64_t count = 0;
    static_cast<void>(!::read(wake_.get(), &count, sizeof count));
    std::vector<std::function<void()>> actions;
    {
        auto posted = posted_.lock();
        if (posted->stopped) {
            return false;
        }
        actions.swap(posted->actions);
    }
    for (const std::function<void()>& action : actions) {
        action();
    }
    return true;
}

void SocketLoop::run() {
    std::array<epoll_event, events_at_once> events{};
    while (true) {
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), events_at_once, milliseconds_to_next_timer());
        bool posted = false;
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            const auto fd = static_cast<std::size_t>(event.data.u64 & 0xffffffffU);
            if (fd == static_cast<std::size_t>(wake_.get())) {
                posted = true;
                continue;
            }
            const Slot& slot = slots_[fd];
            if (slot.generation == event.data.u64 >> 32 && slot.handler) {
                const std::shared_ptr<SocketHandler> handler = slot.handler; // it may remove itself
                handler->on_ready(event.events);
            }
        }
        run_timers();
        if (posted && !run_posted()) {
            return;
        }
    }
}

} // namespace berth::network
