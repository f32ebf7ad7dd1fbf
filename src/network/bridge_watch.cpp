// SPDX-License-Identifier: Apache-2.0
// The thread that waits for interfaces to go.
#include "network/bridge_watch.h"

#include "base/log.h"
#include "base/unique_fd.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <poll.h>

namespace berth::network {
namespace {

using kernel::LinkWatch;
using std::chrono::milliseconds;

constexpr milliseconds first_pause{5};
constexpr milliseconds longest_pause{1000};

} // namespace

struct BridgeWatch::State {
    LinkWatch links;
    Heal heal;
    Pipe stop;
    LinkWatch::Scope scope = LinkWatch::Scope::Removals;
    milliseconds pause = first_pause;
    std::thread thread{};

    // False when it is time to end.
    bool sleep(int milliseconds_or_forever, bool until_news) const {
        pollfd entries[] = {
            {.fd = stop.read_end.get(), .events = POLLIN, .revents = 0},
            {.fd = until_news ? links.fd().get() : -1, .events = POLLIN, .revents = 0}};
        ::poll(entries, std::size(entries), milliseconds_or_forever);
        return entries[0].revents == 0;
    }

    void run() {
        while (sleep(-1, true)) {
            const Result<bool> healed = answer();
            if (!healed.ok()) {
                log::warn(
                    "cannot watch the networks' bridges, ignoring",
                    {{"error", healed.error().message()}});
                return;
            }
            pause = *healed ? first_pause : std::min(pause * 2, longest_pause);
            if (!*healed && !sleep(static_cast<int>(pause.count()), false)) {
                return;
            }
        }
    }

    Result<bool> answer() {
        const bool healed = heal(TRY(links.read_news()));
        const LinkWatch::Scope wanted = healed ? LinkWatch::Scope::Removals : LinkWatch::Scope::All;
        if (wanted == scope) {
            return healed;
        }
        TRY(links.set_scope(wanted));
        scope = wanted;
        // What was in the way may have gone just before the filter was lifted.
        return healed || heal({});
    }
};

BridgeWatch::BridgeWatch(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Result<std::unique_ptr<BridgeWatch>> BridgeWatch::start(LinkWatch links, Heal heal) {
    Pipe stop = TRY(Pipe::create());
    std::unique_ptr<State> state(
        new State{.links = std::move(links), .heal = std::move(heal), .stop = std::move(stop)});
    state->thread = std::thread([raw = state.get()] { raw->run(); });
    return std::unique_ptr<BridgeWatch>(new BridgeWatch(std::move(state)));
}

BridgeWatch::~BridgeWatch() {
    state_->stop.write_end.reset();
    state_->thread.join();
}

} // namespace berth::network
