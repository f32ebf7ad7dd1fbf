// SPDX-License-Identifier: Apache-2.0
// What open() does about an earlier process that was killed, and an earlier boot that ended without
// a shutdown.
#include "base/file.h"
#include "base/log.h"
#include "codec/null_sink.h"
#include "kernel/mount.h"
#include "store/disk_error.h"
#include "store/layer_file.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/tar_frame.h"
#include "store/tree_removal.h"

#include <cerrno>
#include <cstdio>
#include <set>

#include <fcntl.h>

namespace berth::store {

namespace {

Result<std::set<std::string>> column(Database& database, std::string_view sql) {
    std::set<std::string> values;
    Session session = database.session();
    Statement query = TRY(session.prepare(sql));
    while (TRY(query.step())) {
        values.insert(query.text_copy(0));
    }
    return values;
}

} // namespace

// Half-unpacked layers, layers and writable layers without a row.
Result<void> LayerStore::Parts::sweep_directories() {
    for (const std::string& name : TRY(list_directory(root + "/tmp"))) {
        if (name.starts_with("layer-")) {
            // The janitor deletes it; renaming is quick.
            rename((root + "/tmp/" + name).c_str(), (root + "/tmp/trash-" + name).c_str());
        } else if (name.starts_with("tmp-")) { // a probe's
            for (const char* place :
                 {"/probe/rootfs",
                  "/probe/mapped",
                  "/file/probe/rootfs",
                  "/file/mount",
                  "/loop/probe/rootfs",
                  "/loop/mount"}) {
                TRY(kernel::unmount_lazily(root + "/tmp/" + name + place));
            }
            TRY(remove_tree_of(root + "/tmp/" + name));
        }
    }
    std::set<std::string> layers = TRY(column(database, "SELECT chain_id FROM layers"));
    for (const std::string& name : TRY(list_directory(root + "/layers"))) {
        if (!layers.contains("sha256:" + name)) {
            TRY(layer_mounts->forget(root + "/layers/" + name));
            rename((root + "/layers/" + name).c_str(), (root + "/tmp/trash-layer-" + name).c_str());
        }
    }
    std::set<std::string> writable = TRY(column(database, "SELECT id FROM writable_layers"));
    for (const std::string& name : TRY(list_directory(root + "/snapshots"))) {
        if (writable.erase(name) == 0) {
            WritableLayer layer{root + "/snapshots/" + name, {}};
            TRY(snapshotter->unmount(layer));
            snapshotter->forget_limit(layer);
            rename(layer.directory.c_str(), (root + "/tmp/trash-writable-" + name).c_str());
        }
    }
    // What is left has no directory: a row that came back with a power cut.
    Transaction transaction = TRY(database.begin(Durability::Cache));
    for (const std::string& id : writable) {
        Statement removal = TRY(transaction->prepare("DELETE FROM writable_layers WHERE id = ?1"));
        TRY(removal.bind(1, id).run());
    }
    return transaction.commit();
}

Result<bool> LayerStore::Parts::has_unsynced_layers() const {
    Session session = database.session();
    Statement query = TRY(session.prepare("SELECT 1 FROM layers WHERE boot_id = ?1 LIMIT 1"));
    return TRY(query.bind(1, boot_id).step());
}

// A layer of an earlier boot that was never synced may have lost anything, and after a power cut a
// deleted layer's row may be back without its files. Where the blob is (blobs are synced before
// they appear) the layer is unpacked again; where it can be made again from its files it is
// compared; else it is gone, and so is what stands on it.
Result<void> LayerStore::Parts::check_unsynced_layers() {
    std::vector<LayerInfo> doubtful;
    {
        Session session = database.session();
        Statement query =
            TRY(session.prepare("SELECT chain_id, boot_id FROM layers ORDER BY created"));
        while (TRY(query.step())) {
            LayerInfo layer;
            layer.chain_id = TRY(oci::Digest::parse(query.text(0)));
            bool synced = query.is_null(1) || query.text(1) == boot_id;
            const std::string directory = layer_directory(layer.chain_id);
            if (!synced || !(exists(LayerMounts::tree_of(directory)) ||
                             exists(LayerMounts::image_of(directory)))) {
                doubtful.push_back(std::move(layer));
            }
        }
    }
    for (LayerInfo& layer : doubtful) {
        Result<std::vector<LayerInfo>> layers = chain(layer.chain_id);
        if (!layers.ok()) {
            continue; // went with a damaged parent
        }
        Result<void> repaired = repair(layers->back());
        if (!repaired.ok()) {
            log::error(
                "a layer was damaged when the machine went down; pull or build its image again",
                {{"layer", layer.chain_id.to_string()}, {"error", repaired.error().message()}});
            TRY(drop_damaged(layer.chain_id));
            continue;
        }
        TRY(mark_checked(layer.chain_id));
    }
    return ok();
}

// What an earlier process left mounted, after a kill or on purpose: running containers' root file
// systems keep their layers, the rest goes.
void LayerStore::Parts::find_mounts() {
    const auto ids = list_directory(root + "/snapshots");
    for (const std::string& id : ids.ok() ? *ids : std::vector<std::string>()) {
        Result<Writable> writable = find_writable(id);
        if (!writable.ok() || !snapshotter->is_mounted(writable->layer)) {
            continue;
        }
        Result<LayerHold> below = hold_below(*writable);
        (*mounts.lock())[id] = {1, below.ok() ? std::move(*below) : LayerHold()};
    }
    const auto layers = list_directory(root + "/layers");
    for (const std::string& name : layers.ok() ? *layers : std::vector<std::string>()) {
        layer_mounts->drop_unused(root + "/layers/" + name);
    }
}

// What the snapshotter made of a layer's files is in what it made of the layers on it.
Result<void> LayerStore::Parts::forget_above(const oci::Digest& chain_id) {
    std::vector<std::string> directories;
    {
        Session session = database.session();
        Statement query = TRY(session.prepare(
            "WITH RECURSIVE above (id) AS (VALUES (?1) UNION SELECT chain_id FROM layers JOIN "
            "above ON layers.parent = above.id) SELECT id FROM above"));
        query.bind(1, chain_id.to_string());
        while (TRY(query.step())) {
            directories.push_back(layer_directory(TRY(oci::Digest::parse(query.text(0)))));
        }
    }
    for (const std::string& directory : directories) {
        TRY(snapshotter->forget_layer(LayerMounts::tree_of(directory)));
        TRY(snapshotter->forget_layer(LayerMounts::mount_point_of(directory)));
    }
    return ok();
}

namespace {

Result<void> move_to(const std::string& from, const std::string& to) {
    return ::rename(from.c_str(), to.c_str()) == 0
               ? ok()
               : disk_error(errno_error("rename " + from + " to " + to));
}

// For file systems that exchange nothing (NFS). After a kill at any point there is the old form of
// the layer or the new one, or none: then there is its blob, from which the next start makes it.
Result<void> exchange_forms(const std::string& staged, const std::string& directory) {
    const std::string tree = LayerMounts::tree_of(directory);
    const std::string image = LayerMounts::image_of(directory);
    const std::string new_image = LayerMounts::image_of(staged);
    if (exists(new_image)) {
        TRY(move_to(new_image, image));
    }
    if (exists(tree)) {
        TRY(move_to(tree, staged + "/replaced"));
    }
    if (!exists(LayerMounts::tree_of(staged))) {
        return ok();
    }
    TRY(move_to(LayerMounts::tree_of(staged), tree));
    return exists(image) ? move_to(image, staged + "/replaced-image") : ok();
}

// In one step: what is there may be all that there is of the layer. What comes out is in `staged`.
Result<void> exchange_layers(const std::string& staged, const std::string& directory) {
    if (renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) == 0) {
        return ok();
    }
    return errno == EINVAL || errno == ENOSYS
               ? exchange_forms(staged, directory)
               : disk_error(errno_error("exchange " + staged + " and " + directory));
}

} // namespace

