// SPDX-License-Identifier: Apache-2.0
// Removing interfaces in batches.
#include "network/interface_reaper.h"

#include "base/log.h"
#include "base/random.h"
#include "kernel/netlink_route.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace berth::network {
namespace {

using Clock = std::chrono::steady_clock;

// Removal starts when nothing was discarded for a while, at the latest after some time or number.
constexpr auto reaper_quiet_time = std::chrono::milliseconds(300);
constexpr auto longest_time_to_collect = std::chrono::seconds(1);
constexpr std::size_t most_waiting = 64; // more at once holds the lock noticeably longer
// How long the kernel has to remove interfaces with their namespaces before they are removed
// singly.
constexpr auto moment_of_grace = std::chrono::milliseconds(200);
// Between two bridges, for those who wait for the kernel's network configuration lock.
constexpr auto pause_between_bridges = std::chrono::milliseconds(20);

struct Discarded {
    int interface_index = 0;
    UniqueFd netns;
};

// All in one message: the kernel waits once for the whole group.
Result<void> delete_together(
    kernel::RouteSocket& host, const std::vector<Discarded>& discarded, std::uint32_t group) {
    kernel::RouteBatch mark;
    for (const Discarded& entry : discarded) {
        mark.change_link(entry.interface_index, {.group = group});
    }
    std::size_t left = 0;
    for (const int error_number : TRY(host.execute_each(mark))) {
        left += error_number == 0 ? 1 : 0;
    }
    if (left == 0) {
        return ok();
    }
    kernel::RouteBatch removal;
    removal.delete_group(group);
    // ENODEV when the last one went meanwhile.
    TRY(host.execute_each(removal));
    return ok();
}

} // namespace

struct InterfaceReaper::State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Discarded> waiting;
    std::deque<int> bridges;
    int bridge_at_work = 0;
    Clock::time_point first_discarded;
    Clock::time_point last_discarded;
    bool working = false;
    bool hurry = false;
    bool stopping = false;

    std::uint32_t group = 0; // of our own: another engine's reaper has another
    std::thread thread;

    Clock::time_point due() const {
        return std::min(
            last_discarded + reaper_quiet_time, first_discarded + longest_time_to_collect);
    }

    bool is_due() const {
        return stopping || hurry || waiting.size() >= most_waiting || Clock::now() >= due();
    }

    // REQUIRES: lock held. Returns when what waits is to go.
    void wait_until_due(std::unique_lock<std::mutex>& lock) {
        while (!is_due()) {
            changed.wait_until(lock, due());
        }
    }

    // REQUIRES: lock held, a bridge waits.
    void remove_bridge(std::unique_lock<std::mutex>& lock, kernel::RouteSocket& host) {
        bridge_at_work = bridges.front();
        bridges.pop_front();
        lock.unlock();
        kernel::RouteBatch removal;
        removal.delete_link(bridge_at_work);
        const Result<std::vector<int>> errors = host.execute_each(removal); // ENODEV: it is gone
        lock.lock();
        bridge_at_work = 0;
        if (!errors.ok()) {
            log::debug("cannot remove a bridge, ignoring", {{"error", errors.error().message()}});
        }
        changed.notify_all();
        changed.wait_for(lock, pause_between_bridges, [&] { return stopping || hurry; });
    }

    void run(kernel::RouteSocket& host) {
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return stopping || !waiting.empty() || !bridges.empty(); });
            if (waiting.empty() && bridges.empty()) {
                return;
            }
            if (waiting.empty() || (!is_due() && !bridges.empty())) {
                remove_bridge(lock, host);
                continue;
            }
            wait_until_due(lock);
            std::vector<Discarded> discarded = std::exchange(waiting, {});
            working = true;
            lock.unlock();
            for (Discarded& entry : discarded) {
                entry.netns.reset();
            }
            lock.lock();
            changed.wait_for(lock, moment_of_grace, [&] { return stopping || hurry; });
            lock.unlock();
            const Result<void> deleted = delete_together(host, discarded, group);
            lock.lock();
            working = false;
            if (!deleted.ok()) {
                log::debug(
                    "cannot remove interfaces, ignoring", {{"error", deleted.error().message()}});
            }
            changed.notify_all();
        }
    }
};

InterfaceReaper::InterfaceReaper(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Result<std::unique_ptr<InterfaceReaper>> InterfaceReaper::start() {
    auto state = std::make_unique<State>();
    // Groups are signed on the way through the kernel, and 0 is everybody's.
    state->group = static_cast<std::uint32_t>(random_u64() % 0x7ffffffe) + 1;
    kernel::RouteSocket host = TRY(kernel::RouteSocket::open());
    State* shared = state.get();
    state->thread = std::thread([shared, host = std::move(host)]() mutable { shared->run(host); });
    return std::unique_ptr<InterfaceReaper>(new InterfaceReaper(std::move(state)));
}

InterfaceReaper::~InterfaceReaper() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
    }
    state_->changed.notify_all();
    state_->thread.join();
}

void InterfaceReaper::discard(int interface_index, UniqueFd netns) {
    const std::lock_guard lock(state_->mutex);
    state_->last_discarded = Clock::now();
    if (state_->waiting.empty()) {
        state_->first_discarded = state_->last_discarded;
    }
    state_->waiting.push_back({interface_index, std::move(netns)});
    state_->changed.notify_all();
}

void InterfaceReaper::discard_bridge(int interface_index) {
    const std::lock_guard lock(state_->mutex);
    state_->bridges.push_back(interface_index);
    state_->changed.notify_all();
}

void InterfaceReaper::finish_bridge(int interface_index) {
    std::unique_lock lock(state_->mutex);
    const auto found = std::ranges::find(state_->bridges, interface_index);
    if (found != state_->bridges.end()) {
        state_->bridges.erase(found);
        state_->bridges.push_front(interface_index);
    }
    state_->changed.wait(lock, [&] {
        return state_->bridge_at_work != interface_index &&
               std::ranges::find(state_->bridges, interface_index) == state_->bridges.end();
    });
}

void InterfaceReaper::finish() {
    std::unique_lock lock(state_->mutex);
    state_->hurry = true;
    state_->changed.notify_all();
    state_->changed.wait(lock, [&] {
        return state_->waiting.empty() && !state_->working && state_->bridges.empty() &&
               state_->bridge_at_work == 0;
    });
    state_->hurry = false;
}

} // namespace berth::network
