// SPDX-License-Identifier: Apache-2.0
// /containers: what reads or writes a container's files: changes, export, commit, archive.
#include "api/archive_sink.h"
#include "api/context.h"
#include "api/import_changes.h"
#include "api/route.h"
#include "api/wire/container.h"
#include "codec/base64.h"
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

Result<void> list_changes(Context& context) {
    json::Array array;
    for (const store::Change& change :
         TRY(context.engine().containers().changes(context.parameter()))) {
        array.push_back(json::Object{{"Kind", code_of(change.kind)}, {"Path", change.path}});
    }
    // Go's nil slice.
    return context.reply(200, array.empty() ? json::Value(nullptr) : json::Value(array));
}

Result<void> export_container(Context& context) {
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

Result<void> commit_container(Context& context) {
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

// ---- archive ----

Result<std::string> archive_path(const Context& context) {
    std::string path = context.query("path");
    if (path.empty()) {
        return invalid_argument("bad parameter: pathcannot be empty"); // Docker's words
    }
    if (path.find('\0') != std::string::npos) {
        return invalid_argument("bad parameter: path has a NUL in it");
    }
    return path;
}

std::string encode_stat(const engine::PathStat& stat) {
    return base64_encode(json::serialize(json::Object{
        {"name", stat.name},
        {"size", stat.size},
        {"mode", stat.mode},
        {"mtime", format_rfc3339(stat.mtime)},
        {"linkTarget", stat.link_target}}));
}

constexpr std::string_view stat_header = "X-Docker-Container-Path-Stat";

Result<void> stat_path(Context& context) {
    const std::string path = TRY(archive_path(context));
    const auto stat = TRY(context.engine().containers().stat_path(context.parameter(), path));
    http::Headers headers;
    headers.set(stat_header, encode_stat(stat));
    return context.response().respond(200, std::move(headers));
}

Result<void> read_archive(Context& context) {
    const std::string path = TRY(archive_path(context));
    ArchiveSink sink(context.response(), "application/x-tar");
    const auto begin = [&sink](const engine::PathStat& stat) {
        sink.add_header(stat_header, encode_stat(stat));
        return sink.begin();
    };
    TRY(context.engine().containers().read_archive(
        context.stop(), context.parameter(), path, begin, sink));
    return context.response().finish();
}

Result<void> write_archive(Context& context) {
    const engine::ArchiveTarget target{
        .path = TRY(archive_path(context)),
        .keep_kinds = context.flag("noOverwriteDirNonDir"),
        .users_own = context.flag("copyUIDGID")};
    context.body().set_limit(http::Body::unlimited);
    TRY(context.engine().containers().write_archive(
        context.stop(), context.parameter(), target, context.body()));
    return context.reply_empty(200);
}

} // namespace

std::span<const Route> container_copy_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/containers/{id}/changes", list_changes},
        {"GET", "/containers/{id}/export", export_container},
        {"HEAD", "/containers/{id}/archive", stat_path},
        {"GET", "/containers/{id}/archive", read_archive},
        {"PUT", "/containers/{id}/archive", write_archive},
        {"POST", "/commit", commit_container},
    });
    return routes;
}

} // namespace berth::api
