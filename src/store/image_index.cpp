// SPDX-License-Identifier: Apache-2.0
// Indexes: what a name of several platforms stands for, how much of it is here, and what must stay
// for it.
#include "store/image_rows.h"

#include <algorithm>
#include <set>
#include <variant>

namespace berth::store {

namespace {

constexpr int nested_indexes_limit = 4;

IndexDocument describe(oci::Digest digest, std::string_view media_type, std::string bytes) {
    IndexDocument document;
    document.descriptor.media_type = media_type;
    document.descriptor.digest = std::move(digest);
    document.descriptor.size = static_cast<std::int64_t>(bytes.size());
    document.bytes = std::move(bytes);
    return document;
}

// Its members as far as they are here, indexes below it included. Each document once: a stranger's
// indexes may name one another a thousand times each, at every level.
class IndexWalk {
  public:
    explicit IndexWalk(const BlobStore& blobs)
        : blobs_(blobs) {}

    void enter(const oci::Digest& digest, std::string_view media_type, int depth = 0) {
        if (!seen_.insert(digest).second) {
            return;
        }
        auto bytes = blobs_.read(digest, oci::ManifestLimits::bytes);
        if (!bytes.ok() || depth > nested_indexes_limit) {
            add_entry(digest, media_type);
            return;
        }
        auto parsed = oci::parse_manifest(*bytes, media_type);
        const auto* index = parsed.ok() ? std::get_if<oci::Index>(&*parsed) : nullptr;
        if (index == nullptr) {
            add_entry(digest, media_type);
            return;
        }
        const std::string type =
            index->media_type.empty() ? std::string(oci::media_type::oci_index) : index->media_type;
        documents.push_back(describe(digest, type, std::move(*bytes)));
        for (const oci::Descriptor& entry : index->manifests) {
            if (oci::media_type::is_index(entry.media_type)) {
                enter(entry.digest, entry.media_type, depth + 1);
            } else if (seen_.insert(entry.digest).second) {
                entries.push_back(entry);
            }
        }
    }

    std::vector<IndexDocument> documents;
    std::vector<oci::Descriptor> entries;

  private:
    void add_entry(const oci::Digest& digest, std::string_view media_type) {
        oci::Descriptor entry;
        entry.digest = digest;
        entry.media_type = media_type;
        entries.push_back(std::move(entry));
    }

