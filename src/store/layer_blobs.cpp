// SPDX-License-Identifier: Apache-2.0
// Layers as tar streams and compressed blobs. A layer that was pulled has its blob; one that was
// built here gives the same tar every time, and is compressed when it is pushed first.
#include "base/file.h"
#include "codec/compression.h"
#include "codec/sha256.h"
#include "oci/descriptor.h"
#include "store/disk_error.h"
#include "store/layer_file.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/layer_tar.h"
#include "store/tar_frame.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

namespace berth::store {

namespace {

class CountingSink final : public ByteSink {
  public:
    Result<void> write(std::string_view bytes) override {
        count_ += bytes.size();
        return ok();
    }

    std::uint64_t count() const { return count_; }

  private:
    std::uint64_t count_ = 0;
};

// Registries and engines that know zstd know gzip; not the other way round.
int preference(const LayerBlob& blob) {
    if (blob.media_type.ends_with("gzip")) {
        return 0;
    }
    return blob.media_type.ends_with("zstd") ? 1 : 2;
}

Error lost_tar(const LayerInfo& layer) {
    return {
        ErrorKind::DataLoss,
        "layer " + layer.diff_id.to_string() +
            " cannot be made again bit for bit from its files, and its blob is gone"};
}

} // namespace

Result<void> LayerStore::set_blob(const oci::Digest& diff_id, const LayerBlob& blob) {
    Transaction transaction = TRY(parts_->database.begin(Durability::Cache));
    {
        Statement insert = TRY(transaction->prepare(
            "INSERT INTO layer_blobs (diff_id, digest, size, media_type) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT DO UPDATE SET media_type = ?4"));
        TRY(insert.bind(1, diff_id.to_string())
                .bind(2, blob.digest.to_string())
                .bind(3, static_cast<std::int64_t>(blob.size))
                .bind(4, blob.media_type)
                .run());
    }
    return transaction.commit();
}

Result<void> LayerStore::forget_blob(const oci::Digest& digest) {
    Transaction transaction = TRY(parts_->database.begin(Durability::Cache));
    {
        Statement removal = TRY(transaction->prepare("DELETE FROM layer_blobs WHERE digest = ?1"));
        TRY(removal.bind(1, digest.to_string()).run());
    }
    return transaction.commit();
}

Result<std::vector<LayerBlob>> LayerStore::blobs(const oci::Digest& diff_id) const {
    return parts_->blobs_of(diff_id);
}

Result<std::vector<LayerBlob>> LayerStore::Parts::blobs_of(const oci::Digest& diff_id) const {
    std::vector<LayerBlob> found;
    {
        Session session = database.session();
        Statement query = TRY(
            session.prepare("SELECT digest, size, media_type FROM layer_blobs WHERE diff_id = ?1"));
        query.bind(1, diff_id.to_string());
        while (TRY(query.step())) {
            LayerBlob blob;
            blob.digest = TRY(oci::Digest::parse(query.text(0)));
            blob.size = static_cast<std::uint64_t>(query.number(1));
            blob.media_type = query.text_copy(2);
            found.push_back(std::move(blob));
        }
    }
    std::erase_if(found, [&](const LayerBlob& blob) { return !blobs.contains(blob.digest); });
    std::stable_sort(found.begin(), found.end(), [](const LayerBlob& a, const LayerBlob& b) {
        return preference(a) < preference(b);
    });
    return found;
}

Result<StagedLayer>
LayerStore::Parts::unpack_blob(const LayerBlob& blob, const oci::Digest& diff_id, KeepTar keep) {
    FdSource file(TRY(blobs.open_blob(blob.digest)));
    auto decompressor =
        TRY(compression::Decompressor::create(file, compression::DecompressionLimits::none()));
    StagedLayer layer = TRY(unpack(*decompressor, keep));
    if (layer.diff_id_ != diff_id) {
        return Error(ErrorKind::DataLoss, "blob " + blob.digest.to_string() + " is damaged");
    }
    return layer;
}

bool LayerStore::Parts::has_tar(const oci::Digest& chain_id) const {
    return exists(image_of(chain_id)) || exists(frame_of(layer_directory(chain_id)));
}

namespace {

// The tar in an image.
class ImageTar final : public ByteSource {
  public:
    explicit ImageTar(LayerFile file)
        : file_(std::move(file))
        , tar_(file_.tar()) {}

    Result<std::size_t> read(std::span<char> buffer) override { return tar_.read(buffer); }

