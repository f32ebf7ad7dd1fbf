// SPDX-License-Identifier: Apache-2.0
// Whether a layer is what its row says, and making it so again.
#include "base/disk_size.h"
#include "base/file.h"
#include "codec/compression.h"
#include "codec/null_sink.h"
#include "codec/sha256.h"
#include "store/disk_error.h"
#include "store/layer_file.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/layer_tar.h"
#include "store/tar_frame.h"

#include <algorithm>
#include <set>

#include <sys/stat.h>

namespace berth::store {

namespace {

bool is_directory(const std::string& path) {
    struct stat status {};

    return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Of the tar that the files give, whether or not it is the one that they came from.
Result<std::string> tree_hash(const std::string& tree, const std::vector<std::string>& parents) {
    NullSink nowhere;
    HashingSink hashed(nowhere);
    const Difference difference = TRY(overlay_difference(tree, parents));
    TRY(write_difference_tar(difference, hashed));
    return hashed.finish_hex();
}

Error damaged_layer(std::string what) {
    return {ErrorKind::DataLoss, std::move(what)};
}

} // namespace

// A layer never changes, so its files are counted once; a repair brings another directory.
std::uint64_t LayerStore::Parts::size_of_tree(const oci::Digest& chain_id) {
    const std::string tree = LayerMounts::tree_of(layer_directory(chain_id));

    struct stat status {};

    if (lstat(tree.c_str(), &status) != 0) {
        return 0;
    }
    const auto same = [&status](const MeasuredTree& known) {
        return known.inode == status.st_ino && known.changed.tv_sec == status.st_ctim.tv_sec &&
               known.changed.tv_nsec == status.st_ctim.tv_nsec;
    };
    {
        auto known = measured_trees.lock();
        if (const auto found = known->find(chain_id);
            found != known->end() && same(found->second)) {
            return found->second.size;
        }
    }
    const std::uint64_t size = disk_size(tree, CountDirectories::Yes);
    measured_trees.lock()->insert_or_assign(
        chain_id, MeasuredTree{.inode = status.st_ino, .changed = status.st_ctim, .size = size});
    return size;
}

std::uint64_t LayerStore::size_on_disk(const LayerInfo& layer) const {
    constexpr std::uint64_t unit = 512; // of st_blocks
    std::uint64_t size = parts_->size_of_tree(layer.chain_id);
    for (const std::string& file :
         {parts_->image_of(layer.chain_id), frame_of(parts_->layer_directory(layer.chain_id))}) {
        struct stat status {};

        if (lstat(file.c_str(), &status) == 0) {
            size += static_cast<std::uint64_t>(status.st_blocks) * unit;
        }
    }
    return size;
}

// An image has its tar in it, and a layer that was made here gives its tar from its files, as do
// files with a frame. Files that were pulled may not: there the blob is unpacked beside them, and
// the trees are compared.
Result<void> LayerStore::verify(const oci::Digest& chain_id, VerifyDepth depth) const {
    const LayerInfo layer = TRY(get(chain_id));
    const std::string tree = LayerMounts::tree_of(parts_->layer_directory(chain_id));
    const bool is_image = exists(parts_->image_of(chain_id));
    if (!is_image && !is_directory(tree)) {
        return damaged_layer("its files are gone");
    }
    if (depth == VerifyDepth::Shallow) {
        return ok();
    }
    NullSink nowhere;
    if (parts_->write_tar_from_files(layer, nowhere).ok()) {
        return is_image ? TRY(LayerFile::open(parts_->image_of(chain_id))).verify_metadata() : ok();
    }
    const std::vector<LayerBlob> blobs = TRY(parts_->blobs_of(layer.diff_id));
    if (is_image || blobs.empty()) {
        return damaged_layer(
            is_image ? "the tar in its image is not that of its diff id"
                     : "its files do not give its tar, and there is no blob to compare them with");
    }
    const LayerHold parents = TRY(parts_->hold(layer.parent));
    const std::string found = TRY(tree_hash(tree, parents.directories()));
    for (const LayerBlob& blob : blobs) {
        FdSource file(TRY(parts_->blobs.open_blob(blob.digest)));
        auto decompressor =
            TRY(compression::Decompressor::create(file, compression::DecompressionLimits::none()));
        StagedLayer staged = TRY(parts_->stage_directory());
        const Result<void> extracted = disk_result(parts_->extract(staged, *decompressor));
        if (!extracted.ok() && extracted.error().kind() == ErrorKind::ResourceExhausted) {
            return Error(extracted.error()).with_context("unpack the layer to compare it");
        }
        if (!extracted.ok()) {
            continue; // the blob's own check tells
        }
        // Those that the layers below do not have came to be when they were unpacked.
        TRY(Parts::adopt_implied_directories(staged, {tree}));
        TRY(parts_->adopt_implied_directories(staged, layer.parent));
        const std::string made = LayerMounts::tree_of(staged.directory_);
        if (TRY(tree_hash(made, parents.directories())) != found) {
            return damaged_layer("its files are not those of blob " + blob.digest.to_string());
        }
        return parts_->has_tar(chain_id) ? damaged_layer("the frame of its tar is damaged") : ok();
    }
    return damaged_layer("its blob is damaged, so its files cannot be compared");
}

Result<void> LayerStore::restore(const oci::Digest& chain_id) {
    const LayerInfo layer = TRY(get(chain_id));
    if (TRY(parts_->blobs_of(layer.diff_id)).empty()) {
        // An image whose tar is whole is made from that.
        NullSink nowhere;
        if (!exists(parts_->image_of(chain_id)) ||
            !parts_->write_tar_from_files(layer, nowhere).ok()) {
            return not_found("layer " + chain_id.to_string() + " has no blob to unpack again");
        }
    }
    std::vector<std::string> mounted;
    {
        auto mounts = parts_->mounts.lock();
        for (const auto& [id, use] : *mounts) {
            if (use.count > 0) {
                mounted.push_back(id);
            }
        }
    }
    for (const std::string& id : mounted) {
        const auto parent = TRY(parent_of(id));
        for (const LayerInfo& below : TRY(chain(parent))) {
            if (below.chain_id == chain_id) {
                return conflict("container " + id.substr(0, 12) + " has it mounted: stop it first");
            }
        }
    }
    const std::lock_guard lock(parts_->publishing);
    return parts_->repair(layer);
}

// The directories first and the rows second: a row comes before a writable layer's directory, and a
// layer's two come and go together.
Result<std::vector<std::string>> LayerStore::stray_directories() const {
    const std::lock_guard lock(parts_->publishing);
    const std::vector<std::string> layers = TRY(list_directory(parts_->root + "/layers"));
    const std::vector<std::string> snapshots = TRY(list_directory(parts_->root + "/snapshots"));
    std::set<std::string> known;
    for (const LayerInfo& layer : TRY(list())) {
        known.insert(std::string(layer.chain_id.hex()));
    }
    std::vector<std::string> strays;
    for (const std::string& name : layers) {
        if (!known.contains(name)) {
            strays.push_back("layers/" + name);
        }
    }
    for (const std::string& name : snapshots) {
        const bool there = exists(parts_->root + "/snapshots/" + name);
        if (there && !has_writable(name)) {
            strays.push_back("snapshots/" + name);
        }
    }
    return strays;
}

Result<void> LayerStore::discard_stray(const std::string& path) {
    if (path.starts_with("snapshots/")) {
        const WritableLayer layer{parts_->root + "/" + path, {}};
        TRY(parts_->snapshotter->unmount(layer));
        parts_->snapshotter->forget_limit(layer);
    }
    return parts_->janitor->discard(parts_->root + "/" + path);
}

} // namespace berth::store
