// SPDX-License-Identifier: Apache-2.0
// /metrics: what the engine and its API count, in Prometheus' text format.
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include "engine/engine.h"
#include "engine/metrics.h"
#include "http/server.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::api {

// Thread-safe; counting takes no lock.
class Metrics {
  public:
    void count(const http::Answered& answered);

    // For a server of its own: nothing but GET and HEAD of /metrics. Both must outlive it.
    http::Handler handler(engine::Engine& engine);

    std::string text(engine::Engine& engine) const;

  private:
    static constexpr std::array<std::string_view, 6> methods{
        "GET", "HEAD", "POST", "PUT", "DELETE", "other"};
    static constexpr std::size_t classes = 6; // of statuses; 0 is one without an answer

    std::array<std::array<std::atomic<std::uint64_t>, classes>, methods.size()> requests_{};
    std::array<engine::Histogram, methods.size()> durations_;
};

} // namespace berth::api