Result<void> LayerStore::Parts::replace(const LayerInfo& layer, StagedLayer staged) {
    TRY(adopt_implied_directories(staged, layer.parent));
    const std::string directory = layer_directory(layer.chain_id);
    TRY(layer_mounts->forget(directory));
    TRY(disk_result(make_directories(directory, 0700))); // gone with a power cut
    TRY(exchange_layers(staged.directory_, directory));
    return forget_above(layer.chain_id);
}

Result<void> LayerStore::Parts::repair(const LayerInfo& layer) {
    // Blobs may go before the layer does.
    const bool framed = exists(frame_of(layer_directory(layer.chain_id)));
    const KeepTar keep = framed ? KeepTar::Yes : KeepTar::No;
    for (const LayerBlob& blob : TRY(blobs_of(layer.diff_id))) {
        Result<StagedLayer> staged = unpack_blob(blob, layer.diff_id, keep);
        if (staged.ok()) {
            return replace(layer, std::move(*staged));
        }
    }
    const std::string image = image_of(layer.chain_id);
    if (!exists(image)) {
        NullSink nowhere;
        return write_tar_from_files(layer, nowhere);
    }
    LayerFile file = TRY(LayerFile::open(image));
    FileSource tar = file.tar();
    StagedLayer staged = TRY(unpack(tar, KeepTar::Yes));
    if (staged.diff_id() != layer.diff_id) {
        return Error(ErrorKind::DataLoss, image + " is damaged");
    }
    return replace(layer, std::move(staged));
}

// Checked, but not synced in this boot either.
Result<void> LayerStore::Parts::mark_checked(const oci::Digest& chain_id) {
    Transaction transaction = TRY(database.begin(Durability::Cache));
    {
        Statement update =
            TRY(transaction->prepare("UPDATE layers SET boot_id = ?2 WHERE chain_id = ?1"));
        TRY(update.bind(1, chain_id.to_string()).bind(2, boot_id).run());
    }
    return transaction.commit();
}

// The layer, the layers on it and the images of all those, unless a container stands on one: then
// everything stays, for the user to look at.
Result<void> LayerStore::Parts::drop_damaged(const oci::Digest& chain_id) {
    constexpr std::string_view descendants =
        "WITH RECURSIVE above (id) AS (VALUES (?1) UNION SELECT chain_id FROM layers JOIN above ON "
        "layers.parent = above.id) ";
    auto sql = [&](std::string_view rest) { return std::string(descendants) + std::string(rest); };
    Transaction transaction = TRY(database.begin(Durability::Cache));
    {
        Statement used = TRY(transaction->prepare(
            sql("SELECT 1 FROM writable_layers WHERE parent IN (SELECT id FROM above)")));
        if (TRY(used.bind(1, chain_id.to_string()).step())) {
            return ok();
        }
        Statement images = TRY(transaction->prepare(
            sql("DELETE FROM images WHERE chain_id IN (SELECT id FROM above)")));
        TRY(images.bind(1, chain_id.to_string()).run());
        // One by one from the top: a row goes only when nothing refers to it.
        Statement leaf = TRY(transaction->prepare(
            sql("DELETE FROM layers WHERE chain_id IN (SELECT id FROM above) AND NOT EXISTS "
                "(SELECT 1 FROM layers AS child WHERE child.parent = layers.chain_id)")));
        do {
            TRY(leaf.bind(1, chain_id.to_string()).run());
        } while (transaction->changed_rows() > 0);
    }
    return transaction.commit(); // the directories are swept at the next start
}

} // namespace berth::store
