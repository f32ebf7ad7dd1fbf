// SPDX-License-Identifier: Apache-2.0
// Images as rows: the configuration's bytes, names and repository digests. How a name finds its
// image follows moby daemon/images/image.go.
#include "store/image_store.h"

#include "base/strings.h"
#include "store/image_rows.h"

#include <algorithm>
#include <map>

namespace berth::store {

namespace {

Result<void> add_digest(Session& session, const oci::Digest& id, const oci::Reference& name) {
    if (!name.has_digest()) {
        return invalid_argument(name.to_string() + " has no digest");
    }
    oci::Reference canonical = name.without_tag_and_digest().with_digest(name.digest());
    Statement insert = TRY(session.prepare(
        "INSERT INTO image_digests (name, image) VALUES (?1, ?2) ON CONFLICT DO NOTHING"));
    return insert.bind(1, canonical.to_string()).bind(2, id.to_string()).run();
}

Result<std::vector<oci::Reference>> read_references(Statement query) {
    std::vector<oci::Reference> references;
    while (TRY(query.step())) {
        references.push_back(TRY(oci::Reference::parse_normalized(query.text(0))));
    }
    return references;
}

// The name as Docker prints it when there is no such image.
Result<std::string> displayed_name(std::string_view name) {
    std::string_view digits =
        name.starts_with(image_id_prefix) ? name.substr(image_id_prefix.size()) : name;
    if (digits.size() == 64 && is_hex(digits)) {
        return std::string(image_id_prefix) + std::string(digits);
    }
    return TRY(oci::Reference::parse_normalized(name)).with_default_tag().familiar();
}

// What a manifest says about layers is not taken for known: a blob is a layer's once it was
// unpacked (LayerStore::set_blob).
Result<void> check_manifest(const NewImage& image, const oci::ImageConfig& config) {
    oci::ManifestDocument document = TRY(oci::parse_manifest(image.manifest, image.manifest_type));
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    if (manifest == nullptr || manifest->layers.size() != config.rootfs.diff_ids.size()) {
        return invalid_argument("the manifest and the image's configuration differ in layers");
    }
    return ok();
}

} // namespace

Result<std::unique_ptr<ImageStore>>
ImageStore::open(Database& database, BlobStore& blobs, LayerStore& layers, Leases& leases) {
    return std::unique_ptr<ImageStore>(new ImageStore(database, blobs, layers, leases));
}

Result<Image> ImageStore::create(const NewImage& image) {
    oci::Digest id = oci::Digest::of(image.config_json);
    oci::ImageConfig config = TRY(oci::ImageConfig::parse(image.config_json));
    oci::Digest chain_id = config.chain_id();
    Lease held = lease();
    if (!chain_id.empty()) {
        held.add_layer(chain_id);
    }
    std::uint64_t size = 0;
    for (const LayerInfo& layer : TRY(layers_.chain(chain_id))) {
        size += layer.size;
    }
    TRY(blobs_.put(held, image.config_json));
    oci::Digest manifest;
    if (!image.manifest.empty()) {
        TRY(check_manifest(image, config));
        manifest = TRY(blobs_.put(held, image.manifest)).digest;
    }
    TRY(keep_indexes(held, image));
    const oci::Digest index =
        image.indexes.empty() ? oci::Digest() : image.indexes.front().descriptor.digest;
    std::int64_t now = Timestamp::now().nanoseconds;
    {
        Transaction transaction = TRY(database_.begin(Durability::Durable));
        Statement insert = TRY(transaction->prepare(
            "INSERT INTO images (id, config, chain_id, size, parent, manifest, manifest_type, "
            "stored) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET "
            "parent = coalesce(?5, parent), manifest = coalesce(?6, manifest), "
            "manifest_type = coalesce(?7, manifest_type)"));
        TRY(insert.bind(1, id.to_string())
                .bind_blob(2, image.config_json)
                .bind_optional(3, chain_id.to_string())
                .bind(4, static_cast<std::int64_t>(size))
                .bind_optional(5, image.parent.to_string())
                .bind_optional(6, manifest.to_string())
                .bind_optional(7, image.manifest_type)
                .bind(8, now)
                .run());
        for (const oci::Reference& name : image.names) {
            TRY(set_name(transaction.session(), {.id = id, .name = name, .index = index}));
        }
        for (const oci::Reference& name : image.repo_digests) {
            TRY(add_digest(transaction.session(), id, name));
        }
        TRY(transaction.commit());
    }
    return get(id);
}

Result<Image> ImageStore::get(const oci::Digest& id) const {
    Session session = database_.session();
    Statement query = TRY(session.prepare(std::string(image_columns) + "WHERE id = ?1"));
    if (!TRY(query.bind(1, id.to_string()).step())) {
        return no_such_image(id.to_string());
    }
    Image image = TRY(read_image(query));
    Statement names =
        TRY(session.prepare("SELECT name FROM image_names WHERE image = ?1 ORDER BY name"));
    names.bind(1, id.to_string());
    image.names = TRY(read_references(std::move(names)));
    Statement digests =
        TRY(session.prepare("SELECT name FROM image_digests WHERE image = ?1 ORDER BY name"));
    digests.bind(1, id.to_string());
    image.repo_digests = TRY(read_references(std::move(digests)));
    Statement platforms = TRY(session.prepare(std::string(platform_names) + " AND p.image = ?1"));
    platforms.bind(1, id.to_string());
    image.platform_names = TRY(read_references(std::move(platforms)));
    return image;
}

Result<Image> ImageStore::get(std::string_view name) const {
    std::optional<oci::Digest> id = TRY(find(name));
    if (!id) {
        return no_such_image(TRY(displayed_name(name)));
    }
    return get(*id);
}

Result<std::optional<oci::Digest>> ImageStore::find(std::string_view name) const {
    Session session = database_.session();
    const auto found = TRY(find_image(session, name));
    return found ? std::optional(found->id) : std::nullopt;
}

Result<std::vector<Image>> ImageStore::list() const {
    Session session = database_.session();
    std::vector<Image> images;
    std::map<std::string, std::size_t, std::less<>> positions;
    Statement query = TRY(session.prepare(std::string(image_columns)));
    while (TRY(query.step())) {
        positions.emplace(query.text_copy(0), images.size());
        images.push_back(TRY(read_image(query)));
    }
    auto fill = [&](std::string_view sql, auto member) -> Result<void> {
        Statement rows = TRY(session.prepare(sql));
        while (TRY(rows.step())) {
            Image& image = images[positions.find(rows.text(1))->second];
            (image.*member).push_back(TRY(oci::Reference::parse_normalized(rows.text(0))));
        }
        return ok();
    };
    TRY(fill("SELECT name, image FROM image_names ORDER BY name", &Image::names));
    TRY(fill("SELECT name, image FROM image_digests ORDER BY name", &Image::repo_digests));
    TRY(fill(platform_names, &Image::platform_names));
    std::stable_sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
        return a.config.created > b.config.created;
    });
    return images;
}

