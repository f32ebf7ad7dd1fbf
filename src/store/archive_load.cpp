// SPDX-License-Identifier: Apache-2.0
// docker load: manifest.json where there is one, else the OCI layout's index. What stands there for
// several platforms is taken from the index in any case: manifest.json knows of one only.
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "store/archive.h"
#include "store/archive_contents.h"
#include "store/archive_document.h"
#include "store/archive_selection.h"
#include "store/image_rows.h"
#include "store/layer_extractor.h"

#include <algorithm>
#include <set>
#include <variant>

namespace berth::store {

namespace {

constexpr std::size_t index_depth_limit = 4;

class Loader {
  public:
    Loader(
        std::stop_token stop,
        ArchiveContents& contents,
        ImageStore& images,
        Lease& lease,
        const LoadOptions& options)
        : stop_(std::move(stop))
        , contents_(contents)
        , images_(images)
        , lease_(lease)
        , platforms_(options.platforms) {}

    Result<std::vector<LoadedImage>> load() {
        if (const std::string* text = contents_.document(archive::manifest_name)) {
            auto images = TRY_CONTEXT(
                json::decode_text<std::vector<archive::SavedImage>>(*text), "manifest.json");
            TRY(load_index_beside_manifest());
            for (const archive::SavedImage& image : images) {
                TRY(load_saved(image));
            }
            return std::move(loaded_);
        }
        const std::string* index = contents_.document(archive::index_name);
        if (index == nullptr) {
            return no_beginning();
        }
        TRY(load_index(*index));
        return std::move(loaded_);
    }

  private:
    Error no_beginning() const {
        for (std::string_view name : {archive::manifest_name, archive::index_name}) {
            Error why = contents_.no_document(std::string(name));
            if (why.kind() == ErrorKind::ResourceExhausted) {
                return why;
            }
        }
        return invalid_argument(
            "invalid image archive: neither manifest.json nor index.json is in it");
    }

    Error missing(const std::string& name) const { return contents_.no_document(name); }

    const std::string* blob_document(const oci::Digest& digest) const {
        return contents_.document(archive::blob_name(digest));
    }

    Result<oci::Digest>
    publish_layers(const oci::ImageConfig& config, const std::vector<std::string>& names) {
        if (names.size() != config.rootfs.diff_ids.size()) {
            return invalid_argument(
                "invalid manifest, layers length mismatch: expected " +
                std::to_string(names.size()) + ", got " +
                std::to_string(config.rootfs.diff_ids.size()));
        }
        oci::Digest parent;
        for (std::size_t i = 0; i < names.size(); ++i) {
            parent = TRY(contents_.publish(parent, names, i, config.rootfs.diff_ids[i])).chain_id;
        }
        return parent;
    }

    // What manifest.json does not say, index.json beside it does: what stands there for several
    // platforms, and, by configuration, the manifests of images that were pulled, with their
    // compressed layers; of two manifests, Docker's (see archive_save.cpp) comes second.
    Result<void> load_index_beside_manifest() {
        const std::string* text = contents_.document(archive::index_name);
        if (text == nullptr) {
            return ok();
        }
        auto index = TRY_CONTEXT(json::decode_text<oci::Index>(*text), "index.json");
        for (const oci::Descriptor& descriptor : index.manifests) {
            const std::string* bytes = blob_document(descriptor.digest);
            if (bytes == nullptr) {
                continue;
            }
            auto document = oci::parse_manifest(*bytes, descriptor.media_type);
            if (oci::media_type::is_index(descriptor.media_type)) {
                const auto parsed = TRY(std::move(document));
                TRY(load_platforms(std::get<oci::Index>(parsed), *bytes, descriptor));
                continue;
            }
            const auto* manifest = document.ok() ? std::get_if<oci::Manifest>(&*document) : nullptr;
            if (manifest != nullptr) {
                originals_.insert_or_assign(manifest->config.digest, descriptor);
            }
        }
        return ok();
    }

    // Only a manifest whose layers are here as they are can be pushed again.
    Result<void> add_original_manifest(NewImage& image) {
        auto found = originals_.end();
        for (std::string_view algorithm : oci::blob_algorithms) {
            if (found == originals_.end()) {
                found = originals_.find(oci::digest_of(algorithm, image.config_json));
            }
        }
        if (found == originals_.end()) {
            return ok();
        }
        const std::string& bytes = *blob_document(found->second.digest);
        auto document = TRY(oci::parse_manifest(bytes, found->second.media_type));
        for (const oci::Descriptor& layer : std::get<oci::Manifest>(document).layers) {
            if (!images_.blobs().contains(layer.digest)) {
                return ok();
            }
        }
        image.manifest = bytes;
        image.manifest_type = found->second.media_type;
        return ok();
    }

