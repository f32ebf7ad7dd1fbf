// SPDX-License-Identifier: Apache-2.0
// docker save: an OCI layout that also has manifest.json and repositories, as Docker 25 and later
// write it, so that every reader of either finds what it knows. Layers that have a compressed blob
// go out as that blob; others as plain tar, which costs less than compressing them.
#include "codec/tar.h"
#include "store/archive.h"
#include "store/archive_document.h"
#include "store/archive_selection.h"
#include "store/blob_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace berth::store {

namespace {

// Bytes of a tar entry; the store's stop sign.
class EntrySink final : public ByteSink {
  public:
    EntrySink(tar::Writer& writer, const std::stop_token& stop)
        : writer_(writer)
        , stop_(stop) {}

    Result<void> write(std::string_view bytes) override {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "saving was cancelled");
        }
        return writer_.write(bytes);
    }

  private:
    tar::Writer& writer_;
    const std::stop_token& stop_;
};

class Saver {
  public:
    Saver(std::stop_token stop, ImageStore& images, Lease& lease, ByteSink& sink)
        : stop_(std::move(stop))
        , images_(images)
        , lease_(lease)
        , writer_(sink) {}

    Result<void> save(const std::vector<Selection>& selections) {
        TRY(write_directory("blobs"));
        TRY(write_directory("blobs/sha256"));
        for (const Selection& selection : selections) {
            TRY(save_selection(selection));
        }
        index_.media_type = oci::media_type::oci_index;
        TRY(write_document(std::string(archive::index_name), index_.serialize()));
        TRY(write_document(std::string(archive::manifest_name), json::encode_text(saved_images_)));
        TRY(write_document(std::string(archive::layout_name), R"({"imageLayoutVersion":"1.0.0"})"));
        if (!repositories_.empty()) {
            TRY(write_document(
                std::string(archive::repositories_name), json::encode_text(repositories_)));
        }
        return writer_.finish();
    }

  private:
    // An image in the archive: its line of manifest.json and the manifest that the index names.
    struct Written {
        archive::SavedImage saved;
        oci::Descriptor described;
        std::optional<oci::Descriptor> original; // where it is another one
    };

    Result<void> save_selection(const Selection& selection) {
        std::vector<Written> written;
        for (const Image& image : selection.images) {
            written.push_back(TRY(save_image(image)));
        }
        Written& first = written.front();
        const bool is_index = selection.index || written.size() > 1;
        if (is_index) {
            first.described = TRY(save_index(selection, written));
        }
        describe_names(selection, first.described, first.saved);
        if (first.original && !is_index) {
            index_.manifests.push_back(std::move(*first.original));
        }
        saved_images_.push_back(std::move(first.saved));
        return ok();
    }

    Result<Written> save_image(const Image& image) {
        archive::SavedImage saved;
        saved.config = archive::blob_name(image.id);
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::oci_manifest;
        manifest.config.media_type = oci::media_type::oci_config;
        manifest.config.digest = image.id;
        manifest.config.size = static_cast<std::int64_t>(image.config_json.size());
        TRY(write_blob_document(image.id, image.config_json));
        bool all_kept = true;
        for (const LayerInfo& layer : TRY(images_.layers().chain(image.chain_id))) {
            oci::Descriptor descriptor = TRY(save_layer(layer));
            all_kept = all_kept && descriptor.media_type != oci::media_type::oci_layer;
            saved.layers.push_back(archive::blob_name(descriptor.digest));
            saved.layer_sources.emplace(layer.diff_id.to_string(), descriptor);
            manifest.layers.push_back(std::move(descriptor));
        }
        std::string bytes = manifest.serialize();
        std::optional<PushableManifest> original;
        if (all_kept) {
            original = TRY(images_.original_manifest(lease_, image.id));
        }
        // skopeo finds names only on manifests of OCI's type; Docker's goes in beside it.
        if (original && original->descriptor.media_type == oci::media_type::oci_manifest) {
            bytes = original->bytes;
        }
        Written written{.saved = std::move(saved), .described = {}, .original = {}};
        written.described.media_type = oci::media_type::oci_manifest;
        written.described.digest = oci::Digest::of(bytes);
        written.described.size = static_cast<std::int64_t>(bytes.size());
        TRY(write_blob_document(written.described.digest, bytes));
        if (original) {
            TRY(save_original(*original, image.config_json));
            if (original->descriptor.media_type != oci::media_type::oci_manifest) {
                written.original = original->descriptor;
            }
        }
        return written;
    }

    // The index as it came, where all of it that is here is whole; else one of what was written.
    Result<oci::Descriptor>
    save_index(const Selection& selection, const std::vector<Written>& written) {
        const auto& original = selection.index;
        const bool exact =
            original &&
            std::none_of(
                original->entries.begin(), original->entries.end(), [](const IndexEntry& entry) {
                    return !entry.image.empty() && !entry.complete;
                });
        if (exact) {
            for (const IndexEntry& entry : original->entries) {
                TRY(save_entry(entry));
            }
            for (const IndexDocument& document : original->documents) {
                TRY(write_blob_document(document.descriptor.digest, document.bytes));
            }
            return original->documents.front().descriptor;
        }
        oci::Index made;
        made.media_type = oci::media_type::oci_index;
        for (std::size_t i = 0; i < written.size(); ++i) {
            oci::Descriptor entry = written[i].described;
            entry.platform = selection.images[i].config.platform;
            made.manifests.push_back(std::move(entry));
        }
        const std::string bytes = made.serialize();
        oci::Descriptor described;
        described.media_type = oci::media_type::oci_index;
        described.digest = oci::Digest::of(bytes);
        described.size = static_cast<std::int64_t>(bytes.size());
        TRY(write_blob_document(described.digest, bytes));
        return described;
    }

