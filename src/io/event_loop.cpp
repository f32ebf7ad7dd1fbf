// SPDX-License-Identifier: Apache-2.0
// One epoll loop. A watch is found by descriptor number and generation: an event that was fetched
// before its watch was removed, or whose number has been reused since, is recognised and dropped.
#include "io/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace berth::io {
namespace {

constexpr int events_per_round = 32;
constexpr std::uint64_t wake_key = ~std::uint64_t{0};

epoll_event make_event(std::uint32_t events, std::uint64_t key) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    return event;
}

// Rounded up, so that a timer never fires a round early and spins.
int to_milliseconds(std::chrono::nanoseconds duration) {
    constexpr std::int64_t longest = 3'600'000;
    const std::int64_t rounded = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    return static_cast<int>(std::clamp<std::int64_t>(rounded, 0, longest));
}

} // namespace

struct EventLoop::Watch {
    int fd;
    std::uint32_t generation;
    std::uint32_t events;
    FdCallback callback;

    std::uint64_t key() const {
        return std::uint64_t{generation} << 32U | static_cast<std::uint32_t>(fd);
    }
};

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) {
        return errno_error("epoll_create1");
    }
    UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    epoll_event event = make_event(EPOLLIN, wake_key);
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
        return errno_error("epoll_ctl");
    }
    return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll))
    , wake_(std::move(wake)) {}

EventLoop::~EventLoop() = default;

EventLoop::Watch* EventLoop::find(int fd) {
    const auto index = static_cast<std::size_t>(fd);
    return fd >= 0 && index < watches_.size() ? watches_[index].get() : nullptr;
}

Result<void> EventLoop::add(FdRef fd, std::uint32_t events, FdCallback callback) {
    VERIFY(fd.get() >= 0 && find(fd.get()) == nullptr);
    const auto index = static_cast<std::size_t>(fd.get());
    if (watches_.size() <= index) {
        watches_.resize(index + 1);
    }
    auto watch = std::make_unique<Watch>();
    watch->fd = fd.get();
    watch->generation = next_generation_++;
    watch->events = events;
    watch->callback = std::move(callback);
    epoll_event event = make_event(events, watch->key());
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
        return errno_error("epoll_ctl");
    }
    watches_[index] = std::move(watch);
    return ok();
}

Result<void> EventLoop::modify(FdRef fd, std::uint32_t events) {
    Watch* watch = find(fd.get());
    VERIFY(watch != nullptr);
    if (watch->events == events) {
        return ok();
    }
    epoll_event event = make_event(events, watch->key());
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) != 0) {
        return errno_error("epoll_ctl");
    }
    watch->events = events;
    return ok();
}

void EventLoop::remove(FdRef fd) {
    Watch* watch = find(fd.get());
    if (watch == nullptr) {
        return;
    }
    VERIFY(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr) == 0);
    // The callback may be the one that is running: it lives until the round ends.
    retired_.push_back(std::move(watches_[static_cast<std::size_t>(fd.get())]));
}

EventLoop::TimerId EventLoop::add_timer(std::chrono::nanoseconds delay, Job job) {
    const std::uint64_t id = next_timer_++;
    const Clock::time_point deadline = Clock::now() + delay;
    timers_.emplace(TimerKey(deadline, id), std::move(job));
    timer_deadlines_.emplace(id, deadline);
    return TimerId{id};
}

void EventLoop::cancel_timer(TimerId id) {
    const auto number = static_cast<std::uint64_t>(id);
    const auto found = timer_deadlines_.find(number);
    if (found != timer_deadlines_.end()) {
        timers_.erase(TimerKey(found->second, number));
        timer_deadlines_.erase(found);
    }
}

void EventLoop::post(Job job) {
    bool first = false;
    {
        auto posted = posted_.lock();
        first = posted->empty();
        posted->push_back(std::move(job));
    }
    if (first) {
        // Can fail only when the counter is full, and then the loop wakes up anyway.
        (void)eventfd_write(wake_.get(), 1);
    }
}

void EventLoop::stop() {
    stopped_ = true;
    (void)eventfd_write(wake_.get(), 1);
}

bool EventLoop::in_loop_thread() const {
    return thread_.load() == std::this_thread::get_id();
}

int EventLoop::milliseconds_to_timer() const {
    return timers_.empty() ? -1 : to_milliseconds(timers_.begin()->first.first - Clock::now());
}

void EventLoop::run() {
    thread_ = std::this_thread::get_id();
    do {
        run_once(std::nullopt);
    } while (!stopped_.exchange(false));
    thread_ = std::thread::id();
}

int EventLoop::wait(
    std::optional<std::chrono::nanoseconds> timeout, epoll_event* events, int capacity) {
    if (!timers_.empty()) {
        const auto until_timer = timers_.begin()->first.first - Clock::now();
        timeout = timeout ? std::min(*timeout, until_timer) : until_timer;
    }
    const int count =
        epoll_wait(epoll_.get(), events, capacity, timeout ? to_milliseconds(*timeout) : -1);
    VERIFY(count >= 0 || errno == EINTR);
    return std::max(count, 0);
}

void EventLoop::run_once(std::optional<std::chrono::nanoseconds> timeout) {
    std::array<epoll_event, events_per_round> events;
    const int count = wait(timeout, events.data(), events_per_round);
    for (int i = 0; i < count; ++i) {
        dispatch(events[static_cast<std::size_t>(i)]);
    }
    if (!timers_.empty()) {
        run_expired_timers();
    }
    retired_.clear();
}

void EventLoop::dispatch(const epoll_event& event) {
    if (event.data.u64 == wake_key) {
        run_posted_jobs();
        return;
    }
    Watch* watch = find(static_cast<int>(event.data.u64 & 0xffffffffU));
    if (watch != nullptr && watch->key() == event.data.u64) {
        watch->callback(event.events);
    }
}

void EventLoop::run_expired_timers() {
    // Timers that a job adds wait for the next round: a timer of zero must not starve descriptors.
    const Clock::time_point now = Clock::now();
    const std::uint64_t first_new = next_timer_;
    for (auto timer = timers_.begin(); timer != timers_.end() && timer->first.first <= now;) {
        if (timer->first.second >= first_new) {
            ++timer;
            continue;
        }
        Job job = std::move(timer->second);
        timer_deadlines_.erase(timer->first.second);
        timers_.erase(timer);
        job();
        timer = timers_.begin(); // the job may have cancelled any other
    }
}

void EventLoop::run_posted_jobs() {
    eventfd_t counter = 0;
    (void)eventfd_read(wake_.get(), &counter);
    std::vector<Job> jobs;
    std::swap(jobs, *posted_.lock());
    for (Job& job : jobs) {
        job();
    }
}

EventLoopThread::EventLoopThread(std::unique_ptr<EventLoop> loop)
    : loop_(std::move(loop))
    , thread_([this] { loop_->run(); }) {}

Result<std::unique_ptr<EventLoopThread>> EventLoopThread::start() {
    auto loop = TRY(EventLoop::create());
    return std::unique_ptr<EventLoopThread>(new EventLoopThread(std::move(loop)));
}

EventLoopThread::~EventLoopThread() {
    loop_->stop();
    thread_.join();
}

Result<void> set_nonblocking(FdRef fd) {
    const int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return errno_error("set O_NONBLOCK");
    }
    return ok();
}

} // namespace berth::io