    const BlobStore& blobs_;
    std::set<oci::Digest> seen_;
};

// Which of the images the manifest's configuration makes.
const Image* image_of(const std::vector<Image>& images, const oci::Manifest& manifest) {
    const oci::Digest& config = manifest.config.digest;
    const auto found = std::find_if(images.begin(), images.end(), [&](const Image& image) {
        return config.algorithm() == image.id.algorithm()
                   ? config == image.id
                   : config == oci::digest_of(config.algorithm(), image.config_json);
    });
    return found == images.end() ? nullptr : &*found;
}

std::optional<oci::Manifest> read_manifest(const BlobStore& blobs, const oci::Descriptor& entry) {
    auto bytes = blobs.read(entry.digest, oci::ManifestLimits::bytes);
    if (!bytes.ok()) {
        return std::nullopt;
    }
    auto document = oci::parse_manifest(*bytes, entry.media_type);
    auto* manifest = document.ok() ? std::get_if<oci::Manifest>(&*document) : nullptr;
    return manifest == nullptr ? std::nullopt : std::optional(std::move(*manifest));
}

} // namespace

Result<void> ImageStore::keep_indexes(Lease& lease, const NewImage& image) {
    for (const IndexDocument& index : image.indexes) {
        auto document = TRY(oci::parse_manifest(index.bytes, index.descriptor.media_type));
        if (!std::holds_alternative<oci::Index>(document)) {
            return invalid_argument(index.descriptor.digest.to_string() + " is no index");
        }
        const oci::Digest& digest = index.descriptor.digest;
        if (TRY(blobs_.put(lease, index.bytes, digest.algorithm())).digest != digest) {
            return Error(
                ErrorKind::DataLoss, "the index has another digest than " + digest.to_string());
        }
        if (&index == &image.indexes.back()) {
            TRY(keep_as_named(lease, std::get<oci::Index>(document), image.manifest));
        }
    }
    return ok();
}

// Its row names a manifest by its sha256; an index may name it by another digest.
Result<void>
ImageStore::keep_as_named(Lease& lease, const oci::Index& index, const std::string& manifest) {
    for (const std::string_view algorithm : oci::blob_algorithms) {
        const oci::Digest digest = oci::digest_of(algorithm, manifest);
        const bool named = std::any_of(
            index.manifests.begin(), index.manifests.end(), [&](const oci::Descriptor& entry) {
                return entry.digest == digest;
            });
        if (named) {
            TRY(blobs_.put(lease, manifest, algorithm));
        }
    }
    return ok();
}

Result<std::vector<Image>> ImageStore::platforms(std::string_view name) const {
    std::vector<Image> images;
    images.push_back(TRY(get(name)));
    std::vector<oci::Digest> ids;
    {
        Session session = database_.session();
        const auto found = TRY(find_image(session, name));
        if (!found || found->name.empty()) {
            return images;
        }
        if (found->by_digest) {
            Statement query =
                TRY(session.prepare("SELECT image FROM image_digests WHERE name = ?1"));
            query.bind(1, found->name);
            while (TRY(query.step())) {
                ids.push_back(TRY(oci::Digest::parse(query.text(0))));
            }
        } else {
            ids = TRY(platforms_of(session, found->name));
        }
    }
    for (const oci::Digest& id : ids) {
        if (id != images.front().id) {
            if (auto image = get(id); image.ok()) { // removed meanwhile is fine
                images.push_back(std::move(*image));
            }
        }
    }
    return images;
}

Result<std::optional<ImageIndex>> ImageStore::index(Lease& lease, std::string_view name) const {
    std::optional<ImageIndex> nothing;
    oci::Digest digest;
    {
        Session session = database_.session();
        const auto found = TRY(find_image(session, name));
        if (!found || found->name.empty()) {
            return nothing;
        }
        if (found->by_digest) {
            digest = TRY(oci::Reference::parse_normalized(found->name)).digest();
        } else {
            Statement query =
                TRY(session.prepare("SELECT image_index FROM image_names WHERE name = ?1"));
            if (!TRY(query.bind(1, found->name).step()) || query.is_null(0)) {
                return nothing;
            }
            digest = TRY(oci::Digest::parse(query.text(0)));
        }
    }
    lease.add_blob(digest);
    IndexWalk walk(blobs_);
    walk.enter(digest, {});
    if (walk.documents.empty()) { // a manifest, or gone
        return nothing;
    }
    const std::vector<Image> images = TRY(platforms(name));
    ImageIndex index{.documents = std::move(walk.documents), .entries = {}, .complete = true};
    for (const IndexDocument& document : index.documents) {
        lease.add_blob(document.descriptor.digest);
    }
    for (oci::Descriptor& descriptor : walk.entries) {
        IndexEntry entry{.descriptor = std::move(descriptor), .image = {}, .complete = false};
        lease.add_blob(entry.descriptor.digest);
        if (const auto manifest = read_manifest(blobs_, entry.descriptor)) {
            if (const Image* image = image_of(images, *manifest)) {
                entry.image = image->id;
            }
            const bool has_config = is_image(entry.descriptor, *manifest)
                                        ? !entry.image.empty()
                                        : keeps(lease, manifest->config.digest);
            entry.complete = has_config && has_layers(lease, *manifest);
        }
        index.complete = index.complete && entry.complete;
        index.entries.push_back(std::move(entry));
    }
    return std::optional(std::move(index));
}

// Every index that a name stands for, with the manifests that are here; of what is no image
// (an attestation) its blobs as well, which nothing else keeps.
Result<void> ImageStore::add_index_roots(std::vector<ContentKey>& keys) const {
    std::set<oci::Digest> indexes;
    {
        Session session = database_.session();
        Statement names = TRY(session.prepare(
            "SELECT DISTINCT image_index FROM image_names WHERE image_index IS NOT NULL"));
        while (TRY(names.step())) {
            indexes.insert(TRY(oci::Digest::parse(names.text(0))));
        }
        Statement digests = TRY(session.prepare("SELECT DISTINCT name FROM image_digests"));
        while (TRY(digests.step())) {
            indexes.insert(TRY(oci::Reference::parse_normalized(digests.text(0))).digest());
        }
    }
    auto add = [&keys](const oci::Digest& digest) { keys.push_back({ContentKind::Blob, digest}); };
    for (const oci::Digest& digest : indexes) {
        IndexWalk walk(blobs_);
        walk.enter(digest, {});
        for (const IndexDocument& document : walk.documents) {
            add(document.descriptor.digest);
        }
        for (const oci::Descriptor& entry : walk.entries) {
            if (walk.documents.empty()) {
                continue; // a manifest: its image says what it needs
            }
            const auto manifest = read_manifest(blobs_, entry);
            if (!manifest) {
                continue;
            }
            add(entry.digest);
            if (is_image(entry, *manifest)) {
                continue;
            }
            add(manifest->config.digest);
            for (const oci::Descriptor& layer : manifest->layers) {
                add(layer.digest);
            }
        }
    }
    return ok();
}

} // namespace berth::store
