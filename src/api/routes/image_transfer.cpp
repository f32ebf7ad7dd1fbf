// SPDX-License-Identifier: Apache-2.0
// /images: pull, push, import, load and save; and what concerns registries.
#include "api/archive_sink.h"
#include "api/context.h"
#include "api/import_changes.h"
#include "api/platform_parameter.h"
#include "api/progress_stream.h"
#include "api/registry_auth.h"
#include "api/registry_outcome.h"
#include "api/route.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/images.h"
#include "engine/metrics.h"

#include <array>

namespace berth::api {

namespace {

// ---- pull and import ----

Result<void> pull_image(Context& context, std::string image) {
    // "pull -a" of old clients sends a name with a colon behind it.
    if (image.ends_with(':')) {
        image.pop_back();
    }
    ProgressStream stream(context.response());
    return stream.finish(transferred(measure(context.engine().metrics().images.pull, [&] {
        return context.engine().images().pull(
            context.stop(),
            image,
            context.query("tag"),
            context.before(32) ? "" : context.query("platform"),
            credentials_of(context),
            stream.callback());
    })));
}

Result<void> import_image(Context& context) {
    const std::string source = context.query("fromSrc");
    const auto changes = context.request().query.get_all("changes");
    auto changed = TRY(apply_changes({}, {changes.begin(), changes.end()}));
    engine::ImageImport request{
        .repository = context.query("repo"),
        .tag = context.query("tag"),
        .message = context.query("message"),
        .platform = context.before(32) ? "" : context.query("platform"),
        .config = std::move(changed.config),
    };
    ProgressStream stream(context.response());
    auto& images = context.engine().images();
    if (source == "-" && request.message.empty()) {
        request.message = "Imported from -";
    }
    context.body().set_limit(http::Body::unlimited);
    const auto id = source == "-"
                        ? images.import(context.stop(), request, context.body())
                        : from_registry(images.import_from(
                              context.stop(), std::move(request), source, stream.callback()));
    if (!id.ok()) {
        return stream.finish(id.error());
    }
    stream.send(engine::ImageProgress{.id = {}, .status = *id, .stream = {}, .aux = {}});
    return stream.finish(ok());
}

Result<void> create_image(Context& context) {
    std::string image = context.query("fromImage");
    return image.empty() ? import_image(context) : pull_image(context, std::move(image));
}

Result<void> push_image(Context& context) {
    const std::string platform = TRY(platform_parameter(context, 46));
    ProgressStream stream(context.response());
    return stream.finish(transferred(measure(context.engine().metrics().images.push, [&] {
        return context.engine().images().push(
            context.stop(),
            context.parameter(),
            context.query("tag"),
            platform,
            credentials_of(context),
            stream.callback());
    })));
}

// ---- load and save ----

Result<void> load_images(Context& context) {
    const bool quiet = context.flag("quiet", true);
    const auto platforms = TRY(platform_parameters(context, "platform", 48));
    ProgressStream stream(context.response());
    const auto report = [&stream, quiet](const engine::ImageProgress& progress) {
        if (!quiet || !progress.has_progress) {
            stream.send(progress);
        }
    };
    context.body().set_limit(http::Body::unlimited);
    stream.begin(); // dockerd answers 200 whatever it is given
    return stream.finish(measure(context.engine().metrics().images.load, [&] {
        return context.engine().images().load(context.stop(), context.body(), platforms, report);
    }));
}

Result<void> save_images(Context& context, const std::vector<std::string>& names) {
    const auto platforms = TRY(platform_parameters(context, "platform", 48));
    ArchiveSink sink(context.response(), "application/x-tar");
    auto saved = context.engine().images().save(context.stop(), names, platforms, sink);
    if (!saved.ok() && context.response().begun()) {
        // All that the client sees is an archive that breaks off.
        log::warn("an archive was not saved to its end", {{"error", saved.error().message()}});
    }
    TRY(std::move(saved));
    TRY(sink.begin());
    return context.response().finish();
}

Result<void> save_one(Context& context) {
    return save_images(context, {context.parameter()});
}

Result<void> save_several(Context& context) {
    std::vector<std::string> names;
    for (const std::string_view value : context.request().query.get_all("names")) {
        for (const std::string_view name : split(value, ',')) {
            names.emplace_back(name);
        }
    }
    if (names.empty()) {
        return invalid_argument("no images were named: the parameter names is empty");
    }
    return save_images(context, names);
}

// ---- registries ----

Result<void> authenticate(Context& context) {
    auto document = TRY(context.json_body());
    if (!document) {
        return invalid_argument("invalid JSON: got EOF while reading request body");
    }
    const auto credentials = TRY(decode_credentials(*document));
    const std::string token = TRY(
        from_registry(context.engine().images().check_credentials(context.stop(), credentials)));
    return context.reply(
        200, json::Object{{"IdentityToken", token}, {"Status", "Login Succeeded"}});
}

Result<void> inspect_distribution(Context& context) {
    const auto found = TRY(from_registry(context.engine().images().inspect_distribution(
        context.stop(), context.parameter(), credentials_of(context))));
    return context.reply(
        200,
        json::Object{
            {"Descriptor", json::encode(found.descriptor)},
            {"Platforms", json::encode(found.platforms)}});
}

} // namespace

std::span<const Route> image_transfer_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/images/create", create_image},
        {"POST", "/images/load", load_images},
        {"GET", "/images/get", save_several},
        {"GET", "/images/{name...}/get", save_one},
        {"POST", "/images/{name...}/push", push_image},
        {"POST", "/auth", authenticate},
        {"GET", "/distribution/{name...}/json", inspect_distribution},
    });
    return routes;
}

} // namespace berth::api