    Result<void> load_saved(const archive::SavedImage& saved) {
        std::string config_name = TRY(clean_entry_name(saved.config));
        const std::string* config_json = contents_.document(config_name);
        if (config_json == nullptr) {
            return missing(config_name);
        }
        auto config = TRY(oci::ImageConfig::parse(*config_json));
        if (!is_wanted(config.platform, platforms_)) {
            return ok();
        }
        NewImage image;
        for (const std::string& text : saved.repo_tags) {
            auto name = TRY(oci::Reference::parse_normalized(text));
            if (!indexed_.contains(name.with_default_tag().to_string())) {
                image.names.push_back(std::move(name));
            }
        }
        if (image.names.empty() && find_loaded(oci::Digest::of(*config_json)) != loaded_.end()) {
            return ok(); // it came with an index
        }
        TRY(publish_layers(config, saved.layers));
        image.config_json = *config_json;
        TRY(add_original_manifest(image));
        return add(image);
    }

    Result<void> load_index(const std::string& text) {
        auto index = TRY_CONTEXT(json::decode_text<oci::Index>(text), "index.json");
        for (const oci::Descriptor& descriptor : index.manifests) {
            const std::string* bytes = blob_document(descriptor.digest);
            if (bytes == nullptr) {
                return missing(archive::blob_name(descriptor.digest));
            }
            auto document = TRY(oci::parse_manifest(*bytes, descriptor.media_type));
            if (const auto* manifest = std::get_if<oci::Manifest>(&document)) {
                TRY(load_manifest(*manifest, *bytes, descriptor));
            } else {
                TRY(load_platforms(std::get<oci::Index>(document), *bytes, descriptor));
            }
        }
        return ok();
    }

    // The image of each platform that is in the archive, under the name of the whole.
    Result<void> load_platforms(
        const oci::Index& index, const std::string& bytes, const oci::Descriptor& descriptor) {
        IndexPath path{.names = names_of(descriptor), .indexes = {}, .seen = {}, .loaded = 0};
        TRY(load_entries(index, bytes, descriptor, path));
        if (path.loaded > 0) {
            for (const oci::Reference& name : path.names) {
                indexed_.insert(name.to_string());
            }
            return ok();
        }
        const oci::Descriptor chosen =
            TRY(index.choose(platforms_.empty() ? oci::Platform::host() : platforms_.front()));
        return missing(archive::blob_name(chosen.digest));
    }

    // Where a walk through an index and those in it has come to.
    struct IndexPath {
        std::vector<oci::Reference> names;
        std::vector<IndexDocument> indexes; // outermost first
        std::set<oci::Digest> seen;         // each document counts once, however often it is named
        std::size_t loaded = 0;             // images
    };

    Result<void> load_entries(
        const oci::Index& index,
        const std::string& bytes,
        const oci::Descriptor& described,
        IndexPath& path) {
        if (path.indexes.size() > index_depth_limit) {
            return invalid_argument("image archive: indexes are nested too deep");
        }
        IndexDocument own{.descriptor = {}, .bytes = bytes};
        own.descriptor.media_type =
            index.media_type.empty() ? described.media_type : index.media_type;
        own.descriptor.digest = described.digest;
        own.descriptor.size = static_cast<std::int64_t>(bytes.size());
        path.indexes.push_back(std::move(own));
        for (const oci::Descriptor& entry : index.manifests) {
            const std::string* text = blob_document(entry.digest);
            if (text == nullptr || !path.seen.insert(entry.digest).second) {
                continue; // the archive has some of the platforms
            }
            auto document = TRY(oci::parse_manifest(*text, entry.media_type));
            if (const auto* below = std::get_if<oci::Index>(&document)) {
                TRY(load_entries(*below, *text, entry, path));
                continue;
            }
            const auto& manifest = std::get<oci::Manifest>(document);
            if (!is_image(entry, manifest)) {
                TRY(keep_companion(manifest, *text, entry));
            } else if (has_layers(manifest)) {
                TRY(load_manifest(manifest, *text, entry, path));
            }
        }
        path.indexes.pop_back();
        return ok();
    }

