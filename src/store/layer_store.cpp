// SPDX-License-Identifier: Apache-2.0
// Read-only layers: layers/<chain id> and a row each. A layer is there when its row is; a
// directory without a row is swept at the next start.
#include "store/layer_store.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/block_groups.h"
#include "oci/descriptor.h"
#include "oci/image_config.h"
#include "store/disk_error.h"
#include "store/layer_store_parts.h"
#include "store/mount_points.h"
#include "store/schema.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t chain_limit = 4096;

LayerInfo read_layer(const Statement& row) {
    LayerInfo layer;
    // Our own rows hold digests; one that does not parse ends up empty and is found nowhere.
    layer.chain_id = oci::Digest::parse(row.text(0)).value_or(oci::Digest());
    layer.diff_id = oci::Digest::parse(row.text(1)).value_or(oci::Digest());
    layer.parent = oci::Digest::parse(row.text(2)).value_or(oci::Digest());
    layer.size = static_cast<std::uint64_t>(row.number(3));
    layer.created.nanoseconds = row.number(4);
    return layer;
}

Error layer_not_found(const oci::Digest& chain_id) {
    return not_found("layer " + chain_id.to_string() + " not found");
}

Error diff_id_mismatch(const oci::Digest& found, const oci::Digest& expected) {
    return {
        ErrorKind::DataLoss,
        "layer has diff id " + found.to_string() + " where " + expected.to_string() +
            " was expected"};
}

// The writable layers that are there were made by one driver, which is the only one that can read
// them.
Result<std::unique_ptr<Snapshotter>>
choose_snapshotter(SnapshotterKind kind, const std::string& root, Database& database) {
    std::string driver;
    std::int64_t count = 0;
    {
        Session session = database.session();
        Statement query = TRY(session.prepare(
            "SELECT driver, count(*) FROM writable_layers GROUP BY driver ORDER BY 2 DESC"));
        if (TRY(query.step())) {
            driver = query.text_copy(0);
            count = query.number(1);
        }
    }
    if (kind == SnapshotterKind::Automatic && count > 0) {
        kind = TRY(parse_snapshotter_kind(driver));
    }
    auto snapshotter = TRY(create_snapshotter(kind, root + "/tmp"));
    if (count > 0 && driver != snapshotter->name()) {
        return conflict(
            std::to_string(count) + " writable layers in " + root +
            " were made by storage driver \"" + driver + "\", which \"" +
            std::string(snapshotter->name()) +
            "\" cannot read: remove their containers with that driver first, or take another data "
            "root");
    }
    return snapshotter;
}

Result<std::string> read_boot_id() {
    return std::string(trim(TRY(read_file("/proc/sys/kernel/random/boot_id"))));
}

} // namespace

StagedLayer::StagedLayer(StagedLayer&& other) noexcept {
    *this = std::move(other);
}

StagedLayer& StagedLayer::operator=(StagedLayer&& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(diff_id_, other.diff_id_);
    std::swap(size_, other.size_);
    std::swap(implied_directories_, other.implied_directories_);
    return *this;
}

StagedLayer::~StagedLayer() {
    if (!directory_.empty()) {
        // A destructor has nobody to tell; what stays behind is swept at the next start.
        [[maybe_unused]] Result<void> removed = remove_tree_of(directory_);
    }
}

