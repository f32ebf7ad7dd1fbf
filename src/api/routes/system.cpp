// SPDX-License-Identifier: Apache-2.0
// /_ping, /version, /info, and our own /berth/system/check.
#include "api/wire/system.h"

#include "api/context.h"
#include "api/progress_stream.h"
#include "api/route.h"
#include "engine/images.h"
#include "store/store_check.h"

#include <array>

namespace berth::api {

namespace {

// Builder-Version 2 tells clients to prefer BuildKit's protocols; those without them (docker
// without buildx) fall back to the classic builder's, as with dockerd.
http::Headers ping_headers() {
    return http::Headers{
        {"Builder-Version", "2"},
        {"Cache-Control", "no-cache, no-store, must-revalidate"},
        {"Pragma", "no-cache"},
        {"Swarm", "inactive"},
        {"Content-Type", "text/plain; charset=utf-8"}};
}

Result<void> ping(Context& context) {
    return context.response().respond(200, ping_headers(), "OK");
}

Result<void> head_ping(Context& context) {
    return context.response().respond(200, ping_headers());
}

Result<void> version(Context& context) {
    return context.reply(200, wire::encode_version(context.engine().system().version()));
}

Result<void> info(Context& context) {
    const auto info = TRY(context.engine().system().info());
    return context.reply(200, wire::encode_info(info, context.version()));
}

// ---- berth system check ----

json::Object encode_problem(const store::Problem& problem) {
    return json::Object{
        {"Kind", problem.kind},
        {"Subject", problem.subject},
        {"Message", problem.message},
        {"Images", json::encode(problem.images)},
        {"Repaired", problem.repaired},
        {"Remedy", problem.remedy}};
}

// One {"aux": {"Problem": …}} for each, then {"aux": {"Summary": …}}.
Result<void> check(Context& context) {
    ProgressStream stream(context.response());
    const store::CheckOptions options{
        .repair = context.flag("repair"), .deep = context.flag("deep")};
    const auto report = store::check_store(
        context.stop(),
        context.engine().store(),
        context.engine().config().data_root,
        options,
        [&stream](const store::Problem& problem) {
            stream.send_aux(json::Object{{"Problem", encode_problem(problem)}});
        });
    if (!report.ok()) {
        return stream.finish(report.error());
    }
    stream.send_aux(json::Object{
        {"Summary",
         json::Object{
             {"Blobs", report->blobs},
             {"BlobBytes", report->blob_bytes},
             {"Layers", report->layers},
             {"Images", report->images},
             {"Problems", report->problems},
             {"Repaired", report->repaired}}}});
    return stream.finish(ok());
}

} // namespace

std::span<const Route> system_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/_ping", ping},
        {"HEAD", "/_ping", head_ping},
        {"GET", "/version", version},
        {"GET", "/info", info},
        {"POST", "/berth/system/check", check},
    });
    return routes;
}

} // namespace berth::api
