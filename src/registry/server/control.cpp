// SPDX-License-Identifier: Apache-2.0
// HTTP over a unix socket, as everything else here.
#include "registry/server/control.h"

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
    return error.kind() == ErrorKind::NotFound          ? 404
           : error.kind() == ErrorKind::Conflict        ? 409
           : error.kind() == ErrorKind::InvalidArgument ? 400
                                                        : 500;
}

Result<std::string> ask(const std::string& root, const std::string& target) {
    http::Endpoint endpoint;
    endpoint.path = control_path(root);
    http::Client client(endpoint);
    http::Response response = TRY(client.request({.method = "POST", .target = target}));
    std::string body = TRY(response.read_body());
    return response.status == 200 ? Result<std::string>(std::move(body)) : internal_error(body);
}

} // namespace

std::string control_path(const std::string& root) {
    return root + "/control.sock";
}

Result<std::string> Control::run(const std::stop_token& stop, const http::Request& request) {
    if (request.method == "POST" && request.path == "/collect") {
        CollectOptions chosen = TRY(read_request(request, options.collection));
        chosen.stop = stop;
        return to_json(TRY(collector.collect(chosen)));
    }
    if (request.method == "POST" && request.path == "/check") {
        CheckOptions chosen{.cache = !options.upstream.registry.empty(), .stop = stop};
        chosen.repair = request.query.flag_or("repair", false);
        return to_json(TRY(storage.check(chosen)));
    }
    return not_found("404 page not found\n");
}

void Control::serve(
    const std::stop_token& stop, const http::Request& request, http::ResponseWriter& response) {
    auto report = run(stop, request);
    unsigned status = report.ok() ? 200 : status_of(report.error());
    http::Headers headers{
        {"Content-Type", report.ok() ? "application/json" : "text/plain; charset=utf-8"}};
    [[maybe_unused]] auto sent = response.respond(
        status, std::move(headers), report.ok() ? *report : report.error().message());
}

Result<std::string> collect_by_control(const std::string& root, const CollectionOptions& options) {
    return ask(
        root,
        "/collect?grace=" + std::to_string(options.grace.value.count()) +
            "s&upload-age=" + std::to_string(options.upload_age.value.count()) +
            "s&untagged=" + (options.untagged ? "1" : "0"));
}

Result<std::string> check_by_control(const std::string& root, bool repair) {
    return ask(root, std::string("/check?repair=") + (repair ? "1" : "0"));
}

std::string to_json(const CollectReport& report) {
    return json::serialize(json::Object{
        {"manifests", report.manifests},
        {"blobs", report.blobs},
        {"uploads", report.uploads},
        {"bytes", report.bytes},
        {"skipped", report.skipped}});
}

std::string to_json(const CheckReport& report) {
    json::Array problems;
    for (const CheckProblem& problem : report.problems) {
        problems.push_back(json::Object{
            {"where", problem.where}, {"what", problem.what}, {"repaired", problem.repaired}});
    }
    return json::serialize(json::Object{
        {"repositories", report.repositories},
        {"manifests", report.manifests},
        {"blobs", report.blobs},
        {"bytes", report.bytes},
        {"repaired", report.repaired},
        {"unrepaired", report.unrepaired},
        {"problems", std::move(problems)}});
}

} // namespace berth::registry
