// SPDX-License-Identifier: Apache-2.0
// The thread that waits for others' changes.
#include "network/firewall_watch.h"

#include "base/log.h"
#include "base/unique_fd.h"
#include "kernel/nftables_monitor.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <poll.h>

namespace berth::network {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds first_pause{5};
constexpr milliseconds longest_pause{1000};
constexpr std::chrono::seconds forgiveness{10};

} // namespace

struct FirewallWatch::State {
    std::string table;
    kernel::NftMonitor monitor;
    FirewallWatchCallbacks callbacks;
    Pipe stop;
    std::thread thread{};

    // False when it is time to end.
    bool sleep(int milliseconds_or_forever, bool until_change) const {
        pollfd entries[] = {
            {.fd = stop.read_end.get(), .events = POLLIN, .revents = 0},
            {.fd = until_change ? monitor.fd().get() : -1, .events = POLLIN, .revents = 0}};
        ::poll(entries, std::size(entries), milliseconds_or_forever);
        return entries[0].revents == 0;
    }

    void run() {
        milliseconds pause = first_pause;
        Clock::time_point last;
        while (sleep(-1, true)) {
            const Result<kernel::NftChanges> changes = monitor.read_changes(table);
            if (!changes.ok()) {
                log::warn(
                    "cannot watch the firewall, ignoring", {{"error", changes.error().message()}});
                return;
            }
            pause = Clock::now() - last > forgiveness ? first_pause
                                                      : std::min(pause * 2, longest_pause);
            answer(*changes);
            last = Clock::now();
            if (!sleep(static_cast<int>(pause.count()), false)) {
                return;
            }
        }
    }

    void answer(const kernel::NftChanges& changes) const {
        const Result<void> done = changes.removed  ? callbacks.rebuild()
                                  : changes.chains ? callbacks.follow()
                                  : changes.others ? callbacks.look()
                                                   : ok();
        if (!done.ok()) {
            log::warn(
                "cannot keep the firewall's rules in force, ignoring",
                {{"table", table}, {"error", done.error().message()}});
        }
    }
};

FirewallWatch::FirewallWatch(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Result<std::unique_ptr<FirewallWatch>> FirewallWatch::start(
    std::string table, std::uint32_t own_port_id, FirewallWatchCallbacks callbacks) {
    kernel::NftMonitor monitor = TRY(kernel::NftMonitor::open(own_port_id));
    Pipe stop = TRY(Pipe::create());
    std::unique_ptr<State> state(new State{
        .table = std::move(table),
        .monitor = std::move(monitor),
        .callbacks = std::move(callbacks),
        .stop = std::move(stop)});
    state->thread = std::thread([raw = state.get()] { raw->run(); });
    return std::unique_ptr<FirewallWatch>(new FirewallWatch(std::move(state)));
}

FirewallWatch::~FirewallWatch() {
    state_->stop.write_end.reset();
    state_->thread.join();
}

} // namespace berth::network