    bool has_layers(const oci::Manifest& manifest) const {
        return std::all_of(
            manifest.layers.begin(), manifest.layers.end(), [&](const oci::Descriptor& layer) {
                return contents_.has_layer(archive::blob_name(layer.digest));
            });
    }

    // An attestation: kept, so that the index can be pushed on whole.
    Result<void> keep_companion(
        const oci::Manifest& manifest, const std::string& bytes, const oci::Descriptor& entry) {
        std::vector<oci::Digest> parts{manifest.config.digest};
        for (const oci::Descriptor& layer : manifest.layers) {
            parts.push_back(layer.digest);
        }
        for (const oci::Digest& digest : parts) {
            if (const std::string* blob = blob_document(digest)) {
                TRY(images_.blobs().put(lease_, *blob, digest.algorithm()));
            }
        }
        TRY(images_.blobs().put(lease_, bytes, entry.digest.algorithm()));
        return ok();
    }

    Result<void> load_manifest(
        const oci::Manifest& manifest, const std::string& bytes, const oci::Descriptor& from) {
        IndexPath alone{.names = names_of(from), .indexes = {}, .seen = {}, .loaded = 0};
        return load_manifest(manifest, bytes, from, alone);
    }

    Result<void> load_manifest(
        const oci::Manifest& manifest,
        const std::string& bytes,
        const oci::Descriptor& from,
        IndexPath& path) {
        const std::string* config_json = blob_document(manifest.config.digest);
        if (config_json == nullptr) {
            return missing(archive::blob_name(manifest.config.digest));
        }
        auto config = TRY(oci::ImageConfig::parse(*config_json));
        if (!is_wanted(config.platform, platforms_)) {
            return ok();
        }
        std::vector<std::string> names;
        bool kept = true;
        for (const oci::Descriptor& layer : manifest.layers) {
            names.push_back(archive::blob_name(layer.digest));
            kept = kept && images_.blobs().contains(layer.digest);
        }
        TRY(publish_layers(config, names));
        NewImage image;
        image.config_json = *config_json;
        if (kept) {
            image.manifest = bytes;
            image.manifest_type =
                manifest.media_type.empty() ? from.media_type : manifest.media_type;
        }
        image.names = path.names;
        image.indexes = path.indexes;
        ++path.loaded;
        return add(image);
    }

    // "name:tag" of either annotation; a bare tag names nothing.
    static std::vector<oci::Reference> names_of(const oci::Descriptor& descriptor) {
        for (std::string_view key :
             {archive::image_name_annotation, archive::ref_name_annotation}) {
            auto found = descriptor.annotations.find(std::string(key));
            if (found == descriptor.annotations.end() ||
                (key == archive::ref_name_annotation &&
                 found->second.find_first_of(":/") == std::string::npos)) {
                continue;
            }
            auto name = oci::Reference::parse_normalized(found->second);
            if (name.ok() && !name->has_digest()) {
                return {name->with_default_tag()};
            }
        }
        return {};
    }

    std::vector<LoadedImage>::iterator find_loaded(const oci::Digest& id) {
        return std::find_if(loaded_.begin(), loaded_.end(), [&](const LoadedImage& other) {
            return other.id == id;
        });
    }

    // Two names of one image are two entries in an index.
    Result<void> add(const NewImage& image) {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "loading was cancelled");
        }
        Image stored = TRY(images_.create(image));
        auto same = find_loaded(stored.id);
        if (same == loaded_.end()) {
            loaded_.push_back({stored.id, image.names});
        } else {
            same->names.insert(same->names.end(), image.names.begin(), image.names.end());
        }
        return ok();
    }

    std::stop_token stop_;
    ArchiveContents& contents_;
    ImageStore& images_;
    Lease& lease_;
    const std::vector<oci::Platform>& platforms_;
    std::map<oci::Digest, oci::Descriptor> originals_;
    std::set<std::string, std::less<>> indexed_; // names that stand for an index
    std::vector<LoadedImage> loaded_;
};

} // namespace

Result<std::vector<LoadedImage>> load_archive(
    std::stop_token stop, ImageStore& images, ByteSource& archive, const LoadOptions& options) {
    Lease lease = images.lease();
    ArchiveContents contents(stop, images, lease, options.progress);
    TRY(contents.read(archive));
    return Loader(std::move(stop), contents, images, lease, options).load();
}

} // namespace berth::store