  private:
    LayerFile file_;
    FileSource tar_;
};

} // namespace

// A layer of the same tar that is here already may have come without one that could be kept.
Result<void> LayerStore::Parts::share_frame(const StagedLayer& staged) {
    const std::string frame = frame_of(staged.directory_);
    if (!exists(frame)) {
        return ok();
    }
    const std::lock_guard lock(publishing);
    std::vector<std::string> same;
    {
        Session session = database.session();
        Statement query = TRY(session.prepare("SELECT chain_id FROM layers WHERE diff_id = ?1"));
        query.bind(1, staged.diff_id_.to_string());
        while (TRY(query.step())) {
            same.push_back(query.text_copy(0));
        }
    }
    for (const std::string& text : same) {
        const oci::Digest chain_id = TRY(oci::Digest::parse(text));
        if (!has_tar(chain_id) &&
            link(frame.c_str(), frame_of(layer_directory(chain_id)).c_str()) != 0 &&
            errno != ENOENT) { // gone with a power cut, which the next check tells
            return disk_error(errno_error("link " + frame));
        }
    }
    return ok();
}

Result<std::unique_ptr<ByteSource>> LayerStore::Parts::own_tar(const oci::Digest& chain_id) const {
    if (const std::string image = image_of(chain_id); exists(image)) {
        return std::make_unique<ImageTar>(TRY(LayerFile::open(image)));
    }
    const std::string directory = layer_directory(chain_id);
    return TRY(FramedTar::open(directory, LayerMounts::tree_of(directory)));
}

Result<void> LayerStore::Parts::write_tar_from_files(const LayerInfo& layer, ByteSink& sink) {
    HashingSink hashed(sink);
    if (has_tar(layer.chain_id)) {
        const auto tar = TRY(own_tar(layer.chain_id));
        TRY(copy(*tar, hashed));
    } else {
        LayerHold parents = TRY(hold(layer.parent));
        Difference difference = TRY(overlay_difference(
            LayerMounts::tree_of(layer_directory(layer.chain_id)), parents.directories()));
        TRY(write_difference_tar(difference, hashed));
    }
    if (TRY(oci::Digest::from_sha256_hex(hashed.finish_hex())) != layer.diff_id) {
        return lost_tar(layer);
    }
    return ok();
}

Result<StagedLayer> LayerStore::stage_again(Lease& lease, const oci::Digest& diff_id) {
    for (const LayerBlob& blob : TRY(blobs(diff_id))) {
        lease.add_blob(blob.digest);
        Result<StagedLayer> staged = parts_->unpack_blob(blob, diff_id);
        if (staged.ok()) {
            return staged;
        }
    }
    for (const LayerInfo& layer : TRY(list())) {
        if (layer.diff_id == diff_id && parts_->has_tar(layer.chain_id)) {
            lease.add_layer(layer.chain_id);
            const auto tar = TRY(parts_->own_tar(layer.chain_id));
            return stage(lease, *tar, {.expected_diff_id = diff_id, .keep_blob = true});
        }
    }
    return not_found("layer " + diff_id.to_string() + " is nowhere to be had");
}

Result<void> LayerStore::write_tar(const oci::Digest& chain_id, ByteSink& sink) const {
    LayerInfo layer = TRY(get(chain_id));
    std::vector<LayerBlob> known = TRY(blobs(layer.diff_id));
    if (known.empty() || exists(parts_->image_of(chain_id))) {
        return parts_->write_tar_from_files(layer, sink);
    }
    FdSource file(TRY(parts_->blobs.open_blob(known.front().digest)));
    auto decompressor =
        TRY(compression::Decompressor::create(file, compression::DecompressionLimits::none()));
    HashingSource hashed(*decompressor);
    TRY(copy(hashed, sink));
    if (TRY(oci::Digest::from_sha256_hex(hashed.finish_hex())) != layer.diff_id) {
        return Error(
            ErrorKind::DataLoss, "blob " + known.front().digest.to_string() + " is damaged");
    }
    return ok();
}

Result<std::uint64_t> LayerStore::tar_size(const oci::Digest& chain_id) const {
    LayerInfo layer = TRY(get(chain_id));
    if (const std::string image = parts_->image_of(chain_id); exists(image)) {
        return TRY(LayerFile::open(image)).tar_bytes();
    }
    if (const std::string frame = frame_of(parts_->layer_directory(chain_id)); exists(frame)) {
        return TRY(FrameReader::open(frame))->tar_bytes();
    }
    LayerHold parents = TRY(parts_->hold(layer.parent));
    Difference difference = TRY(overlay_difference(
        LayerMounts::tree_of(parts_->layer_directory(chain_id)), parents.directories()));
    CountingSink counter;
    TRY(write_difference_tar(difference, counter, FileData::Zeros));
    return counter.count();
}

Result<LayerBlob> LayerStore::ensure_blob(Lease& lease, const oci::Digest& chain_id) {
    lease.add_layer(chain_id);
    LayerInfo layer = TRY(get(chain_id));
    for (LayerBlob& blob : TRY(blobs(layer.diff_id))) {
        lease.add_blob(blob.digest);
        if (parts_->blobs.contains(blob.digest)) { // once more, now that nobody can take it
            return std::move(blob);
        }
    }
    BlobWriter writer = TRY(parts_->blobs.writer(lease));
    auto compressor = TRY(compression::Compressor::create(writer, compression::Format::Gzip));
    TRY(parts_->write_tar_from_files(layer, *compressor));
    TRY(compressor->finish());
    BlobInfo info = TRY(writer.commit());
    LayerBlob blob{info.digest, info.size, std::string(oci::media_type::oci_layer_gzip)};
    TRY(set_blob(layer.diff_id, blob));
    return blob;
}

} // namespace berth::store
