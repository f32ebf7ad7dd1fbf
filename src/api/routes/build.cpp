// SPDX-License-Identifier: Apache-2.0
// POST /build, for the classic builder and for BuildKit's clients, its cancelling, and
// /build/prune.
#include "api/build_callbacks.h"
#include "api/build_request.h"
#include "api/buildkit.h"
#include "api/context.h"
#include "api/progress_stream.h"
#include "api/registry_auth.h"
#include "api/route.h"
#include "base/moment.h"
#include "base/random.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "engine/filters.h"
#include "engine/images.h"
#include "engine/metrics.h"
#include "oci/image_config.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>

namespace berth::api {

namespace {

Result<build::Builder*> builder_of(const Context& context) {
    if (context.services().builder == nullptr) {
        return Error(ErrorKind::Unavailable, "this engine runs without a builder");
    }
    return context.services().builder;
}

// The command line names Docker Hub by its old index address.
engine::RegistryCredentials credentials_for(
    const std::map<std::string, engine::RegistryCredentials>& all, const std::string& registry) {
    for (const std::string& name :
         {registry, "https://" + registry, "https://" + registry + "/v1/"}) {
        if (const auto found = all.find(name); found != all.end()) {
            return found->second;
        }
    }
    const auto hub = all.find("https://index.docker.io/v1/");
    return registry == "docker.io" && hub != all.end() ? hub->second
                                                       : engine::RegistryCredentials();
}

build::BuildCallbacks make_callbacks(Context& context, ProgressStream& stream, bool quiet) {
    auto& images = context.engine().images();
    const auto credentials =
        parse_registry_config(context.request().headers.get("X-Registry-Config"));
    build::BuildCallbacks callbacks;
    callbacks.output = [&stream](std::string_view text) { stream.send_stream(text); };
    callbacks.image = [&stream, &context](const oci::Digest& id) {
        publish_build_event(context.engine(), "create", id, id.to_string());
        stream.send_aux(json::Object{{"ID", id.to_string()}});
    };
    callbacks.pull =
        [&images, &stream, credentials, quiet](
            std::stop_token stop, const oci::Reference& reference, const oci::Platform& platform) {
            return images.pull(
                std::move(stop),
                reference.with_default_tag().to_string(),
                "",
                platform.to_string(),
                credentials_for(credentials, reference.registry()),
                quiet ? [](const engine::ImageProgress&) {} : stream.callback());
        };
    callbacks.tagged = [&context](const oci::Digest& id, const oci::Reference& name) {
        publish_build_event(context.engine(), "tag", id, name.familiar());
    };
    return callbacks;
}

Result<void> check_context_type(const Context& context) {
    const std::string_view type = context.request().headers.get("Content-Type");
    if (type.empty() || type.starts_with("application/x-tar") ||
        type.starts_with("application/tar") || type.starts_with("application/octet-stream") ||
        type.starts_with("application/gzip") || type.starts_with("application/x-gzip")) {
        return ok();
    }
    return invalid_argument(
        "Content-Type \"" + std::string(type) +
        "\" is not supported; a build's context is "
        "application/x-tar");
}

// What docker before 23.0 reads from its standard input: the build that wants it has a request of
// its own.
Result<void> take_upload(Context& context, const std::string& id) {
    context.body().set_limit(http::Body::unlimited);
    TRY(context.buildkit().uploads().offer(context.stop(), id, context.body()));
    return context.response().respond(200, {{"Content-Type", "application/json"}}, "");
}

// https://github.com/moby/moby/blob/v28.5.2/api/server/backend/build/backend.go: the messages of
// the build's trace, and at last the image.
Result<void> build_in_session(Context& context) {
    BuildKit& buildkit = context.buildkit();
    const std::string id = context.query("buildid");
    if (const auto upload = cut(id, ":"); upload && upload->before == upload_request) {
        return take_upload(context, std::string(upload->after));
    }
    const auto request = TRY(parse_build_request(context));
    const Running running = TRY(buildkit.begin(id));
    const std::stop_callback hang_up(context.stop(), [&running] { running.cancel(); });
    const std::string remote = context.query("remote");
    std::unique_ptr<BodyUploads::Taken> upload;
    ByteSource* archive = nullptr;
    if (remote == upload_request) {
        upload = TRY(buildkit.uploads().take(running.token(), id));
        archive = &upload->source();
    } else if (remote.empty()) {
        TRY(check_context_type(context));
        context.body().set_limit(http::Body::unlimited);
        archive = &context.body();
    }
    ProgressStream stream(context.response());
    stream.begin();
    auto built = buildkit.build(
        running.token(),
        {.request = request,
         .session = context.query("session"),
         .files_session = {},
         .upload = remote,
         .archive = archive,
         .ref = id.empty() ? random_hex(16) : id},
        [&stream](const std::string& status) {
            stream.send_aux("moby.buildkit.trace", json::Value(base64_encode(status)));
        });
    if (!built.ok()) {
        return stream.finish(std::move(built).error());
    }
    stream.send_aux("moby.image.id", json::Object{{"ID", built->to_string()}});
    return stream.finish(ok());
}

Result<void> build_image(Context& context) {
    if (context.query("version") == "2") {
        return build_in_session(context);
    }
    auto* builder = TRY(builder_of(context));
    const auto request = TRY(parse_build_request(context));
    TRY(check_context_type(context));
    context.body().set_limit(http::Body::unlimited);
    count_build(context.engine());
    ProgressStream stream(context.response());
    build::StepFailure failure;
    build::TarContext archive(context.body());
    auto built = builder->build(
        context.stop(), request, archive, make_callbacks(context, stream, request.quiet), &failure);
    if (built.ok()) {
        return stream.finish(ok());
    }
    count_build_failure(context.engine(), built.error());
    return stream.finish(std::move(built).error(), failure.exit_code);
}

// moby's builder/builder-next/builder.go, toBuildkitPruneInfo
Result<void> read_filters(const Context& context, build::CacheRule& rule) {
    const engine::Filters filters = TRY(context.filters());
    TRY(filters.allow_only(
        {"until",
         "unused-for",
         "id",
         "parent",
         "type",
         "description",
         "inuse",
         "shared",
         "private",
         "label",
         "label!"}));
    if (filters.contains("until") && filters.contains("unused-for")) {
        return invalid_argument(R"(conflicting filters: "until" and "unused-for")");
    }
    for (const std::string_view field : {"until", "unused-for"}) {
        const std::vector<std::string>& values = filters.get(field);
        if (values.size() > 1) {
            return invalid_argument("filters expect only one value");
        }
        if (!values.empty()) {
            const auto until = parse_moment(values[0]);
            if (!until.ok()) {
                return invalid_argument(
                    "\"" + std::string(field) +
                    "\" filter expects a duration (e.g., '24h') or a timestamp");
            }
            rule.unused_for = std::chrono::nanoseconds(
                std::max<std::int64_t>(Timestamp::now().nanoseconds - until->nanoseconds, 0));
        }
    }
    for (const std::string_view field :
         {"id", "parent", "type", "description", "inuse", "shared", "private", "label", "label!"}) {
        const std::vector<std::string>& values = filters.get(field);
        if (values.size() > 1 && !field.starts_with("label")) {
            return invalid_argument("filters expect only one value");
        }
        if (filters.contains(field)) {
            rule.filters.push_back({.field = std::string(field), .values = values});
        }
    }
    return build::check_filters(rule.filters);
}

Result<void> prune_build_cache(Context& context) {
    auto* builder = TRY(builder_of(context));
    build::CacheRule rule{.all = context.flag("all")};
    // The first's name before version 1.48, and its later one.
    for (const auto& [name, target] :
         {std::pair("keep-storage", &rule.reserved_space),
          std::pair("reserved-space", &rule.reserved_space),
          std::pair("max-used-space", &rule.max_used_space),
          std::pair("min-free-space", &rule.min_free_space)}) {
        const auto size = TRY(context.number(name));
        if (size && *size < 0) {
            return invalid_argument("invalid " + std::string(name) + ": " + std::to_string(*size));
        }
        if (size && *size > 0) {
            *target = static_cast<std::uint64_t>(*size);
        }
    }
    TRY(read_filters(context, rule));
    const build::CachePruneReport report = TRY(builder->prune_cache(context.stop(), rule));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    context.engine().events().publish(
        {.type = "builder",
         .action = "prune",
         .actor_id = {},
         .attributes = {{"reclaimed", std::to_string(report.space_reclaimed)}},
         .scope = "local",
         .time = {}});
    return context.reply(
        200,
        json::Object{
            {"CachesDeleted", std::move(deleted)}, {"SpaceReclaimed", report.space_reclaimed}});
}

Result<void> cancel_build(Context& context) {
    const std::string id = context.query("id");
    if (id.empty()) {
        return invalid_argument("build ID not provided");
    }
    context.buildkit().cancel(id);
    return context.reply_empty(204);
}

} // namespace

std::span<const Route> build_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/build", build_image},
        {"POST", "/build/prune", prune_build_cache},
        {"POST", "/build/cancel", cancel_build},
    });
    return routes;
}

} // namespace berth::api
