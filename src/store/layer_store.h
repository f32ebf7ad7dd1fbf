// SPDX-License-Identifier: Apache-2.0
// Read-only layers by chain id, and the writable layers of containers and build steps on top of
// them. A layer is made under a temporary name and renamed into place, so it is there whole or
// not at all. It is an EROFS image over its tar or a directory; nobody outside sees which.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/compression.h"
#include "codec/stream.h"
#include "oci/digest.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/lease.h"
#include "store/snapshotter.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

struct LayerInfo {
    oci::Digest chain_id;
    oci::Digest diff_id;
    oci::Digest parent;     // chain id; empty for a base layer
    std::uint64_t size = 0; // bytes of its files
    Timestamp created;
};

// A layer that is unpacked but not yet published; dropped by the destructor.
class StagedLayer {
  public:
    StagedLayer(StagedLayer&&) noexcept;
    StagedLayer& operator=(StagedLayer&&) noexcept;
    ~StagedLayer();

    const oci::Digest& diff_id() const { return diff_id_; }

    std::uint64_t size() const { return size_; }

  private:
    friend class LayerStore;
    StagedLayer() = default;

    std::string directory_; // empty: given away
    oci::Digest diff_id_;
    std::uint64_t size_ = 0;
    // Directories that no entry of the tar named; they take after the parent layers' ones.
    std::set<std::string> implied_directories_;
};

// What new layers become. A store may hold both: what is there is used as it is.
enum class LayerForm : std::uint8_t {
    Automatic, // images where the kernel mounts them
    Erofs,
    Directory,
};

// "auto", "erofs", "directory"; InvalidArgument otherwise.
Result<LayerForm> parse_layer_form(std::string_view name);

struct StageOptions {
    // Another diff id is DataLoss.
    std::optional<oci::Digest> expected_diff_id;
    // Keeps what it takes to make a blob of the tar's very bytes later: for layers that come
    // without a compressed form (docker load, import) and that the files alone do not give again.
    // They are on the disk before publish() returns.
    bool keep_blob = false;
};

struct PrepareOptions {
    WriteMode mode = WriteMode::Normal;
    std::uint64_t size_limit = 0; // these two: as WritableLayer's
    std::string mount_label{};
    // Has what a container's runtime mounts things on, and .dockerenv, where its parents have not
    // (store/mount_points.h). They belong to what the layer began with.
    bool mount_points = false;
    // Makes the layer's directory; nullptr: make_directories().
    std::function<Result<void>(const std::string& path, mode_t mode)> make_directory{};
};

// The compressed form of a layer, for a manifest.
struct LayerBlob {
    oci::Digest digest;
    std::uint64_t size = 0;
    std::string media_type;
};

enum class VerifyDepth : std::uint8_t { Shallow, Deep };

// Thread-safe. Writable layers are known by an id that the caller chooses (a container's id); it
// must be a plain file name.
class LayerStore {
  public:
    struct Options {
        std::string root; // the data root
        SnapshotterKind snapshotter = SnapshotterKind::Automatic;
        LayerForm form = LayerForm::Automatic;
        compression::DecompressionLimits limits;
    };

    // All references must outlive the store. Sweeps what a killed process left.
    static Result<std::unique_ptr<LayerStore>>
    open(Options options, Database& database, BlobStore& blobs);
    ~LayerStore();

    // "overlay2", "btrfs" or "vfs".
    std::string_view driver_name() const;
    // What new layers become here: "erofs (file)", "erofs (loop)" or "directory".
    std::string form_description() const;
    // For whoever uncompresses what becomes a layer.
    const compression::DecompressionLimits& limits() const;

    // --- read-only layers ---

    bool contains(const oci::Digest& chain_id) const;
    // NotFound: "layer sha256:… not found".
    Result<LayerInfo> get(const oci::Digest& chain_id) const;
    Result<std::vector<LayerInfo>> list() const;
    // The layer and its parents, base first.
    Result<std::vector<LayerInfo>> chain(const oci::Digest& chain_id) const;

    // Unpacks or indexes an uncompressed tar. Needs no parent, so all layers of an image can be
    // made at once; publish() them from the base up. Reads the source to its end, on a thread of
    // its own while this one writes.
    Result<StagedLayer> stage(Lease& lease, ByteSource& tar, StageOptions options = {});
    // The layer on top of parent (empty: a base layer). The lease holds it. One that exists already
    // is returned as it is.
    Result<LayerInfo> publish(Lease& lease, const oci::Digest& parent, StagedLayer layer);
    // A layer that came by before, for another parent. NotFound when neither a blob nor a layer has
    // its tar.
    Result<StagedLayer> stage_again(Lease& lease, const oci::Digest& diff_id);
    // stage() and publish().
    Result<LayerInfo>
    apply(Lease& lease, const oci::Digest& parent, ByteSource& tar, StageOptions options = {});

    // Conflict while another layer or a writable layer needs it. For the garbage collector, which
    // knows who else does. It vanishes at once; its files are deleted in the
    // background.
    Result<void> remove(const oci::Digest& chain_id);

    // --- checking ---