Result<std::size_t> ImageStore::count() const {
    Session session = database_.session();
    Statement query = TRY(session.prepare("SELECT count(*) FROM images"));
    TRY(query.step());
    return static_cast<std::size_t>(query.number(0));
}

Result<void> ImageStore::tag(const oci::Digest& id, const oci::Reference& name) {
    TRY(get(id));
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    TRY(set_name(transaction.session(), {.id = id, .name = name}));
    return transaction.commit();
}

Result<void> ImageStore::untag(std::span<const oci::Reference> names) {
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    for (const oci::Reference& name : names) {
        std::string_view table = name.has_digest() ? "image_digests" : "image_names";
        std::string key = name.has_digest()
                              ? name.without_tag_and_digest().with_digest(name.digest()).to_string()
                              : name.with_default_tag().to_string();
        Statement removal =
            TRY(transaction->prepare("DELETE FROM " + std::string(table) + " WHERE name = ?1"));
        TRY(removal.bind(1, key).run());
        if (transaction->changed_rows() == 0) {
            return no_such_image(name.with_default_tag().familiar());
        }
    }
    return transaction.commit();
}

Result<void> ImageStore::add_repo_digest(const oci::Digest& id, const oci::Reference& name) {
    TRY(get(id));
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    TRY(add_digest(transaction.session(), id, name));
    return transaction.commit();
}

Result<std::vector<oci::Digest>> ImageStore::children(const oci::Digest& id) const {
    Session session = database_.session();
    Statement query =
        TRY(session.prepare("SELECT id FROM images WHERE parent = ?1 ORDER BY stored, id"));
    query.bind(1, id.to_string());
    std::vector<oci::Digest> ids;
    while (TRY(query.step())) {
        ids.push_back(TRY(oci::Digest::parse(query.text(0))));
    }
    return ids;
}

} // namespace berth::store
