// SPDX-License-Identifier: Apache-2.0
// /containers: what reads or writes a container's files: changes, export, commit, archive.
#include "api/archive_sink.h"
#include "api/context.h"
#include "api/import_changes.h"
#include "api/route.h"
#include "api/wire/container.h"
#include "engine/container_config_json.h"
#include "engine/images.h"
#include "store/snapshotter.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace berth::api {

namespace {

// 0, 1 and 2 in Docker's answer.
int code_of(store::ChangeKind kind) {
    switch (kind) {
    case store::ChangeKind::Modified:
        return 0;
    case store::ChangeKind::Added:
        return 1;
    case store::ChangeKind::Deleted:
        return 2;
    }
    VERIFY(false);
}

Result<void> changes(Context& context) {
    json::Array array;
    for (const store::Change& change :
         TRY(context.engine().containers().changes(context.parameter()))) {
        array.push_back(json::Object{{"Kind", code_of(change.kind)}, {"Path", change.path}});
    }
    // Go's nil slice.
    return context.reply(200, array.empty() ? json::Value(nullptr) : json::Value(array));
}

Result<void> export_files(Context& context) {
    ArchiveSink sink(context.response(), "application/octet-stream");
    TRY(context.engine().containers().export_files(context.stop(), context.parameter(), sink));
    TRY(sink.begin());
    return context.response().finish();
}

// ---- commit ----

// What the body says of the new image; nullopt when it says nothing.
Result<std::optional<engine::ContainerConfig>> body_config(const Context& context) {
    auto document = TRY(context.json_body());
    if (!document || document->is_null() ||
        (document->is_object() && document->get_object().empty())) {
        return std::optional<engine::ContainerConfig>();
    }
    wire::widen_string_lists(*document);
    auto config = json::decode<engine::ContainerConfig>(*document);
    if (!config.ok()) {
        return std::move(config).error().with_context("invalid JSON");
    }
    return std::optional(std::move(config).value());
}

// The changes work on the body's configuration, or on the container's.
Result<engine::ContainerConfig>
change_config(const engine::ContainerConfig& base, const std::vector<std::string>& changes) {
    auto defaults = TRY(json::decode<oci::ContainerDefaults>(json::encode(base)));
    const ChangedConfig changed = TRY(apply_changes(std::move(defaults), changes));
    auto config = TRY(json::decode<engine::ContainerConfig>(json::encode(changed.config)));
    if (changed.sets_entrypoint) {
        config.entrypoint = changed.config.entrypoint; // "none" is something else than "left open"
    } else {
        config.entrypoint = base.entrypoint;
    }
    return config;
}

Result<void> commit(Context& context) {
    auto body = TRY(body_config(context));
    const std::string container = context.query("container");
    if (container.empty()) {
        return invalid_argument("invalid name or ID supplied: \"\"");
    }
    engine::CommitRequest request{
        .repository = context.query("repo"),
        .tag = context.query("tag"),
        .comment = context.query("comment"),
        .author = context.query("author"),
        .pause = context.query("pause").empty() || context.flag("pause"),
        .config = std::move(body),
    };
    TRY(engine::parse_new_name(request.repository, request.tag));
    auto& containers = context.engine().containers();
    const auto changes = context.request().query.get_all("changes");
    if (!changes.empty()) {
        if (!request.config) {
            request.config = TRY(containers.inspect(container)).config;
        }
        request.config = TRY(change_config(*request.config, {changes.begin(), changes.end()}));
    }
    const std::string id = TRY(containers.commit(context.stop(), container, request));
    return context.reply(201, json::Object{{"Id", id}});
}

Result<void> no_copy(Context&) {
    return not_implemented("copying files from or to a container is not implemented");
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/containers/{id}/changes", changes},
    {"GET", "/containers/{id}/export", export_files},
    {"HEAD", "/containers/{id}/archive", no_copy},
    {"GET", "/containers/{id}/archive", no_copy},
    {"PUT", "/containers/{id}/archive", no_copy},
    {"POST", "/commit", commit},
});

} // namespace

std::span<const Route> container_copy_routes() {
    return routes;
}

} // namespace berth::api
