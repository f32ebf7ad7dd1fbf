// SPDX-License-Identifier: Apache-2.0
// docker load: manifest.json where there is one, else the OCI layout's index.
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "store/archive.h"
#include "store/archive_contents.h"
#include "store/archive_document.h"
#include "store/layer_extractor.h"

#include <algorithm>
#include <variant>

namespace berth::store {

namespace {

constexpr int index_depth_limit = 4;

class Loader {
  public:
    Loader(
        ArchiveContents& contents, ImageStore& images, const std::optional<oci::Platform>& platform)
        : contents_(contents)
        , images_(images)
        , platform_(platform) {}

    Result<std::vector<LoadedImage>> load() {
        if (const std::string* text = contents_.document(archive::manifest_name)) {
            auto images = TRY_CONTEXT(
                json::decode_text<std::vector<archive::SavedImage>>(*text), "manifest.json");
            TRY(find_original_manifests());
            for (const archive::SavedImage& image : images) {
                TRY(load_saved(image));
            }
            return std::move(loaded_);
        }
        const std::string* index = contents_.document(archive::index_name);
        if (index == nullptr) {
            return no_beginning();
        }
        TRY(load_index(*index, 0));
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

    bool is_wanted(const oci::ImageConfig& config) const {
        return !platform_ || config.platform.normalized().runs_on(platform_->normalized());
    }

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

    // manifest.json says nothing of compressed layers; the index beside it does, for archives of
    // images that were pulled. By configuration; of two, Docker's (see archive_save.cpp) comes
    // second.
    Result<void> find_original_manifests() {
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
            if (!document.ok()) {
                continue;
            }
            if (const auto* manifest = std::get_if<oci::Manifest>(&*document)) {
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
        if (!is_wanted(config)) {
            return ok();
        }
        TRY(publish_layers(config, saved.layers));
        NewImage image;
        image.config_json = *config_json;
        TRY(add_original_manifest(image));
        for (const std::string& name : saved.repo_tags) {
            image.names.push_back(TRY(oci::Reference::parse_normalized(name)));
        }
        return add(image);
    }

    Result<void> load_index(const std::string& text, int depth) {
        if (depth > index_depth_limit) {
            return invalid_argument("image archive: indexes are nested too deep");
        }
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
                TRY(load_best(std::get<oci::Index>(document), descriptor, depth));
            }
        }
        return ok();
    }

    // A multi-platform image: the one for this machine, under the name of the whole.
    Result<void> load_best(const oci::Index& index, const oci::Descriptor& outer, int depth) {
        oci::Descriptor chosen = TRY(index.choose(platform_.value_or(oci::Platform::host())));
        const std::string* bytes = blob_document(chosen.digest);
        if (bytes == nullptr) {
            return missing(archive::blob_name(chosen.digest));
        }
        auto document = TRY(oci::parse_manifest(*bytes, chosen.media_type));
        for (const auto& [key, value] : outer.annotations) {
            chosen.annotations.emplace(key, value);
        }
        if (const auto* manifest = std::get_if<oci::Manifest>(&document)) {
            return load_manifest(*manifest, *bytes, chosen);
        }
        if (depth >= index_depth_limit) {
            return invalid_argument("image archive: indexes are nested too deep");
        }
        return load_best(std::get<oci::Index>(document), chosen, depth + 1);
    }

    Result<void> load_manifest(
        const oci::Manifest& manifest, const std::string& bytes, const oci::Descriptor& from) {
        const std::string* config_json = blob_document(manifest.config.digest);
        if (config_json == nullptr) {
            return missing(archive::blob_name(manifest.config.digest));
        }
        auto config = TRY(oci::ImageConfig::parse(*config_json));
        if (!is_wanted(config)) {
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
        image.names = names_of(from);
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

    // Two names of one image are two entries in an index.
    Result<void> add(const NewImage& image) {
        Image stored = TRY(images_.create(image));
        auto same = std::find_if(loaded_.begin(), loaded_.end(), [&](const LoadedImage& other) {
            return other.id == stored.id;
        });
        if (same == loaded_.end()) {
            loaded_.push_back({stored.id, image.names});
        } else {
            same->names.insert(same->names.end(), image.names.begin(), image.names.end());
        }
        return ok();
    }

    ArchiveContents& contents_;
    ImageStore& images_;
    const std::optional<oci::Platform>& platform_;
    std::map<oci::Digest, oci::Descriptor> originals_;
    std::vector<LoadedImage> loaded_;
};

} // namespace

Result<std::vector<LoadedImage>> load_archive(
    std::stop_token stop, ImageStore& images, ByteSource& archive, const LoadOptions& options) {
    Lease lease = images.lease();
    ArchiveContents contents(std::move(stop), images, lease, options.progress);
    TRY(contents.read(archive));
    return Loader(contents, images, options.platform).load();
}

} // namespace berth::store
