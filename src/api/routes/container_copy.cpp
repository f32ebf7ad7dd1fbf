// SPDX-License-Identifier: Apache-2.0
// /containers: what reads or writes a container's files: changes, export, commit, archive.
#include "api/context.h"
#include "api/route.h"
#include "store/layer_store.h"

#include <algorithm>
#include <array>
#include <string_view>
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

// What the engine itself puts below a container's mounts; dockerd has it in a layer of its own.
bool is_mount_point(std::string_view path) {
    constexpr auto paths = std::to_array<std::string_view>(
        {"/",
         "/.dockerenv",
         "/dev",
         "/dev/console",
         "/dev/pts",
         "/dev/shm",
         "/etc/hostname",
         "/etc/hosts",
         "/etc/mtab",
         "/etc/resolv.conf",
         "/proc",
         "/sys"});
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

std::vector<store::Change> without_mount_points(std::vector<store::Change> changes) {
    const auto is_ours = [](const store::Change& change) {
        return change.kind != store::ChangeKind::Deleted && is_mount_point(change.path);
    };
    const bool in_etc = std::any_of(changes.begin(), changes.end(), [&](const auto& change) {
        return change.path.starts_with("/etc/") && is_ours(change);
    });
    std::erase_if(changes, is_ours);
    const bool has_other = std::any_of(changes.begin(), changes.end(), [](const auto& change) {
        return change.path.starts_with("/etc/");
    });
    // /etc changed for no more than those files.
    if (in_etc && !has_other) {
        std::erase_if(changes, [](const store::Change& change) { return change.path == "/etc"; });
    }
    return changes;
}

Result<void> changes(Context& context) {
    const std::string id = TRY(context.engine().containers().resolve(context.parameter()));
    json::Array array;
    const auto all = TRY(context.engine().layers().changes(id));
    for (const store::Change& change : without_mount_points(all)) {
        array.push_back(json::Object{{"Kind", code_of(change.kind)}, {"Path", change.path}});
    }
    // Go's nil slice.
    return context.reply(200, array.empty() ? json::Value(nullptr) : json::Value(array));
}

Result<void> no_export(Context&) {
    return not_implemented("exporting a container's file system is not implemented");
}

Result<void> no_copy(Context&) {
    return not_implemented("copying files from or to a container is not implemented");
}

Result<void> no_commit(Context&) {
    return not_implemented("committing a container to an image is not implemented");
}

constexpr auto routes = std::to_array<Route>({
    {"GET", "/containers/{id}/changes", changes},
    {"GET", "/containers/{id}/export", no_export},
    {"HEAD", "/containers/{id}/archive", no_copy},
    {"GET", "/containers/{id}/archive", no_copy},
    {"PUT", "/containers/{id}/archive", no_copy},
    {"POST", "/commit", no_commit},
});

} // namespace

std::span<const Route> container_copy_routes() {
    return routes;
}

} // namespace berth::api
