// SPDX-License-Identifier: Apache-2.0
// /_ping, /version, /info, /system/df, our own /berth/system/check, and the upgrades that
// BuildKit's clients try.
#include "api/wire/system.h"

#include "api/context.h"
#include "api/progress_stream.h"
#include "api/route.h"
#include "api/wire/build_cache.h"
#include "api/wire/container.h"
#include "api/wire/image.h"
#include "api/wire/volume.h"
#include "build/builder.h"
#include "engine/images.h"
#include "store/image_store.h"
#include "store/store_check.h"

#include <algorithm>
#include <array>
#include <map>

namespace berth::api {

namespace {

// Builder-Version 1: the classic builder, so that clients do not try BuildKit's.
http::Headers ping_headers() {
    return http::Headers{
        {"Builder-Version", "1"},
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

// ---- docker system df ----

// LayersSize counts every layer and blob once but for those that only the build cache has. An
// image's sizes are what it takes on disk too, so that all of them together agree with du.
Result<void>
add_images(Context& context, json::Object& usage, const std::vector<build::CacheRecord>& records) {
    std::uint64_t cached = 0;
    for (const build::CacheRecord& record : records) {
        cached += record.shared || record.type != "regular" ? 0 : record.size;
    }
    const auto sizes = TRY(context.engine().image_store().disk_usage());
    std::map<std::string, const store::ImageUsage*> known;
    for (const store::ImageUsage& image : sizes.images) {
        known.emplace(image.id.to_string(), &image);
    }
    json::Array array;
    engine::ImageListOptions options;
    options.all = true;
    options.platforms_apart = true;
    for (auto& image : TRY(context.engine().images().list(options))) {
        image.containers = static_cast<std::int64_t>(
            context.engine().containers().using_image(image.id, false).size());
        std::int64_t shared = -1;
        if (const auto found = known.find(image.id); found != known.end()) {
            image.size = static_cast<std::int64_t>(found->second->size);
            shared = static_cast<std::int64_t>(found->second->shared_size);
        }
        json::Value encoded = wire::encode_image_summary(image, context.version());
        encoded.as_object()["SharedSize"] = shared;
        array.push_back(std::move(encoded));
    }
    const std::uint64_t all = sizes.layers_size + sizes.blobs_size;
    usage["LayersSize"] = all - std::min(all, cached);
    usage["Images"] = std::move(array);
    return ok();
}

Result<json::Array> used_containers(Context& context) {
    json::Array array;
    engine::ListOptions options;
    options.all = true;
    options.size = true;
    for (const auto& container : TRY(context.engine().containers().list(options))) {
        array.push_back(wire::encode_summary(container, context.version()));
    }
    return array;
}

Result<json::Array> used_volumes(Context& context) {
    json::Array array;
    for (const auto& volume :
         TRY(context.engine().volumes().list({}, engine::WithSize::Yes)).volumes) {
        array.push_back(wire::encode_volume(volume));
    }
    return array;
}

Result<void> disk_usage(Context& context) {
    const auto types = context.request().query.get_all("type");
    for (const std::string_view type : types) {
        if (type != "container" && type != "image" && type != "volume" && type != "build-cache") {
            return invalid_argument("unknown object type: " + std::string(type));
        }
    }
    const auto wants = [&types](std::string_view type) {
        return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
    };
    json::Object usage{
        {"LayersSize", 0},
        {"Images", nullptr},
        {"Containers", nullptr},
        {"Volumes", nullptr},
        {"BuildCache", nullptr}};
    std::vector<build::CacheRecord> records;
    if (context.services().builder != nullptr && (wants("image") || wants("build-cache"))) {
        records = TRY(context.services().builder->cache_records());
    }
    if (wants("image")) {
        TRY(add_images(context, usage, records));
    }
    if (wants("container")) {
        usage["Containers"] = TRY(used_containers(context));
    }
    if (wants("volume")) {
        usage["Volumes"] = TRY(used_volumes(context));
    }
    if (wants("build-cache")) {
        usage["BuildCache"] = wire::encode_cache_records(records, context.version());
    }
    if (context.before(42)) {
        std::uint64_t size = 0;
        for (const build::CacheRecord& record : records) {
            size += record.size;
        }
        usage["BuilderSize"] = size;
    }
    return context.reply(200, usage);
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

// ---- BuildKit ----

Result<void> no_session(Context&) {
    return not_implemented("BuildKit sessions are not implemented; build with the classic builder "
                           "(DOCKER_BUILDKIT=0)");
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/_ping", ping},
    {"HEAD", "/_ping", head_ping},
    {"GET", "/version", version},
    {"GET", "/info", info},
    {"GET", "/system/df", disk_usage},
    {"POST", "/berth/system/check", check},
    {"POST", "/session", no_session},
    {"GET", "/session", no_session},
    {"POST", "/grpc", no_session},
    {"GET", "/grpc", no_session},
});

} // namespace

std::span<const Route> system_routes() {
    return routes;
}

} // namespace berth::api
