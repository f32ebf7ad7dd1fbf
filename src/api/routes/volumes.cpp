// SPDX-License-Identifier: Apache-2.0
// /volumes, and mounts of containers.
#include "api/archive_sink.h"
#include "api/context.h"
#include "api/route.h"
#include "api/wire/volume.h"
#include "base/strings.h"
#include "engine/container_config_json.h"

#include <array>
#include <set>

namespace berth::api {

namespace {

Result<void> list_volumes(Context& context) {
    const auto filters = TRY(context.filters());
    json::Array array;
    const auto list = TRY(context.engine().volumes().list(filters));
    for (const auto& volume : list.volumes) {
        array.push_back(wire::encode_volume(volume));
    }
    json::Value warnings(nullptr);
    if (!list.warnings.empty()) {
        warnings = json::encode(list.warnings);
    }
    return context.reply(
        200, json::Object{{"Volumes", std::move(array)}, {"Warnings", std::move(warnings)}});
}

Result<void> create_volume(Context& context) {
    const json::Value document = TRY(context.json_body()).value_or(json::Value(json::Object()));
    const json::Value* cluster = json::find(document, "ClusterVolumeSpec");
    if (cluster != nullptr && !cluster->is_null()) {
        return Error(
            ErrorKind::Unavailable,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" "
            "to "
            "connect this node to swarm and try again.");
    }
    engine::VolumeCreate body;
    if (auto decoded = json::decode_into(body, document); !decoded.ok()) {
        return std::move(decoded).error().with_context("invalid JSON");
    }
    const auto volume = TRY(context.engine().volumes().create(body));
    return context.reply(201, wire::encode_volume(volume));
}

Result<void> inspect_volume(Context& context) {
    const auto volume = TRY(context.engine().volumes().inspect(context.parameter()));
    return context.reply(200, wire::encode_volume(volume));
}

Result<void> remove_volume(Context& context) {
    TRY(context.engine().volumes().remove(context.parameter(), context.flag("force")));
    return context.reply_empty(204);
}

Result<void> update_volume(Context&) {
    return Error(
        ErrorKind::Unavailable,
        "volume update only valid for cluster volumes, but swarm is unavailable");
}

Result<void> prune_volumes(Context& context) {
    auto filters = TRY(context.filters());
    // Before 1.42 named volumes went too.
    if (context.before(42) && !filters.contains("all")) {
        filters.add("all", "true");
    }
    const auto report = TRY(context.engine().volumes().prune(filters));
    return context.reply(
        200,
        json::Object{
            {"SpaceReclaimed", report.space_reclaimed},
            {"VolumesDeleted", json::encode(report.deleted)}});
}

// ---- beyond Docker's API ----

engine::Volumes::KeepQuiet keep_quiet(Context& context) {
    const auto pause = context.flag("pause") ? engine::Pause::Yes : engine::Pause::No;
    return [&context, pause](const std::set<std::string>& users) {
        return context.engine().containers().keep_quiet(users, pause);
    };
}

Result<void> export_volume(Context& context) {
    ArchiveSink sink(context.response(), "application/x-tar");
    TRY(context.engine().volumes().export_files(
        context.stop(), context.parameter(), keep_quiet(context), sink));
    TRY(sink.begin());
    return context.response().finish();
}

engine::StringMap pairs(const Context& context, std::string_view name) {
    engine::StringMap result;
    for (const std::string_view text : context.request().query.get_all(name)) {
        const auto pair = cut(text, "=");
        result.emplace(pair ? pair->before : text, pair ? pair->after : std::string_view());
    }
    return result;
}

Result<void> import_volume(Context& context) {
    context.body().set_limit(http::Body::unlimited);
    const auto volume = TRY(context.engine().volumes().import_files(
        {.name = context.parameter(),
         .driver = {},
         .options = pairs(context, "opt"),
         .labels = pairs(context, "label"),
         .holder = {}},
        context.body()));
    return context.reply(201, wire::encode_volume(volume));
}

Result<void> clone_volume(Context& context) {
    const auto body = TRY(context.decode_body<engine::VolumeCreate>());
    const auto volume =
        TRY(context.engine().volumes().clone(context.parameter(), body, keep_quiet(context)));
    return context.reply(201, wire::encode_volume(volume));
}

Result<void> add_mount(Context& context) {
    const auto body = TRY(context.decode_body<engine::MountRequest>());
    TRY(context.engine().containers().add_mount(context.parameter(), body));
    return context.reply_empty(204);
}

Result<void> remove_mount(Context& context) {
    const std::string target = context.query("target");
    if (target.empty()) {
        return invalid_argument("the parameter \"target\" must name the mount's place");
    }
    TRY(context.engine().containers().remove_mount(context.parameter(), target));
    return context.reply_empty(204);
}

} // namespace

std::span<const Route> volume_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/volumes", list_volumes},
        {"POST", "/volumes/create", create_volume},
        {"POST", "/volumes/prune", prune_volumes},
        {"GET", "/volumes/{name...}", inspect_volume},
        {"PUT", "/volumes/{name...}", update_volume},
        {"DELETE", "/volumes/{name...}", remove_volume},
        {"GET", "/berth/volumes/{name...}/export", export_volume},
        {"POST", "/berth/volumes/{name...}/import", import_volume},
        {"POST", "/berth/volumes/{name...}/clone", clone_volume},
        {"POST", "/berth/containers/{id}/mounts", add_mount},
        {"DELETE", "/berth/containers/{id}/mounts", remove_mount},
    });
    return routes;
}

} // namespace berth::api
