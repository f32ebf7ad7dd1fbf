// SPDX-License-Identifier: Apache-2.0
// One thread that sleeps; the work is the storage's.
#include "registry/server/collector.h"

#include "base/log.h"

namespace berth::registry {

CollectOptions to_collect_options(const CollectionOptions& options) {
    CollectOptions chosen;
    chosen.grace = options.grace.value;
    chosen.upload_age = options.upload_age.value;
    chosen.untagged = options.untagged;
    chosen.keep = options.keep.value;
    return chosen;
}

Collector::Collector(Storage& storage, Metrics& metrics, const CollectionOptions& options)
    : storage_(storage)
    , metrics_(metrics)
    , options_(options) {
    if (options_.interval.value.count() > 0) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
        pthread_setname_np(thread_.native_handle(), "collector");
    }
}

Result<CollectReport> Collector::collect(const CollectOptions& options) {
    CollectReport report = TRY(storage_.collect(options));
    metrics_.record_collection(report);
    log::info(
        "garbage was collected",
        {{"manifests", report.manifests},
         {"blobs", report.blobs},
         {"uploads", report.uploads},
         {"bytes", report.bytes}});
    return report;
}

void Collector::run(const std::stop_token& stop) {
    CollectOptions options = to_collect_options(options_);
    options.stop = stop;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, stop, options_.interval.value, [] { return false; });
        }
        if (stop.stop_requested()) {
            return;
        }
        if (auto done = collect(options); !done.ok()) {
            log::warn(
                "garbage was not collected, retrying later", {{"error", done.error().message()}});
        }
    }
}

} // namespace berth::registry
