// SPDX-License-Identifier: Apache-2.0
// The timer belongs to the loop's thread; what it shares with a round and with stop() is behind a
// lock. Requests while a timer waits change nothing, so that a hundred builds cost one round.
#include "engine/collector.h"

#include "base/log.h"
#include "base/synchronized.h"
#include "kernel/scheduling.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace berth::engine {

namespace {

constexpr std::chrono::seconds pause{1}; // between two rounds of one collection
// Not the lowest: a round holds the locks of the stores at times, and others wait for them.
constexpr int round_nice = 10;
constexpr int best_effort = 2; // IOPRIO_CLASS_BE of linux/ioprio.h, which C++ cannot read
constexpr int round_io_level = 7;

void lower_priority() {
    // Without them it only disturbs more.
    (void)kernel::set_scheduler(0, {.nice = round_nice}).ok();
    (void)kernel::set_io_priority(0, best_effort, round_io_level).ok();
}

} // namespace

struct Collector::State : std::enable_shared_from_this<State> {
    explicit State(Options given)
        : options(std::move(given)) {}

    struct Round {
        bool started = false;
        bool stopped = false;
        bool running = false;
        bool wanted = false; // another one behind the one that runs
        std::jthread thread;
    };

    const Options options;
    std::vector<std::pair<std::string, Part>> parts;
    Synchronized<Round> round;
    // Of the loop's thread.
    std::optional<io::EventLoop::TimerId> timer;
    io::EventLoop::Clock::time_point due;

    void post_round_in(std::chrono::nanoseconds delay) {
        options.loop.post([self = shared_from_this(), delay] { self->arm(delay); });
    }

    // The earlier of two rounds counts.
    void arm(std::chrono::nanoseconds delay) {
        if (auto state = round.lock(); !state->started || state->stopped) {
            return;
        }
        const auto wanted = io::EventLoop::Clock::now() + delay;
        if (timer && due <= wanted) {
            return;
        }
        if (timer) {
            options.loop.cancel_timer(*timer);
        }
        due = wanted;
        timer = options.loop.add_timer(delay, [self = shared_from_this()] {
            self->timer.reset();
            self->begin();
        });
    }

    void begin() {
        auto state = round.lock();
        if (state->stopped) {
            return;
        }
        if (state->running) {
            state->wanted = true;
            return;
        }
        state->running = true;
        // The thread before it has ended but for its last words.
        state->thread = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }

    void run(const std::stop_token& stop) {
        lower_priority();
        bool more = false;
        const auto report = collect(stop, more);
        if (options.finished) {
            options.finished(report);
        }
        bool wanted = false;
        {
            auto state = round.lock();
            state->running = false;
            wanted = std::exchange(state->wanted, false);
        }
        if (more || wanted) {
            post_round_in(std::min<std::chrono::nanoseconds>(pause, options.delay));
        } else if (options.interval.count() > 0) {
            post_round_in(options.interval);
        }
    }

    Result<store::CollectionReport> collect(const std::stop_token& stop, bool& more) {
        std::set<oci::Digest> released;
        for (const auto& [name, part] : parts) {
            if (stop.stop_requested()) {
                break;
            }
            auto done = part(options.bound);
            if (!done.ok()) {
                log::warn(
                    "part of the garbage not collected, retrying later",
                    {{"part", name}, {"error", done.error().message()}});
                continue;
            }
            more = more || done->more;
            released.merge(done->released);
        }
        auto report = options.store.collect(
            stop,
            {.minimum_age = options.unused_for,
             .partials = true,
             .released = std::move(released),
             .bound = options.bound});
        if (!report.ok()) {
            if (report.error().kind() != ErrorKind::Cancelled) {
                log::warn(
                    "garbage not collected, retrying later", {{"error", report.error().message()}});
            }
            return report;
        }
        more = more || report->more;
        if (report->layers_removed + report->blobs_removed + report->partials_removed > 0) {
            log::info(
                "garbage collected",
                {{"layers", report->layers_removed},
                 {"blobs", report->blobs_removed},
                 {"downloads", report->partials_removed},
                 {"bytes", report->bytes_reclaimed}});
        }
        return report;
    }
};

Collector::Collector(Options options)
    : state_(std::make_shared<State>(std::move(options))) {}

Collector::~Collector() {
    stop();
}

void Collector::add_part(std::string name, Part part) {
    state_->parts.emplace_back(std::move(name), std::move(part));
}

void Collector::start() {
    state_->round.lock()->started = true;
    state_->post_round_in(state_->options.delay);
}

void Collector::request() {
    state_->post_round_in(state_->options.delay);
}

void Collector::stop() {
    std::jthread last;
    {
        auto state = state_->round.lock();
        state->stopped = true;
        last = std::move(state->thread);
    }
    if (last.joinable()) {
        last.request_stop();
        last.join();
    }
}

} // namespace berth::engine
