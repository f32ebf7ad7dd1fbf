// SPDX-License-Identifier: Apache-2.0
// /volumes.
#include "api/context.h"
#include "api/route.h"
#include "api/wire/volume.h"

#include <array>

namespace berth::api {

namespace {

Result<void> list(Context& context) {
    const auto filters = TRY(context.filters());
    json::Array array;
    for (const auto& volume : TRY(context.engine().volumes().list(filters))) {
        array.push_back(wire::encode_volume(volume));
    }
    return context.reply(200, json::Object{{"Volumes", std::move(array)}, {"Warnings", nullptr}});
}

Result<void> create(Context& context) {
    const auto body = TRY(context.decode_body<engine::VolumeCreate>());
    const auto volume = TRY(context.engine().volumes().create(body));
    return context.reply(201, wire::encode_volume(volume));
}

Result<void> inspect(Context& context) {
    const auto volume = TRY(context.engine().volumes().inspect(context.parameter()));
    return context.reply(200, wire::encode_volume(volume));
}

Result<void> remove(Context& context) {
    TRY(context.engine().volumes().remove(context.parameter(), context.flag("force")));
    return context.reply_empty(204);
}

Result<void> update(Context&) {
    return not_implemented("updating a volume is for cluster volumes, which are not implemented");
}

Result<void> prune(Context& context) {
    auto filters = TRY(context.filters());
    // Before 1.42 named volumes went too.
    if (context.before(42) && !filters.contains("all")) {
        filters.add("all", "true");
    }
    const auto report = TRY(context.engine().volumes().prune(filters));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    return context.reply(
        200,
        json::Object{
            {"SpaceReclaimed", report.space_reclaimed}, {"VolumesDeleted", std::move(deleted)}});
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/volumes", list},
    {"POST", "/volumes/create", create},
    {"POST", "/volumes/prune", prune},
    {"GET", "/volumes/{name}", inspect},
    {"PUT", "/volumes/{name}", update},
    {"DELETE", "/volumes/{name}", remove},
});

} // namespace

std::span<const Route> volume_routes() {
    return routes;
}

} // namespace berth::api
