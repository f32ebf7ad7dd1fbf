// SPDX-License-Identifier: Apache-2.0
// LogWatch over one inotify descriptor. A directory that several follow is one inotify watch, which
// counts them.
#include "io/log_watch.h"

#include "base/synchronized.h"

#include <array>
#include <cerrno>
#include <map>
#include <utility>
#include <vector>

#include <sys/inotify.h>
#include <unistd.h>

namespace berth::io {

struct LogWatch::State {
    using Callback = std::shared_ptr<std::function<void()>>;
    using Callbacks = std::map<std::uint64_t, Callback>;

    struct Shared {
        std::map<int, Callbacks> by_watch;
        std::uint64_t next_id = 1;
    };

    EventLoop& loop;
    UniqueFd inotify;
    std::uint32_t events;
    Synchronized<Shared> shared;

    void handle_readable();
    void tell(int watch);
    void unsubscribe(int watch, std::uint64_t id);
};

void LogWatch::State::tell(int watch) {
    std::vector<std::weak_ptr<std::function<void()>>> callbacks;
    {
        auto locked = shared.lock();
        const auto found = locked->by_watch.find(watch);
        if (found == locked->by_watch.end()) {
            return;
        }
        for (const auto& [id, callback] : found->second) {
            callbacks.push_back(callback);
        }
    }
    for (const auto& weak : callbacks) {
        if (const Callback callback = weak.lock()) {
            (*callback)();
        }
    }
}

void LogWatch::State::handle_readable() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    std::vector<int> changed;
    for (;;) {
        const ssize_t count = read(inotify.get(), buffer.data(), buffer.size());
        if (count <= 0) {
            break;
        }
        for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
            // SAFETY: the kernel writes whole events, aligned, into an aligned buffer.
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += sizeof(inotify_event) + event->len;
            if ((event->mask & IN_Q_OVERFLOW) != 0) {
                auto locked = shared.lock();
                for (const auto& [watch, callbacks] : locked->by_watch) {
                    changed.push_back(watch);
                }
            } else if (changed.empty() || changed.back() != event->wd) {
                changed.push_back(event->wd);
            }
        }
    }
    for (const int watch : changed) {
        tell(watch);
    }
}

void LogWatch::State::unsubscribe(int watch, std::uint64_t id) {
    auto locked = shared.lock();
    const auto found = locked->by_watch.find(watch);
    found->second.erase(id);
    if (found->second.empty()) {
        locked->by_watch.erase(found);
        (void)inotify_rm_watch(inotify.get(), watch); // fails when the directory is gone
    }
}

LogWatch::LogWatch(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

LogWatch::~LogWatch() {
    state_->loop.remove(state_->inotify);
}

Result<std::shared_ptr<LogWatch>> LogWatch::create(EventLoop& loop, Tells tells) {
    UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify) {
        return errno_error("inotify_init1");
    }
    std::shared_ptr<State> state(new State{
        .loop = loop,
        .inotify = std::move(inotify),
        .events = IN_CREATE | IN_ONLYDIR | (tells == Tells::Writes ? IN_MODIFY : 0U),
        .shared = {}});
    std::shared_ptr<LogWatch> watch(new LogWatch(state));
    // epoll itself is safe to add to from any thread; the loop's own table is not.
    if (loop.in_loop_thread()) {
        TRY(loop.add(
            state->inotify, EPOLLIN, [state](std::uint32_t) { state->handle_readable(); }));
    } else {
        loop.post([state] {
            VERIFY(state->loop
                       .add(
                           state->inotify,
                           EPOLLIN,
                           [state](std::uint32_t) { state->handle_readable(); })
                       .ok());
        });
    }
    return watch;
}

Result<std::unique_ptr<LogWatch::Subscription>>
LogWatch::subscribe(const std::string& directory, std::function<void()> changed) {
    auto locked = state_->shared.lock();
    const int watch = inotify_add_watch(state_->inotify.get(), directory.c_str(), state_->events);
    if (watch < 0) {
        return errno_error("watch " + directory);
    }
    const std::uint64_t id = locked->next_id++;
    locked->by_watch[watch].emplace(
        id, std::make_shared<std::function<void()>>(std::move(changed)));
    return std::unique_ptr<Subscription>(new Subscription(state_, watch, id));
}

LogWatch::Subscription::~Subscription() {
    state_->unsubscribe(watch_, id_);
}

} // namespace berth::io
