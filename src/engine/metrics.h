// SPDX-License-Identifier: Apache-2.0
// What the engine counts while it works, for Prometheus. Thread-safe; counting takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth::engine {

class Histogram {
  public:
    // Those of Prometheus' client library, and so Docker's.
    static constexpr std::array<double, 11> bounds{
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

    struct Snapshot {
        std::array<std::uint64_t, bounds.size() + 1> buckets{}; // each of its own alone
        std::uint64_t count = 0;
        double sum = 0;
    };

    void observe(std::chrono::nanoseconds duration) {
        const double seconds = std::chrono::duration<double>(duration).count();
        std::size_t bucket = 0;
        while (bucket < bounds.size() && seconds > bounds[bucket]) {
            ++bucket;
        }
        buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
        nanoseconds_.fetch_add(
            static_cast<std::uint64_t>(duration.count()), std::memory_order_relaxed);
    }

    Snapshot snapshot() const {
        Snapshot taken;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            taken.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
            taken.count += taken.buckets[i];
        }
        taken.sum = static_cast<double>(nanoseconds_.load(std::memory_order_relaxed)) / 1e9;
        return taken;
    }

  private:
    std::array<std::atomic<std::uint64_t>, bounds.size() + 1> buckets_{};
    std::atomic<std::uint64_t> nanoseconds_ = 0;
};

struct Metrics {
    // The time of what succeeded, as Docker has it.
    struct {
        Histogram changes;
        Histogram commit;
        Histogram create;
        Histogram remove;
        Histogram start;
    } containers;

    struct {
        Histogram allocate;
        Histogram connect;
        Histogram release;
    } networks;

    struct {
        Histogram load;
        Histogram pull;
        Histogram push;
        Histogram remove;
    } images;

    // Docker's words for why a build has failed.
    static constexpr std::array<std::string_view, 8> build_failures{
        "build_canceled",
        "build_target_not_reachable_error",
        "command_not_supported_error",
        "dockerfile_empty_error",
        "dockerfile_syntax_error",
        "error_processing_commands_error",
        "missing_onbuild_arguments_error",
        "unknown_instruction_error"};
    std::atomic<std::uint64_t> builds_triggered = 0;
    std::array<std::atomic<std::uint64_t>, build_failures.size()> builds_failed{};

    std::atomic<std::uint64_t> health_checks = 0;
    std::atomic<std::uint64_t> health_checks_failed = 0;
};

// What the action gives; its time is observed, of one with a Result when it succeeded.
template <class Action>
auto measure(Histogram& histogram, Action&& action) {
    const auto start = std::chrono::steady_clock::now();
    if constexpr (std::is_void_v<decltype(action())>) {
        std::forward<Action>(action)();
        histogram.observe(std::chrono::steady_clock::now() - start);
    } else {
        auto result = std::forward<Action>(action)();
        if (result.ok()) {
            histogram.observe(std::chrono::steady_clock::now() - start);
        }
        return result;
    }
}

} // namespace berth::engine