    Result<void> save_entry(const IndexEntry& entry) {
        if (!entry.complete) {
            return ok();
        }
        const auto manifest = TRY(
            images_.whole_manifest(lease_, entry.descriptor.digest, entry.descriptor.media_type));
        if (!manifest) {
            return ok();
        }
        if (!entry.image.empty()) {
            return save_original(*manifest, TRY(images_.get(entry.image)).config_json);
        }
        TRY(write_blob(manifest->manifest.config.digest));
        return save_manifest(*manifest);
    }

    // The manifest that the image came with, so that whoever loads the archive can push it on as it
    // was.
    Result<void> save_original(const PushableManifest& original, const std::string& config) {
        TRY(write_blob_document(original.manifest.config.digest, config));
        return save_manifest(original);
    }

    Result<void> save_manifest(const PushableManifest& manifest) {
        for (const oci::Descriptor& layer : manifest.manifest.layers) {
            TRY(write_blob(layer.digest));
        }
        return write_blob_document(manifest.descriptor.digest, manifest.bytes);
    }

    void describe_names(
        const Selection& selection, const oci::Descriptor& described, archive::SavedImage& saved) {
        if (selection.names.empty()) {
            index_.manifests.push_back(described);
        }
        for (const oci::Reference& name : selection.names) {
            saved.repo_tags.push_back(name.familiar());
            repositories_[name.familiar_name()][name.tag()] = selection.images.front().id.hex();
            oci::Descriptor named = described;
            named.annotations.emplace(archive::image_name_annotation, name.to_string());
            named.annotations.emplace(archive::ref_name_annotation, name.tag());
            index_.manifests.push_back(std::move(named));
        }
    }

    Result<oci::Descriptor> save_layer(const LayerInfo& layer) {
        lease_.add_layer(layer.chain_id);
        oci::Descriptor descriptor;
        for (const LayerBlob& blob : TRY(images_.layers().blobs(layer.diff_id))) {
            lease_.add_blob(blob.digest);
            if (!images_.blobs().contains(blob.digest)) {
                continue;
            }
            bool zstd = blob.media_type.ends_with("zstd");
            descriptor.media_type =
                zstd ? oci::media_type::oci_layer_zstd : oci::media_type::oci_layer_gzip;
            descriptor.digest = blob.digest;
            descriptor.size = static_cast<std::int64_t>(blob.size);
            TRY(write_blob(blob.digest));
            return descriptor;
        }
        std::uint64_t size = TRY(images_.layers().tar_size(layer.chain_id));
        descriptor.media_type = oci::media_type::oci_layer;
        descriptor.digest = layer.diff_id;
        descriptor.size = static_cast<std::int64_t>(size);
        if (TRY(begin_blob(layer.diff_id, size))) {
            EntrySink sink(writer_, stop_);
            TRY(images_.layers().write_tar(layer.chain_id, sink));
        }
        return descriptor;
    }

    Result<void> write_blob(const oci::Digest& digest) {
        std::uint64_t size = TRY(images_.blobs().size(digest));
        if (TRY(begin_blob(digest, size))) {
            FdSource source(TRY(images_.blobs().open_blob(digest)));
            EntrySink sink(writer_, stop_);
            oci::Digester hash = TRY(oci::Digester::create(digest.algorithm()));
            std::string buffer(256U << 10, '\0');
            while (const std::size_t count = TRY(source.read(buffer))) {
                const std::string_view bytes = std::string_view(buffer).substr(0, count);
                hash.update(bytes);
                TRY(sink.write(bytes));
            }
            if (const oci::Digest found = hash.finish(); found != digest) {
                return damaged_blob(digest, found);
            }
        }
        return ok();
    }

    Result<void> write_blob_document(const oci::Digest& digest, const std::string& bytes) {
        return TRY(begin_blob(digest, bytes.size())) ? writer_.write(bytes) : ok();
    }

    // False when the blob is in the archive already.
    Result<bool> begin_blob(const oci::Digest& digest, std::uint64_t size) {
        if (!written_.insert(digest).second) {
            return false;
        }
        TRY(write_file_header(archive::blob_name(digest), size));
        return true;
    }

    Result<void> write_document(const std::string& name, const std::string& bytes) {
        TRY(write_file_header(name, bytes.size()));
        return writer_.write(bytes);
    }

    Result<void> write_file_header(const std::string& name, std::uint64_t size) {
        tar::Header header;
        header.name = name;
        header.size = size;
        return writer_.write_header(header);
    }

    Result<void> write_directory(const std::string& name) {
        tar::Header header;
        header.name = name;
        header.type = tar::EntryType::Directory;
        header.mode = 0755;
        return writer_.write_header(header);
    }

    std::stop_token stop_;
    ImageStore& images_;
    Lease& lease_;
    tar::Writer writer_;
    oci::Index index_;
    std::vector<archive::SavedImage> saved_images_;
    std::map<std::string, std::map<std::string, std::string>> repositories_;
    std::set<oci::Digest> written_;
};

} // namespace

Result<void> save_archive(
    std::stop_token stop,
    ImageStore& images,
    std::span<const std::string> names,
    ByteSink& sink,
    const SaveOptions& options) {
    Lease lease = images.lease();
    const auto selections = TRY(select_images(images, lease, names, options));
    return Saver(std::move(stop), images, lease, sink).save(selections);
}

} // namespace berth::store
