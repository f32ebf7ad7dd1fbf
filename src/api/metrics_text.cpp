// SPDX-License-Identifier: Apache-2.0
// The text format: families, labels, escapes, and numbers that come back as they were.
#include "api/metrics_text.h"

#include <array>
#include <charconv>

namespace berth::api {

namespace {

std::string number(double value) {
    std::array<char, 64> text{};
    const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
    return {text.data(), written.ptr};
}

std::string escaped(std::string_view value) {
    std::string result;
    for (const char letter : value) {
        if (letter == '\\' || letter == '"') {
            result += '\\';
        }
        if (letter == '\n') {
            result += "\\n";
        } else {
            result += letter;
        }
    }
    return result;
}

} // namespace

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsText::line(std::string_view suffix, const Labels& labels, double value) {
    text_.append(name_).append(suffix);
    char before = '{';
    for (const auto& [label, content] : labels) {
        text_ += before;
        text_.append(label).append("=\"").append(escaped(content)).append("\"");
        before = ',';
    }
    text_.append(labels.empty() ? " " : "} ").append(number(value)).append("\n");
}

void MetricsText::sample(const Labels& labels, double value) {
    line("", labels, value);
}

void MetricsText::histogram(const Labels& labels, const engine::Histogram& histogram) {
    const engine::Histogram::Snapshot taken = histogram.snapshot();
    Labels with_bound = labels;
    with_bound.emplace_back("le", "");
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < taken.buckets.size(); ++i) {
        count += taken.buckets[i];
        const auto& bounds = engine::Histogram::bounds;
        with_bound.back().second = i < bounds.size() ? number(bounds[i]) : "+Inf";
        line("_bucket", with_bound, static_cast<double>(count));
    }
    line("_sum", labels, taken.sum);
    line("_count", labels, static_cast<double>(taken.count));
}

void MetricsText::counter(std::string_view name, std::string_view help, double value) {
    family(name, "counter", help);
    sample({}, value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    sample({}, value);
}

} // namespace berth::api
