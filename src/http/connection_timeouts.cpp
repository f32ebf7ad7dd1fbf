// SPDX-License-Identifier: Apache-2.0
// What waited too long. The loop's thread sweeps only while some connection has a deadline.
#include "http/connection_loop.h"

#include <algorithm>

#include <sys/epoll.h>

namespace berth::http {

namespace {

constexpr std::chrono::milliseconds linger_time{1000};

} // namespace

void Server::Loop::expire(const ConnectionRef& connection, Clock::time_point now) {
    std::unique_lock lock(connection->mutex);
    auto waited = now - connection->since;
    bool has_input = !connection->input.empty() || connection->shakes_hands();
    if (connection->state == State::Lingering) {
        lock.unlock();
        if (waited >= linger_time) {
            forget(connection);
        }
    } else if (connection->state == State::Waiting) {
        lock.unlock();
        const Limits& limits = options_.limits;
        if (has_input && limits.head_time.count() > 0 && waited >= limits.head_time) {
            refuse(connection, 408, "the request's head did not arrive in time");
        } else if (!has_input && limits.idle_time.count() > 0 && waited >= limits.idle_time) {
            forget(connection);
        }
    }
}

std::chrono::milliseconds Server::Loop::sweep_interval() const {
    using std::chrono::milliseconds;
    milliseconds shortest = options_.limits.head_time;
    if (options_.limits.idle_time.count() > 0) {
        shortest = std::min(shortest, options_.limits.idle_time);
    }
    return std::clamp(shortest / 4, milliseconds(10), milliseconds(500));
}

void Server::Loop::sweep() {
    timed_ = false;
    auto now = Clock::now();
    for (const ConnectionRef& connection : all_connections()) {
        expire(connection, now);
        std::lock_guard lock(connection->mutex);
        bool waiting = connection->state == State::Waiting &&
                       (!connection->input.empty() || connection->shakes_hands() ||
                        options_.limits.idle_time.count() > 0);
        if (waiting || connection->state == State::Lingering) {
            timed_ = true;
        }
    }
    if (!accepting_) {
        accepting_ = true;
        set_listening(true);
    }
}

void Server::Loop::set_listening(bool on) {
    auto guard = listeners_.lock();
    for (const auto& [id, listener] : *guard) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = id;
        // The one that was not removed answers EEXIST.
        epoll_ctl(epoll_.get(), on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd().get(), &event);
    }
}

void Server::Loop::need_sweeps() {
    if (!timed_.exchange(true) && std::this_thread::get_id() != loop_thread_.load()) {
        wake();
    }
}

} // namespace berth::http
