// SPDX-License-Identifier: Apache-2.0
// /containers: what reads or writes a container's files: changes, export, commit, archive.
#include "api/context.h"
#include "api/route.h"
#include "store/layer_store.h"

#include <array>

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
    const std::string id = TRY(context.engine().containers().resolve(context.parameter()));
    json::Array array;
    for (const store::Change& change : TRY(context.engine().layers().changes(id))) {
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