    // Blocks of its image, its files and the frame of its tar, where it has them, as du counts.
    std::uint64_t size_on_disk(const LayerInfo& layer) const;
    // DataLoss with what is wrong. Deep: the files are compared with the layer's tar, byte by byte.
    Result<void> verify(const oci::Digest& chain_id, VerifyDepth depth) const;
    // Unpacks the layer again from its blob. NotFound when there is none, Conflict while a
    // container that has it mounted runs.
    Result<void> restore(const oci::Digest& chain_id);
    // Directories (layers and writable layers) that no row names.
    Result<std::vector<std::string>> stray_directories() const;
    // Makes one of those vanish.
    Result<void> discard_stray(const std::string& path);

    // --- compressed forms ---

    // Remembers that the blob is this layer, compressed (after a pull or push).
    Result<void> set_blob(const oci::Digest& diff_id, const LayerBlob& blob);
    // The blobs known for a diff id and present in the blob store, preferred first.
    Result<std::vector<LayerBlob>> blobs(const oci::Digest& diff_id) const;
    // The blob is gone (garbage collector).
    Result<void> forget_blob(const oci::Digest& digest);
    // blobs(), or the layer compressed now with gzip and kept as a blob.
    Result<LayerBlob> ensure_blob(Lease& lease, const oci::Digest& chain_id);
    // The uncompressed tar, bytes that hash to the diff id: from the layer or from its blob.
    // DataLoss when neither gives them.
    Result<void> write_tar(const oci::Digest& chain_id, ByteSink& sink) const;
    // How many bytes write_tar() gives when there is no blob; reads no file's data.
    Result<std::uint64_t> tar_size(const oci::Digest& chain_id) const;

    // --- writable layers ---

    // On top of parent (empty: starts empty). Conflict when the id exists.
    Result<void>
    prepare(const std::string& id, const oci::Digest& parent, PrepareOptions options = {});
    // The root file system's path. Mounts count: each mount() wants its unmount(). After a restart
    // of the engine a mount that is there counts as one.
    // `owners`: whose its files are shown to be; a mount that shows others is replaced.
    Result<std::string>
    mount(const std::string& id, std::shared_ptr<const kernel::OwnerMap> owners = nullptr);
    Result<void> unmount(const std::string& id);
    // Whether this kernel and the data root's file system can show files as somebody's:
    // Unavailable, with the reason, when not.
    Result<void> try_owners(std::shared_ptr<const kernel::OwnerMap> owners) const;
    // Unmounts whatever the count and deletes; absent is fine.
    Result<void> remove_writable(const std::string& id);
    bool has_writable(const std::string& id) const;
    // Ids, sorted.
    Result<std::vector<std::string>> list_writable() const;
    // Chain id of the layer below; empty for none.
    Result<oci::Digest> parent_of(const std::string& id) const;

    // docker diff. `mount_points` (relative paths) are left out where they are nothing else.
    Result<std::vector<Change>>
    changes(const std::string& id, std::span<const std::string_view> mount_points = {}) const;
    // Bytes written (docker ps --size: SizeRw) and of all below (with it: SizeRootFs).
    Result<std::uint64_t> usage(const std::string& id) const;
    // The difference as a tar.
    Result<void> write_difference(const std::string& id, ByteSink& sink) const;
    // The difference as a new layer on the same parent. The writable layer stays as it is.
    Result<LayerInfo> commit(Lease& lease, const std::string& id);
    // The same without the mount points; nullopt when nothing else changed.
    Result<std::optional<LayerInfo>> commit_changes(
        std::stop_token stop,
        Lease& lease,
        const std::string& id,
        std::span<const std::string_view> mount_points);
    // The same without copying a byte: the writable layer becomes the layer and is gone. It must
    // not be mounted by anybody any more.
    Result<LayerInfo> commit_and_remove(Lease& lease, const std::string& id);
    // All that is in the root file system, as a tar. Conflict when it was removed meanwhile.
    // `owners`: as it is or would be mounted; the tar has the owners on the disk.
    Result<void> write_root(
        std::stop_token stop,
        const std::string& id,
        std::shared_ptr<const kernel::OwnerMap> owners,
        ByteSink& sink);
    // The layers of `chain_id` above `below` as one on top of it. `root` is a mount of them.
    Result<LayerInfo> squash(
        std::stop_token stop,
        Lease& lease,
        UniqueFd root,
        const oci::Digest& chain_id,
        const oci::Digest& below);
    // GraphDriver.Data of docker inspect.
    Result<std::vector<std::pair<std::string, std::string>>> describe(const std::string& id) const;

    // Syncs what was published since the last call, so that a power cut cannot take it. Unsynced
    // layers of an earlier boot are dropped by open(). Blocks; call it from the background.
    Result<void> sync();

    // Returns once what was removed is off the disk.
    void wait_for_deletions();

  private:
    struct Parts;
    explicit LayerStore(std::unique_ptr<Parts> parts);
    Result<LayerInfo> commit_difference(
        std::stop_token stop,
        Lease& lease,
        const oci::Digest& parent,
        const Difference& difference);

    std::unique_ptr<Parts> parts_;
};

} // namespace berth::store
