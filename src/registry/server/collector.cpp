// SPDX-License-Identifier: Apache-2.0
// One thread that sleeps; the work is the storage's.
#include "registry/server/collector.h"

#include "base/log.h"
#include "codec/json.h"
#include "http/client.h"

namespace berth::registry {

namespace {

Result<CollectOptions> read_request(const http::Request& request, const CollectionOptions& preset) {
    CollectionOptions options = preset;
    if (request.query.contains("grace")) {
        options.grace = TRY(Duration::parse(request.query.get("grace")));
    }
    if (request.query.contains("upload-age")) {
        options.upload_age = TRY(Duration::parse(request.query.get("upload-age")));
    }
    options.untagged = request.query.flag_or("untagged", options.untagged);
    return to_collect_options(options);
}

unsigned status_of(const Error& error) {
    return error.kind() == ErrorKind::Conflict          ? 409
           : error.kind() == ErrorKind::InvalidArgument ? 400
                                                        : 500;
}

} // namespace

CollectOptions to_collect_options(const CollectionOptions& options) {
    CollectOptions chosen;
    chosen.grace = options.grace.value;
    chosen.upload_age = options.upload_age.value;
    chosen.untagged = options.untagged;
    chosen.keep = options.keep.value;
    return chosen;
}

std::string control_path(const std::string& root) {
    return root + "/control.sock";
}

std::string to_json(const CollectReport& report) {
    return json::serialize(json::Object{
        {"manifests", report.manifests},
        {"blobs", report.blobs},
        {"uploads", report.uploads},
        {"bytes", report.bytes},
        {"skipped", report.skipped}});
}

Result<std::string> collect_by_control(const std::string& root, const CollectionOptions& options) {
    http::Endpoint endpoint;
    endpoint.path = control_path(root);
    http::Client client(endpoint);
    std::string target = "/collect?grace=" + std::to_string(options.grace.value.count()) +
                         "s&upload-age=" + std::to_string(options.upload_age.value.count()) +
                         "s&untagged=" + (options.untagged ? "1" : "0");
    http::Response response = TRY(client.request({.method = "POST", .target = target}));
    std::string body = TRY(response.read_body());
    return response.status == 200 ? Result<std::string>(std::move(body)) : internal_error(body);
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

void Collector::serve(
    const std::stop_token& stop, const http::Request& request, http::ResponseWriter& response) {
    http::Headers headers{{"Content-Type", "text/plain; charset=utf-8"}};
    [[maybe_unused]] Result<void> sent = ok();
    if (request.path != "/collect" || request.method != "POST") {
        sent = response.respond(404, std::move(headers), "404 page not found\n");
        return;
    }
    auto options = read_request(request, options_);
    if (options.ok()) {
        options->stop = stop;
    }
    auto report = options.ok() ? collect(*options) : Result<CollectReport>(options.error());
    if (!report.ok()) {
        sent = response.respond(
            status_of(report.error()), std::move(headers), report.error().message());
        return;
    }
    headers.set("Content-Type", "application/json");
    sent = response.respond(200, std::move(headers), to_json(*report));
}

} // namespace berth::registry