LayerStore::LayerStore(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

LayerStore::~LayerStore() = default;

Result<std::unique_ptr<LayerStore>>
LayerStore::open(Options options, Database& database, BlobStore& blobs) {
    auto parts = std::make_unique<Parts>(options.root, database, blobs);
    for (const char* name : {"/layers", "/snapshots", "/tmp"}) {
        TRY(disk_result(make_directories(options.root + name, 0710)));
    }
    kernel::spread_children(options.root + "/tmp");
    kernel::spread_children(options.root + "/snapshots");
    TRY(disk_result(make_directories(parts->mount_points(), 0755)));
    TRY(make_mount_points(parts->mount_points()));
    parts->boot_id = TRY(read_boot_id());
    TRY(database.migrate("store", schema_steps));
    parts->snapshotter = TRY(choose_snapshotter(options.snapshotter, options.root, database));
    parts->form = options.form;
    parts->limits = options.limits;
    parts->layer_mounts =
        std::make_unique<LayerMounts>([all = parts.get()] { return all->erofs_method(); });
    // A full disk says nothing about the kernel.
    if (options.form == LayerForm::Erofs && parts->erofs_method() == ErofsMethod::None &&
        parts->probed_method.has_value()) {
        return not_implemented("layers as EROFS images do not work here: " + parts->no_method);
    }
    TRY(parts->sweep_directories());
    parts->find_mounts();
    TRY(parts->check_unsynced_layers());
    Parts* raw = parts.get();
    parts->janitor = std::make_unique<Janitor>(std::move(options.root), [raw] {
        // What could not be synced now is checked at the next start.
        [[maybe_unused]] Result<void> synced = raw->sync();
    });
    if (TRY(parts->has_unsynced_layers())) { // the last process ended too soon
        parts->janitor->request_sync();
    }
    return std::unique_ptr<LayerStore>(new LayerStore(std::move(parts)));
}

std::string_view LayerStore::driver_name() const {
    return parts_->snapshotter->name();
}

const compression::DecompressionLimits& LayerStore::limits() const {
    return parts_->limits;
}

bool LayerStore::contains(const oci::Digest& chain_id) const {
    return get(chain_id).ok();
}

Result<LayerInfo> LayerStore::get(const oci::Digest& chain_id) const {
    Session session = parts_->database.session();
    Statement query = TRY(session.prepare(
        "SELECT chain_id, diff_id, parent, size, created FROM layers WHERE chain_id = ?1"));
    if (!TRY(query.bind(1, chain_id.to_string()).step())) {
        return layer_not_found(chain_id);
    }
    return read_layer(query);
}

Result<std::vector<LayerInfo>> LayerStore::list() const {
    Session session = parts_->database.session();
    Statement query =
        TRY(session.prepare("SELECT chain_id, diff_id, parent, size, created FROM layers ORDER BY "
                            "chain_id"));
    std::vector<LayerInfo> layers;
    while (TRY(query.step())) {
        layers.push_back(read_layer(query));
    }
    return layers;
}

Result<std::vector<LayerInfo>> LayerStore::chain(const oci::Digest& chain_id) const {
    return parts_->chain(chain_id);
}

Result<std::vector<LayerInfo>> LayerStore::Parts::chain(const oci::Digest& chain_id) const {
    std::vector<LayerInfo> layers;
    Session session = database.session();
    oci::Digest next = chain_id;
    while (!next.empty()) {
        Statement query = TRY(session.prepare(
            "SELECT chain_id, diff_id, parent, size, created FROM layers WHERE chain_id = ?1"));
        if (!TRY(query.bind(1, next.to_string()).step())) {
            return layer_not_found(next);
        }
        layers.push_back(read_layer(query));
        next = layers.back().parent;
        if (layers.size() > chain_limit) {
            return Error(ErrorKind::DataLoss, "layers have each other as parents");
        }
    }
    std::reverse(layers.begin(), layers.end());
    return layers;
}

Result<StagedLayer> LayerStore::stage(Lease&, ByteSource& tar, StageOptions options) {
    StagedLayer layer =
        TRY(parts_->unpack(tar, options.keep_blob ? Parts::KeepTar::Yes : Parts::KeepTar::No));
    if (options.expected_diff_id && layer.diff_id_ != *options.expected_diff_id) {
        return diff_id_mismatch(layer.diff_id_, *options.expected_diff_id);
    }
    if (options.keep_blob) {
        TRY(parts_->share_frame(layer));
    }
    return layer;
}

Result<void> LayerStore::Parts::insert_layer(const LayerInfo& layer) {
    Transaction transaction = TRY(database.begin(Durability::Cache));
    {
        Statement insert =
            TRY(transaction->prepare("INSERT INTO layers (chain_id, diff_id, parent, size, "
                                     "created, boot_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
        TRY(insert.bind(1, layer.chain_id.to_string())
                .bind(2, layer.diff_id.to_string())
                .bind_optional(3, layer.parent.to_string())
                .bind(4, static_cast<std::int64_t>(layer.size))
                .bind(5, layer.created.nanoseconds)
                .bind(6, boot_id)
                .run());
    }
    return transaction.commit();
}

Result<LayerInfo> LayerStore::publish(Lease& lease, const oci::Digest& parent, StagedLayer staged) {
    VERIFY(!staged.directory_.empty());
    LayerInfo layer;
    layer.chain_id = oci::chain_id(parent, staged.diff_id_);
    layer.diff_id = staged.diff_id_;
    layer.parent = parent;
    layer.size = staged.size_;
    layer.created = Timestamp::now();
    lease.add_layer(layer.chain_id);
    if (!parent.empty()) {
        lease.add_layer(parent);
        TRY(get(parent));
        TRY(parts_->adopt_implied_directories(staged, parent));
    }
    TRY(parts_->finish_sync(staged));
    std::lock_guard lock(parts_->publishing);
    if (Result<LayerInfo> existing = get(layer.chain_id); existing.ok()) {
        return existing;
    }
    std::string directory = parts_->layer_directory(layer.chain_id);
    TRY(parts_->layer_mounts->forget(directory));
    TRY(parts_->janitor->discard(directory)); // of a publication that failed half-way
    if (rename(staged.directory_.c_str(), directory.c_str()) != 0) {
        return disk_error(errno_error("rename " + staged.directory_));
    }
    staged.directory_.clear();
    TRY(parts_->insert_layer(layer));
    parts_->janitor->request_sync();
    return layer;
}

Result<LayerInfo>
LayerStore::apply(Lease& lease, const oci::Digest& parent, ByteSource& tar, StageOptions options) {
    StagedLayer layer = TRY(stage(lease, tar, std::move(options)));
    return publish(lease, parent, std::move(layer));
}

Result<void> LayerStore::remove(const oci::Digest& chain_id) {
    std::lock_guard lock(parts_->publishing);
    {
        Transaction transaction = TRY(parts_->database.begin(Durability::Cache));
        {
            Statement removal = TRY(transaction->prepare("DELETE FROM layers WHERE chain_id = ?1"));
            Result<void> removed = removal.bind(1, chain_id.to_string()).run();
            if (!removed.ok() && removed.error().kind() == ErrorKind::Conflict) {
                return conflict("layer " + chain_id.to_string() + " is in use");
            }
            TRY(std::move(removed));
        }
        TRY(transaction.commit());
    }
    parts_->measured_trees.lock()->erase(chain_id);
    TRY(parts_->layer_mounts->forget(parts_->layer_directory(chain_id)));
    return parts_->janitor->discard(parts_->layer_directory(chain_id));
}

void LayerStore::wait_for_deletions() {
    parts_->janitor->wait_idle();
}

// https://man7.org/linux/man-pages/man2/syncfs.2.html: one call for thousands of files.
Result<void> LayerStore::Parts::sync() {
    std::vector<std::string> unsynced;
    {
        Session session = database.session();
        Statement query = TRY(session.prepare("SELECT chain_id FROM layers WHERE boot_id = ?1"));
        query.bind(1, boot_id);
        while (TRY(query.step())) {
            unsynced.push_back(query.text_copy(0));
        }
    }
    if (unsynced.empty()) {
        return ok();
    }
    UniqueFd directory = TRY(open_file(root, O_RDONLY | O_DIRECTORY));
    if (syncfs(directory.get()) != 0) {
        return disk_error(errno_error("sync " + root));
    }
    Transaction transaction = TRY(database.begin(Durability::Durable));
    for (const std::string& chain_id : unsynced) {
        Statement update =
            TRY(transaction->prepare("UPDATE layers SET boot_id = NULL WHERE chain_id = ?1"));
        TRY(update.bind(1, chain_id).run());
    }
    return transaction.commit();
}

Result<void> LayerStore::sync() {
    return parts_->sync();
}

} // namespace berth::store
