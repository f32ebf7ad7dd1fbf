// SPDX-License-Identifier: Apache-2.0
// What the registry counts, in Prometheus' text format.
#pragma once

#include "registry/server/route.h"
#include "registry/server/storage.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::registry {

struct RequestRecord {
    std::optional<Resource> resource; // nullopt: none of ours
    std::string_view method;
    unsigned status = 0;
    std::chrono::nanoseconds duration{0};
    std::uint64_t received = 0; // of bodies
    std::uint64_t sent = 0;
};

// Thread-safe; recording takes no lock.
class Metrics {
  public:
    void begin_request() { in_flight_.fetch_add(1, std::memory_order_relaxed); }

    void end_request(const RequestRecord& record);
    void record_collection(const CollectReport& report);

    std::string render(const Storage& storage) const;

  private:
    using Counter = std::atomic<std::uint64_t>;

    static constexpr std::array<double, 8> bounds{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60};
    static constexpr std::size_t resources = resource_count + 1;
    static constexpr std::size_t methods = 7;
    static constexpr std::size_t classes = 6; // 0 is unused, 5 is 5xx

    struct Histogram {
        std::array<Counter, bounds.size() + 1> buckets{};
        Counter nanoseconds = 0;
    };

    static void append_histograms(std::string& text, const std::array<Histogram, resources>& all);

    std::array<std::array<std::array<Counter, classes>, methods>, resources> requests_{};
    std::array<Histogram, resources> durations_{};
    std::atomic<std::int64_t> in_flight_ = 0;
    Counter received_ = 0;
    Counter sent_ = 0;
    Counter collections_ = 0;
    Counter collected_bytes_ = 0;
    Counter collected_blobs_ = 0;
};

} // namespace berth::registry
