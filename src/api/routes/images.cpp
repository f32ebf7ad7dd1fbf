// SPDX-License-Identifier: Apache-2.0
// /images: list, inspect, history, tag, remove, prune.
#include "engine/images.h"

#include "api/context.h"
#include "api/platform_parameter.h"
#include "api/registry_auth.h"
#include "api/route.h"
#include "api/wire/image.h"
#include "base/strings.h"
#include "engine/attestations.h"
#include "engine/image_search.h"
#include "engine/metrics.h"

#include <array>
#include <cstdint>

namespace berth::api {

namespace {

Result<void> list_images(Context& context) {
    auto filters = TRY(context.filters());
    const bool manifests = !context.before(47) && context.flag("manifests");
    // Who has signed or built an image is not known here: there is no Identity to add.
    if (!context.before(54) && context.flag("identity") && !manifests) {
        return invalid_argument("conflicting options: identity requires manifests=1");
    }
    engine::ImageListOptions options{
        .all = context.flag("all"),
        .filters = std::move(filters),
        .shared = !context.before(42) && context.flag("shared-size"),
        .manifests = manifests,
    };
    // Older clients send the reference alone.
    if (std::string filter = context.query("filter"); !filter.empty() && context.before(41)) {
        options.filters.add("reference", std::move(filter));
    }
    json::Array array;
    for (auto& image : TRY(context.engine().images().list(options))) {
        image.containers = static_cast<std::int64_t>(
            context.engine().containers().using_image(image.id, false).size());
        array.push_back(wire::encode_image_summary(image, context.version()));
    }
    return context.reply(200, array);
}

Result<void> inspect_image(Context& context) {
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

Result<void> image_history(Context& context) {
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

Result<void> tag_image(Context& context) {
    TRY(context.engine().images().tag(
        context.parameter(), context.query("repo"), context.query("tag")));
    return context.reply_empty(201);
}

Result<void> remove_image(Context& context) {
    if (trim(context.parameter()).empty()) {
        return invalid_argument("image name cannot be blank");
    }
    auto platforms = TRY(platform_parameters(context, "platforms", 50));
    const auto removals = TRY(engine::measure(context.engine().metrics().images.remove, [&] {
        return context.engine().images().remove(
            context.parameter(),
            {.force = context.flag("force"),
             .no_prune = context.flag("noprune"),
             .platforms = std::move(platforms)});
    }));
    return context.reply_with(200, removals);
}

Result<void> prune_images(Context& context) {
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

Result<void> search_images(Context& context) {
    const auto limit = context.number("limit");
    if (!limit.ok() || limit->value_or(0) < 0 || limit->value_or(0) > INT32_MAX) {
        return invalid_argument("invalid limit specified: \"" + context.query("limit") + "\"");
    }
    const auto filters = TRY(context.filters());
    const engine::ImageSearch search{
        .term = context.query("term"),
        .limit = static_cast<int>(limit->value_or(0)),
        .filters = filters};
    auto found = engine::search_images(
        context.stop(),
        context.engine().config(),
        search,
        parse_registry_auth(context.request().headers.get("X-Registry-Auth")));
    if (!found.ok() && found.error().kind() == ErrorKind::Unavailable) {
        return std::move(found).error().as(ErrorKind::Internal); // the index, and not the engine
    }
    json::Array array;
    for (const engine::ImageSearchResult& result : TRY(std::move(found))) {
        array.push_back(json::Object{
            {"star_count", result.star_count},
            {"is_official", result.is_official},
            {"name", result.name},
            {"is_automated", false},
            {"description", result.description}});
    }
    return context.reply(200, array);
}

// With the statement as it is stored: who checks a signature needs its very bytes.
Result<std::string> encode_attestation(const engine::Attestation& attestation) {
    std::string text = json::serialize(json::Object{
        {"Descriptor", json::encode(attestation.descriptor)},
        {"PredicateType", attestation.predicate_type}});
    if (attestation.statement.empty()) {
        return text;
    }
    if (!json::parse(attestation.statement).ok()) {
        return Error(
            ErrorKind::DataLoss,
            "attestation statement " + attestation.descriptor.digest.to_string() + " is no JSON");
    }
    text.pop_back();
    return text + ",\"Statement\":" + attestation.statement + "}";
}

Result<void> list_attestations(Context& context) {
    auto platforms = TRY(platform_parameters(context, "platform", 0));
    if (context.request().query.get_all("platform").size() > 1 || platforms.size() > 1) {
        return invalid_argument("only one platform value is currently supported");
    }
    engine::AttestationQuery query{
        .platform = platforms.empty() ? std::string() : std::move(platforms.front()),
        .statements = context.flag("statement")};
    for (const std::string_view type : context.request().query.get_all("type")) {
        if (!trim(type).empty()) {
            query.types.emplace_back(trim(type));
        }
    }
    std::string array = "[";
    for (const engine::Attestation& attestation :
         TRY(engine::list_attestations(context.engine().store(), context.parameter(), query))) {
        array += array.size() == 1 ? "" : ",";
        array += TRY(encode_attestation(attestation));
    }
    return context.response().respond(200, json_headers(), array + "]\n");
}

} // namespace

std::span<const Route> image_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/images/json", list_images},
        {"GET", "/images/search", search_images},
        {"POST", "/images/prune", prune_images},
        {"GET", "/images/{name...}/json", inspect_image},
        {"GET", "/images/{name...}/history", image_history},
        {"GET", "/images/{name...}/attestations", list_attestations},
        {"POST", "/images/{name...}/tag", tag_image},
        {"DELETE", "/images/{name...}", remove_image},
    });
    return routes;
}

} // namespace berth::api
