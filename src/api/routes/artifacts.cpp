// SPDX-License-Identifier: Apache-2.0
// /berth/artifacts: our own, behind `berth artifact`.
#include "engine/artifacts.h"

#include "api/archive_sink.h"
#include "api/context.h"
#include "api/progress_stream.h"
#include "api/registry_auth.h"
#include "api/registry_outcome.h"
#include "api/route.h"
#include "base/log.h"
#include "base/strings.h"

#include <array>

namespace berth::api {

namespace {

engine::Artifacts artifacts_of(const Context& context) {
    return {context.engine().store(), context.engine().config()};
}

Result<std::string> wanted_name(const Context& context) {
    std::string name = context.query("name");
    return name.empty() ? Result<std::string>(invalid_argument(
                              "no artifact was named: the parameter name is empty"))
                        : name;
}

Result<void> push_artifact(Context& context) {
    engine::ArtifactRequest request{
        .name = TRY(wanted_name(context)),
        .type = context.query("type"),
        .subject = context.query("subject"),
        .media_types = {},
        .annotations = {}};
    for (const std::string_view type : context.request().query.get_all("mediatype")) {
        request.media_types.emplace_back(type);
    }
    for (const std::string_view text : context.request().query.get_all("annotation")) {
        const auto parts = cut(text, "=");
        if (!parts || parts->before.empty()) {
            return invalid_argument("annotation \"" + std::string(text) + "\" is not key=value");
        }
        request.annotations.insert_or_assign(std::string(parts->before), std::string(parts->after));
    }
    context.body().set_limit(http::Body::unlimited);
    ProgressStream stream(context.response());
    auto pushed = transferred(artifacts_of(context).push(
        context.stop(), request, credentials_of(context), context.body(), stream.callback()));
    return stream.finish(pushed.ok() ? ok() : Result<void>(std::move(pushed).error()));
}

Result<void> pull_artifact(Context& context) {
    const std::string name = TRY(wanted_name(context));
    ArchiveSink sink(context.response(), "application/x-tar");
    auto pulled = transferred(
        artifacts_of(context).pull(context.stop(), name, credentials_of(context), sink));
    if (!pulled.ok() && context.response().begun()) {
        log::warn("an artifact was not sent to its end", {{"error", pulled.error().message()}});
    }
    TRY(std::move(pulled));
    TRY(sink.begin());
    return context.response().finish();
}

Result<void> list_artifacts(Context& context) {
    const std::string name = TRY(wanted_name(context));
    const auto found = TRY(transferred(artifacts_of(context).list(
        context.stop(), name, context.query("type"), credentials_of(context))));
    return context.reply(
        200,
        json::Object{
            {"Subject", json::encode(found.subject)},
            {"Referrers", json::encode(found.referrers)}});
}

} // namespace

std::span<const Route> artifact_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/berth/artifacts/push", push_artifact},
        {"GET", "/berth/artifacts/pull", pull_artifact},
        {"GET", "/berth/artifacts/json", list_artifacts},
    });
    return routes;
}

} // namespace berth::api
