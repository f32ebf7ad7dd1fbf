// SPDX-License-Identifier: Apache-2.0
// https://prometheus.io/docs/instrumenting/exposition_formats/
#include "registry/server/metrics.h"

#include <algorithm>
#include <cstdio>

namespace berth::registry {

namespace {

constexpr std::string_view method_names[] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"};

std::size_t index_of(std::string_view method) {
    const auto* found = std::ranges::find(method_names, method);
    return found == std::end(method_names)
               ? std::size(method_names) - 1
               : static_cast<std::size_t>(found - std::begin(method_names));
}

std::string_view resource_name(std::size_t index) {
    return index < resource_count ? to_string(static_cast<Resource>(index)) : "none";
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%g", value);
    return text;
}

void append_single(
    std::string& text,
    std::string_view name,
    std::string_view type,
    std::string_view help,
    std::uint64_t value) {
    text.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text.append(name).append(" ").append(type).append("\n");
    text.append(name).append(" ").append(std::to_string(value)).append("\n");
}

} // namespace

void Metrics::end_request(const RequestRecord& record) {
    std::size_t resource =
        record.resource ? static_cast<std::size_t>(*record.resource) : resource_count;
    std::size_t status = std::min<std::size_t>(record.status / 100, classes - 1);
    requests_[resource][index_of(record.method)][status].fetch_add(1, std::memory_order_relaxed);
    double seconds = std::chrono::duration<double>(record.duration).count();
    auto bucket =
        static_cast<std::size_t>(std::ranges::lower_bound(bounds, seconds) - bounds.begin());
    Histogram& histogram = durations_[resource];
    histogram.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
    histogram.nanoseconds.fetch_add(
        static_cast<std::uint64_t>(record.duration.count()), std::memory_order_relaxed);
    received_.fetch_add(record.received, std::memory_order_relaxed);
    sent_.fetch_add(record.sent, std::memory_order_relaxed);
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
}

void Metrics::record_collection(const CollectReport& report) {
    collections_.fetch_add(1);
    collected_bytes_.fetch_add(report.bytes);
    collected_blobs_.fetch_add(report.blobs);
}

void Metrics::append_histograms(std::string& text, const std::array<Histogram, resources>& all) {
    constexpr std::string_view name = "berth_registry_request_duration_seconds";
    text.append("# HELP ").append(name).append(" Time from a request's head to its end.\n");
    text.append("# TYPE ").append(name).append(" histogram\n");
    for (std::size_t resource = 0; resource < resources; ++resource) {
        const Histogram& histogram = all[resource];
        std::string label = "resource=\"" + std::string(resource_name(resource)) + "\"";
        std::uint64_t count = 0;
        for (std::size_t i = 0; i <= bounds.size(); ++i) {
            count += histogram.buckets[i].load(std::memory_order_relaxed);
            std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
            text.append(name).append("_bucket{").append(label).append(",le=\"").append(bound);
            text.append("\"} ").append(std::to_string(count)).append("\n");
        }
        double sum =
            static_cast<double>(histogram.nanoseconds.load(std::memory_order_relaxed)) / 1e9;
        text.append(name).append("_sum{").append(label).append("} ").append(number(sum));
        text.append("\n").append(name).append("_count{").append(label).append("} ");
        text.append(std::to_string(count)).append("\n");
    }
}

std::string Metrics::render(const Storage& storage) const {
    std::string text;
    text += "# HELP berth_registry_requests_total Requests that were answered.\n"
            "# TYPE berth_registry_requests_total counter\n";
    for (std::size_t resource = 0; resource < resources; ++resource) {
        for (std::size_t method = 0; method < methods; ++method) {
            for (std::size_t status = 0; status < classes; ++status) {
                std::uint64_t count =
                    requests_[resource][method][status].load(std::memory_order_relaxed);
                if (count == 0) {
                    continue;
                }
                text.append("berth_registry_requests_total{resource=\"");
                text.append(resource_name(resource)).append("\",method=\"");
                text.append(method_names[method]).append("\",status=\"");
                text.append(std::to_string(status)).append("xx\"} ");
                text.append(std::to_string(count)).append("\n");
            }
        }
    }
    append_histograms(text, durations_);
    auto in_flight = static_cast<std::uint64_t>(std::max<std::int64_t>(in_flight_.load(), 0));
    const std::string prefix = "berth_registry_";
    auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
        append_single(text, prefix + std::string(name), "counter", help, value);
    };
    auto gauge = [&](std::string_view name, std::string_view help, std::uint64_t value) {
        append_single(text, prefix + std::string(name), "gauge", help, value);
    };
    gauge("requests_in_flight", "Requests that are being served.", in_flight);
    counter("received_bytes_total", "Bytes of request bodies.", received_.load());
    counter("sent_bytes_total", "Bytes of response bodies.", sent_.load());
    gauge("storage_bytes", "Bytes of blobs, and of uploads in progress.", storage.usage().used());
    gauge("storage_limit_bytes", "The quota of the whole; 0: none.", storage.usage().limit());
    gauge("repositories", "Repositories.", storage.repository_count());
    gauge("uploads", "Uploads that are not finished.", storage.upload_count());
    counter("collections_total", "Garbage collections.", collections_.load());
    counter("collected_bytes_total", "Bytes that collections took.", collected_bytes_.load());
    counter("collected_blobs_total", "Blobs that collections took.", collected_blobs_.load());
    return text;
}

} // namespace berth::registry
