// SPDX-License-Identifier: Apache-2.0
// The writable layers of containers and build steps: snapshots/<id> and a row each.
#include "base/file.h"
#include "base/random.h"
#include "codec/null_sink.h"
#include "codec/sha256.h"
#include "store/disk_error.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/layer_tar.h"
#include "store/mount_points.h"
#include "store/read_ahead.h"

#include <algorithm>

#include <unistd.h>

namespace berth::store {

namespace {

// The id becomes a directory's name.
Result<void> check_id(const std::string& id) {
    bool plain = !id.empty() && id.size() <= 255 && id[0] != '.' &&
                 std::all_of(id.begin(), id.end(), [](char c) {
                     return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
                 });
    return plain ? ok() : invalid_argument("\"" + id + "\" is no id of a writable layer");
}

Result<void> delete_row(Database& database, const std::string& id) {
    Transaction transaction = TRY(database.begin(Durability::Cache));
    {
        Statement removal = TRY(transaction->prepare("DELETE FROM writable_layers WHERE id = ?1"));
        TRY(removal.bind(1, id).run());
    }
    return transaction.commit();
}

} // namespace

Result<LayerStore::Parts::Writable> LayerStore::Parts::find_writable(const std::string& id) const {
    Writable writable;
    {
        Session session = database.session();
        Statement query = TRY(session.prepare(
            "SELECT parent, write_mode, mount_points FROM writable_layers WHERE id = ?1"));
        if (!TRY(query.bind(1, id).step())) {
            return not_found("writable layer " + id + " not found");
        }
        if (!query.is_null(0)) {
            writable.parent = TRY(oci::Digest::parse(query.text(0)));
        }
        writable.mode = query.number(1) == 0 ? WriteMode::Normal : WriteMode::Volatile;
        writable.mount_points = query.number(2) != 0;
    }
    writable.layer.directory = writable_directory(id);
    return writable;
}

Result<LayerHold> LayerStore::Parts::hold_below(Writable& writable) {
    LayerHold below = TRY(hold(writable.parent));
    writable.layer.layers = below.directories();
    add_mount_points(writable);
    return below;
}

void LayerStore::Parts::add_mount_points(Writable& writable) const {
    if (writable.mount_points && snapshotter->is_stacking()) {
        writable.layer.layers.push_back(mount_points());
    }
}

// Row first: a row without its directory is visible and can be removed, a directory without its row
// is swept.
Result<void>
LayerStore::prepare(const std::string& id, const oci::Digest& parent, PrepareOptions options) {
    TRY(check_id(id));
    std::lock_guard lock(parts_->lock_of(id));
    {
        Transaction transaction = TRY(parts_->database.begin(Durability::Cache));
        {
            Statement insert = TRY(transaction->prepare(
                "INSERT INTO writable_layers (id, parent, write_mode, "
                "created, driver, mount_points) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
            Result<void> inserted = insert.bind(1, id)
                                        .bind_optional(2, parent.to_string())
                                        .bind(3, options.mode == WriteMode::Normal ? 0 : 1)
                                        .bind(4, Timestamp::now().nanoseconds)
                                        .bind(5, driver_name())
                                        .bind(6, options.mount_points ? 1 : 0)
                                        .run();
            if (!inserted.ok() && inserted.error().kind() == ErrorKind::Conflict) {
                return conflict(
                    "writable layer " + id + " exists, or layer " + parent.to_string() +
                    " does not");
            }
            TRY(std::move(inserted));
        }
        TRY(transaction.commit());
    }
    Parts::Writable writable{.parent = parent, .mount_points = options.mount_points};
    WritableLayer& layer = writable.layer;
    layer.directory = parts_->writable_directory(id);
    layer.size_limit = options.size_limit;
    layer.mount_label = std::move(options.mount_label);
    Result<void> prepared = [&]() -> Result<void> {
        LayerHold below = TRY(parts_->hold_below(writable));
        TRY(disk_result(
            options.make_directory ? options.make_directory(layer.directory, 0710)
                                   : make_directories(layer.directory, 0710)));
        TRY(parts_->snapshotter->prepare(layer));
        const bool own = options.mount_points && !parts_->snapshotter->is_stacking();
        return own ? make_mount_points(layer.root()) : ok();
    }();
    if (!prepared.ok()) {
        if (layer.size_limit != 0) {
            parts_->snapshotter->forget_limit(layer);
        }
        TRY(parts_->janitor->discard(layer.directory));
        TRY(delete_row(parts_->database, id));
    }
    return prepared;
}

Result<std::string>
LayerStore::mount(const std::string& id, std::shared_ptr<const kernel::OwnerMap> owners) {
    std::lock_guard lock(parts_->lock_of(id));
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    writable.layer.owners = std::move(owners);
    Result<std::string> mounted = parts_->snapshotter->mount(writable.layer, writable.mode);
    if (!mounted.ok() && mounted.error().kind() == ErrorKind::Conflict) {
        // Of an engine that mapped others. Who still has it open keeps it.
        TRY_CONTEXT(parts_->snapshotter->unmount(writable.layer), "unmount " + id);
        mounted = parts_->snapshotter->mount(writable.layer, writable.mode);
    }
    std::string path = TRY_CONTEXT(std::move(mounted), "mount " + id);
    auto mounts = parts_->mounts.lock();
    Parts::Mounted& uses = (*mounts)[id];
    ++uses.count;
    std::swap(uses.below, below);
    return path;
}

Result<void> LayerStore::unmount(const std::string& id) {
    std::lock_guard lock(parts_->lock_of(id));
    Parts::Writable writable = TRY(parts_->find_writable(id));
    {
        auto mounts = parts_->mounts.lock();
        auto found = mounts->find(id);
        if (found != mounts->end() && --found->second.count > 0) {
            return ok();
        }
    }
    return parts_->unmount_all(id, writable.layer);
}

Result<void> LayerStore::try_owners(std::shared_ptr<const kernel::OwnerMap> owners) const {
    TemporaryDirectory directory = TRY(TemporaryDirectory::create(parts_->root + "/tmp"));
    WritableLayer layer{directory.path() + "/probe", {}};
    TRY(make_directories(layer.directory));
    TRY(parts_->snapshotter->prepare(layer));
    layer.owners = std::move(owners);
    Result<std::string> mounted = parts_->snapshotter->mount(layer, WriteMode::Volatile);
    if (!mounted.ok()) {
        return Error(
            ErrorKind::Unavailable,
            "files below " + parts_->root +
                " cannot be shown as those of a user namespace (overlayfs can from Linux 5.19 "
                "on): " +
                mounted.error().message());
    }
    return parts_->snapshotter->unmount(layer);
}

Result<void> LayerStore::Parts::unmount_all(const std::string& id, const WritableLayer& layer) {
    TRY_CONTEXT(snapshotter->unmount(layer), "unmount " + id);
    Mounted last; // its hold may unmount layers: not under the lock
    {
        auto all = mounts.lock();
        if (const auto found = all->find(id); found != all->end()) {
            last = std::move(found->second);
            all->erase(found);
        }
    }
    return ok();
}

Result<void> LayerStore::remove_writable(const std::string& id) {
    std::lock_guard lock(parts_->lock_of(id));
    Result<Parts::Writable> writable = parts_->find_writable(id);
    if (!writable.ok()) {
        return writable.error().kind() == ErrorKind::NotFound ? ok() : std::move(writable).error();
    }
    TRY(parts_->unmount_all(id, writable->layer));
    TRY(delete_row(parts_->database, id));
    parts_->snapshotter->forget_limit(writable->layer);
    return parts_->janitor->discard(writable->layer.directory);
}

bool LayerStore::has_writable(const std::string& id) const {
    return parent_of(id).ok();
}

Result<std::vector<std::string>> LayerStore::list_writable() const {
    Session session = parts_->database.session();
    Statement query = TRY(session.prepare("SELECT id FROM writable_layers ORDER BY id"));
    std::vector<std::string> ids;
    while (TRY(query.step())) {
        ids.push_back(query.text_copy(0));
    }
    return ids;
}

Result<oci::Digest> LayerStore::parent_of(const std::string& id) const {
    Session session = parts_->database.session();
    Statement query = TRY(session.prepare("SELECT parent FROM writable_layers WHERE id = ?1"));
    if (!TRY(query.bind(1, id).step())) {
        return not_found("writable layer " + id + " not found");
    }
    return query.is_null(0) ? oci::Digest() : TRY(oci::Digest::parse(query.text(0)));
}

Result<std::vector<Change>>
LayerStore::changes(const std::string& id, std::span<const std::string_view> mount_points) const {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    Difference difference = TRY(parts_->snapshotter->difference(writable.layer));
    leave_out_mount_points(difference, mount_points);
    return changes_of(difference);
}

Result<std::uint64_t> LayerStore::usage(const std::string& id) const {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    return parts_->snapshotter->usage(writable.layer);
}

Result<void> LayerStore::write_difference(const std::string& id, ByteSink& sink) const {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    Difference difference = TRY(parts_->snapshotter->difference(writable.layer));
    return write_difference_tar(difference, sink);
}

Result<LayerInfo> LayerStore::commit_and_remove(Lease& lease, const std::string& id) {
    StagedLayer staged;
    Parts::Writable writable = TRY(parts_->find_writable(id));
    {
        LayerHold below = TRY(parts_->hold_below(writable));
        std::lock_guard lock(parts_->lock_of(id));
        TRY(parts_->unmount_all(id, writable.layer));
        {
            Difference difference = TRY(parts_->snapshotter->difference(writable.layer));
            NullSink nowhere;
            HashingSink hash(nowhere);
            TRY(write_difference_tar(difference, hash));
            staged.diff_id_ = TRY(oci::Digest::from_sha256_hex(hash.finish_hex()));
        }
        staged.size_ = TRY(parts_->snapshotter->usage(writable.layer));
        staged.directory_ = parts_->root + "/tmp/layer-" + random_hex(16);
        TRY(disk_result(make_directories(staged.directory_, 0700)));
        if (!TRY(parts_->snapshotter->convert_to_layer(
                writable.layer, staged.directory_ + "/diff"))) {
            staged = StagedLayer();
        }
    }
    LayerInfo layer = staged.directory_.empty()
                          ? TRY(commit(lease, id))
                          : TRY(publish(lease, writable.parent, std::move(staged)));
    TRY(remove_writable(id));
    return layer;
}

Result<std::vector<std::pair<std::string, std::string>>>
LayerStore::describe(const std::string& id) const {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    for (const std::string& layer : TRY(parts_->layer_directories(writable.parent))) {
        writable.layer.layers.push_back(LayerMounts::content_of(layer));
    }
    parts_->add_mount_points(writable);
    return parts_->snapshotter->describe(writable.layer);
}

} // namespace berth::store
