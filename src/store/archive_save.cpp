// SPDX-License-Identifier: Apache-2.0
// docker save: an OCI layout that also has manifest.json and repositories, as Docker 25 and later
// write it, so that every reader of either finds what it knows. Layers that have a compressed blob
// go out as that blob; others as plain tar, which costs less than compressing them.
#include "codec/tar.h"
#include "store/archive.h"
#include "store/archive_document.h"
#include "store/blob_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace berth::store {

namespace {

// One image to save and the names that it was asked for by.
struct Selection {
    Image image;
    std::vector<oci::Reference> names;
};

Result<std::vector<Selection>> select(ImageStore& images, std::span<const std::string> names) {
    std::vector<Selection> selections;
    auto add = [&](Image image, const oci::Reference* name) {
        auto same = std::find_if(selections.begin(), selections.end(), [&](const Selection& other) {
            return other.image.id == image.id;
        });
        if (same == selections.end()) {
            selections.push_back({std::move(image), {}});
            same = std::prev(selections.end());
        }
        if (name != nullptr &&
            std::find(same->names.begin(), same->names.end(), *name) == same->names.end()) {
            same->names.push_back(*name);
        }
    };
    for (const std::string& text : names) {
        auto reference = oci::Reference::parse_normalized(text);
        bool found = false;
        if (reference.ok() && reference->is_name_only()) {
            // All tags of the repository, as Docker does it.
            for (Image& image : TRY(images.list())) {
                for (const oci::Reference& name : std::vector(image.names)) {
                    if (name.name() == reference->name()) {
                        add(image, &name);
                        found = true;
                    }
                }
            }
        }
        if (!found) {
            Image image = TRY(images.get(text));
            // Copies: the image moves away.
            std::vector<oci::Reference> known = image.names;
            auto tagged =
                reference.ok() ? std::find(known.begin(), known.end(), *reference) : known.end();
            add(std::move(image), tagged == known.end() ? nullptr : &*tagged);
        }
    }
    return selections;
}

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
    Saver(std::stop_token stop, ImageStore& images, ByteSink& sink)
        : stop_(std::move(stop))
        , images_(images)
        , lease_(images.lease())
        , writer_(sink) {}

    Result<void> save(const std::vector<Selection>& selections) {
        TRY(write_directory("blobs"));
        TRY(write_directory("blobs/sha256"));
        for (const Selection& selection : selections) {
            TRY(save_image(selection));
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
    Result<void> save_image(const Selection& selection) {
        const Image& image = selection.image;
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
        oci::Descriptor described;
        described.media_type = oci::media_type::oci_manifest;
        described.digest = oci::Digest::of(bytes);
        described.size = static_cast<std::int64_t>(bytes.size());
        TRY(write_blob_document(described.digest, bytes));
        describe_names(selection, described, saved);
        saved_images_.push_back(std::move(saved));
        return original ? save_original(*original, image.config_json) : ok();
    }

    // The manifest that the image came with, so that whoever loads the archive can push it on as it
    // was.
    Result<void> save_original(const PushableManifest& original, const std::string& config) {
        TRY(write_blob_document(original.manifest.config.digest, config));
        for (const oci::Descriptor& layer : original.manifest.layers) {
            TRY(write_blob(layer.digest));
        }
        if (original.descriptor.media_type == oci::media_type::oci_manifest) {
            return ok(); // written already
        }
        index_.manifests.push_back(original.descriptor);
        return write_blob_document(original.descriptor.digest, original.bytes);
    }

    void describe_names(
        const Selection& selection, const oci::Descriptor& described, archive::SavedImage& saved) {
        if (selection.names.empty()) {
            index_.manifests.push_back(described);
        }
        for (const oci::Reference& name : selection.names) {
            saved.repo_tags.push_back(name.familiar());
            repositories_[name.familiar_name()][name.tag()] = selection.image.id.hex();
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
    Lease lease_;
    tar::Writer writer_;
    oci::Index index_;
    std::vector<archive::SavedImage> saved_images_;
    std::map<std::string, std::map<std::string, std::string>> repositories_;
    std::set<oci::Digest> written_;
};

} // namespace

Result<void> save_archive(
    std::stop_token stop, ImageStore& images, std::span<const std::string> names, ByteSink& sink) {
    std::vector<Selection> selections = TRY(select(images, names));
    return Saver(std::move(stop), images, sink).save(selections);
}

} // namespace berth::store
