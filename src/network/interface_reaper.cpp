// SPDX-License-Identifier: Apache-2.0
// Removing interfaces in batches.
#include "network/interface_reaper.h"

#include "base/log.h"
#include "base/random.h"
#include "kernel/netlink_route.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace berth::network {
namespace {

// Long enough for the kernel to have removed the namespace of a container that ended.
constexpr auto moment_of_grace = std::chrono::milliseconds(100);

// All in one message: the kernel waits once for the whole group.
Result<void> delete_together(
    kernel::RouteSocket& host, const std::vector<int>& interfaces, std::uint32_t group) {
    kernel::RouteBatch mark;
    for (const int index : interfaces) {
        mark.change_link(index, {.group = group});
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
    std::vector<int> waiting;
    bool working = false;
    bool hurry = false;
    bool stopping = false;

    std::uint32_t group = 0; // of our own: another engine's reaper has another
    std::thread thread;

    void run(kernel::RouteSocket& host) {
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return stopping || !waiting.empty(); });
            if (waiting.empty()) {
                return;
            }
            changed.wait_for(lock, moment_of_grace, [&] { return stopping || hurry; });
            const std::vector<int> interfaces = std::exchange(waiting, {});
            working = true;
            lock.unlock();
            const Result<void> deleted = delete_together(host, interfaces, group);
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

void InterfaceReaper::discard(int interface_index) {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back(interface_index);
    state_->changed.notify_all();
}

void InterfaceReaper::finish() {
    std::unique_lock lock(state_->mutex);
    state_->hurry = true;
    state_->changed.notify_all();
    state_->changed.wait(lock, [&] { return state_->waiting.empty() && !state_->working; });
    state_->hurry = false;
}

} // namespace berth::network
