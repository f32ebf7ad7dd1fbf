// SPDX-License-Identifier: Apache-2.0
// /images: list, inspect, history, tag, remove, prune.
#include "engine/images.h"

#include "api/context.h"
#include "api/platform_parameter.h"
#include "api/route.h"
#include "api/wire/image.h"
#include "base/strings.h"

#include <array>

namespace berth::api {

namespace {

Result<void> list(Context& context) {
    auto filters = TRY(context.filters());
    engine::ImageListOptions options{
        .all = context.flag("all"),
        .filters = std::move(filters),
        .shared = context.flag("shared-size"),
        .manifests = !context.before(47) && context.flag("manifests"),
    };
    // Older clients send the reference alone.
    if (std::string filter = context.query("filter"); !filter.empty() && context.before(41)) {
        options.filters.add("reference", std::move(filter));
    }
    json::Array array;
    for (const auto& image : TRY(context.engine().images().list(options))) {
        array.push_back(wire::encode_image_summary(image, context.version()));
    }
    return context.reply(200, array);
}

Result<void> inspect(Context& context) {
    const std::string platform = TRY(platform_parameter(context, 49));
    const bool manifests = !context.before(48) && context.flag("manifests");
    if (!platform.empty() && manifests) {
        return invalid_argument(
            "conflicting options: manifests and platform options cannot both be set");
    }
    const auto image =
        TRY(context.engine().images().inspect(context.parameter(), platform, manifests));
    return context.reply(200, wire::encode_image_inspect(image, context.version()));
}

Result<void> history(Context& context) {
    const std::string platform = TRY(platform_parameter(context, 48));
    json::Array array;
    for (const auto& entry :
         TRY(context.engine().images().history(context.parameter(), platform))) {
        array.push_back(json::Object{
            {"Comment", entry.comment},
            {"Created", entry.created.seconds()},
            {"CreatedBy", entry.created_by},
            {"Id", entry.id},
            {"Size", entry.size},
            {"Tags", entry.tags.empty() ? json::Value(nullptr) : json::encode(entry.tags)},
        });
    }
    return context.reply(200, array);
}

Result<void> tag(Context& context) {
    TRY(context.engine().images().tag(
        context.parameter(), context.query("repo"), context.query("tag")));
    return context.reply_empty(201);
}

Result<void> remove(Context& context) {
    if (trim(context.parameter()).empty()) {
        return invalid_argument("image name cannot be blank");
    }
    auto platforms = TRY(platform_parameters(context, "platforms", 50));
    const auto removals = TRY(context.engine().images().remove(
        context.parameter(),
        {.force = context.flag("force"),
         .no_prune = context.flag("noprune"),
         .platforms = std::move(platforms)}));
    return context.reply_with(200, removals);
}

Result<void> prune(Context& context) {
    const auto filters = TRY(context.filters());
    const auto report = TRY(context.engine().images().prune(context.stop(), filters));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    return context.reply(
        200,
        json::Object{
            {"ImagesDeleted", std::move(deleted)}, {"SpaceReclaimed", report.space_reclaimed}});
}

Result<void> search(Context&) {
    return not_implemented("searching a registry is not implemented");
}

Result<void> attestations(Context&) {
    return not_implemented("listing an image's attestations is not implemented");
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/images/json", list},
    {"GET", "/images/search", search},
    {"POST", "/images/prune", prune},
    {"GET", "/images/{name...}/json", inspect},
    {"GET", "/images/{name...}/history", history},
    {"GET", "/images/{name...}/attestations", attestations},
    {"POST", "/images/{name...}/tag", tag},
    {"DELETE", "/images/{name...}", remove},
});

} // namespace

std::span<const Route> image_routes() {
    return routes;
}

} // namespace berth::api
