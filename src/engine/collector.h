// SPDX-License-Identifier: Apache-2.0
// Garbage collection by itself: some time after the start, after work that may have left garbage,
// and at an interval. While it waits it is a timer in the loop; a round has a thread of its own, of
// low priority, and removes no more than a bound before it makes a pause.
#pragma once

#include "base/result.h"
#include "io/event_loop.h"
#include "store/garbage_collector.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>

namespace berth::engine {

// What a part of a round removed.
struct CollectedPart {
    std::uint64_t removed = 0;
    std::set<oci::Digest> released; // layers that the sweep may take whatever their age
    bool more = false;              // there is more than the bound
};

// Thread-safe; start() and stop() are called once.
class Collector {
  public:
    struct Options {
        store::GarbageCollector& store; // this and loop outlive the collector
        io::EventLoop& loop;            // runs until stop() has returned
        std::chrono::nanoseconds delay{std::chrono::seconds(30)};
        std::chrono::nanoseconds interval{std::chrono::hours(1)}; // 0: only after work
        std::chrono::nanoseconds unused_for{std::chrono::hours(24)};
        std::uint64_t bound = 500;
        // After each round, on its thread; may be empty.
        std::function<void(const Result<store::CollectionReport>&)> finished;
    };

    explicit Collector(Options options);
    Collector(const Collector&) = delete;
    Collector& operator=(const Collector&) = delete;
    ~Collector();

    // Something that lets go of content before the sweep; called in each round with the bound.
    // REQUIRES: before start().
    using Part = std::function<Result<CollectedPart>(std::uint64_t bound)>;
    void add_part(std::string name, Part part);

    void start();

    // Work has ended that may have left garbage. Does nothing before start().
    void request();

    // No round runs or begins once it has returned; a running one breaks off.
    void stop();

  private:
    struct State;
    std::shared_ptr<State> state_; // jobs in the loop have it, too
};

} // namespace berth::engine
