// SPDX-License-Identifier: Apache-2.0
// Families of figures in Prometheus' text format, version 0.0.4.
#pragma once

#include "engine/metrics.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::api {

class MetricsText {
  public:
    using Labels = std::vector<std::pair<std::string_view, std::string>>;

    // Begins a family; its samples follow.
    void family(std::string_view name, std::string_view type, std::string_view help);
    void sample(const Labels& labels, double value);
    void histogram(const Labels& labels, const engine::Histogram& histogram);

    // A family of one sample.
    void counter(std::string_view name, std::string_view help, double value);
    void gauge(std::string_view name, std::string_view help, double value);

    std::string take() { return std::move(text_); }

  private:
    void line(std::string_view suffix, const Labels& labels, double value);

    std::string text_;
    std::string name_; // of the family
};

} // namespace berth::api
