// SPDX-License-Identifier: Apache-2.0
// Which image a name means follows moby daemon/images/image.go, and for several platforms
// daemon/containerd/image.go: the one that runs here best.
#include "store/image_rows.h"

#include "store/image_choice.h"

namespace berth::store {

namespace {

// Ids that begin with these digits, at most two: more than one is an error anyway.
Result<std::vector<oci::Digest>> ids_with_prefix(Session& session, std::string_view digits) {
    Statement query =
        TRY(session.prepare("SELECT id FROM images WHERE id >= ?1 AND id < ?2 LIMIT 2"));
    std::string first = std::string(image_id_prefix) + std::string(digits);
    std::vector<oci::Digest> ids;
    query.bind(1, first).bind(2, first + "g");
    while (TRY(query.step())) {
        ids.push_back(TRY(oci::Digest::parse(query.text(0))));
    }
    return ids;
}

// Of images by id and configuration, the one for this machine; else `otherwise` or the first.
Result<oci::Digest> first_choice(Statement query, const oci::Digest& otherwise) {
    std::vector<oci::Digest> ids;
    std::vector<oci::Platform> platforms;
    while (TRY(query.step())) {
        ids.push_back(TRY(oci::Digest::parse(query.text(0))));
        platforms.push_back(TRY(oci::ImageConfig::parse(query.text(1))).platform);
    }
    if (ids.size() <= 1) {
        return ids.empty() ? otherwise : ids.front();
    }
    const int best = oci::best_match(platforms, oci::Platform::host());
    if (best >= 0) {
        return ids[static_cast<std::size_t>(best)];
    }
    return otherwise.empty() ? ids.front() : otherwise;
}

Result<std::optional<FoundImage>> find_by_name(Session& session, const oci::Reference& reference) {
    if (reference.has_digest()) {
        const std::string name =
            reference.without_tag_and_digest().with_digest(reference.digest()).to_string();
        Statement query = TRY(session.prepare("SELECT i.id, i.config FROM image_digests d "
                                              "JOIN images i ON i.id = d.image WHERE d.name = ?1"));
        query.bind(1, name);
        oci::Digest id = TRY(first_choice(std::move(query), {}));
        return id.empty() ? std::nullopt
                          : std::optional(FoundImage{std::move(id), name, /*by_digest=*/true});
    }
    const std::string name = reference.with_default_tag().to_string();
    Statement query = TRY(session.prepare("SELECT image FROM image_names WHERE name = ?1"));
    if (!TRY(query.bind(1, name).step())) {
        return std::optional<FoundImage>();
    }
    oci::Digest id = TRY(oci::Digest::parse(query.text(0)));
    return std::optional(FoundImage{.id = std::move(id), .name = name});
}

} // namespace

const Image* best_for(std::span<const Image> images, const oci::Platform& platform) {
    std::vector<oci::Platform> platforms;
    for (const Image& image : images) {
        platforms.push_back(image.config.platform);
    }
    const int best = oci::best_match(platforms, platform);
    return best < 0 ? nullptr : &images[static_cast<std::size_t>(best)];
}

bool is_hex(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error no_such_image(const std::string& name) {
    return not_found("No such image: " + name);
}

Result<Image> read_image(const Statement& row) {
    Image image;
    image.id = TRY(oci::Digest::parse(row.text(0)));
    image.config_json = row.text_copy(1);
    image.config = TRY(oci::ImageConfig::parse(image.config_json));
    if (!row.is_null(2)) {
        image.chain_id = TRY(oci::Digest::parse(row.text(2)));
    }
    image.size = static_cast<std::uint64_t>(row.number(3));
    if (!row.is_null(4)) {
        image.parent = TRY(oci::Digest::parse(row.text(4)));
    }
    image.tagged.nanoseconds = row.number(5);
    image.stored.nanoseconds = row.number(6);
    return image;
}

Result<std::optional<FoundImage>> find_image(Session& session, std::string_view name) {
    std::string_view digits =
        name.starts_with(image_id_prefix) ? name.substr(image_id_prefix.size()) : name;
    const bool may_be_id = is_hex(digits) && digits.size() <= 64;
    if (!may_be_id || digits.size() < 64) {
        const oci::Reference reference = TRY(oci::Reference::parse_normalized(name));
        auto found = TRY(find_by_name(session, reference));
        if (found || !may_be_id) {
            return found;
        }
    }
    std::vector<oci::Digest> ids = TRY(ids_with_prefix(session, digits));
    if (ids.size() > 1) {
        return invalid_argument(
            "ambiguous reference: several image ids begin with \"" + std::string(digits) + "\"");
    }
    return ids.empty() ? std::nullopt
                       : std::optional(FoundImage{.id = std::move(ids.front()), .name = {}});
}

namespace {

Result<void> choose_first(Session& session, std::string_view name, const oci::Digest& otherwise) {
    Statement query = TRY(session.prepare("SELECT i.id, i.config FROM image_platforms p "
                                          "JOIN images i ON i.id = p.image WHERE p.name = ?1"));
    query.bind(1, name);
    const oci::Digest first = TRY(first_choice(std::move(query), otherwise));
    Statement update = TRY(session.prepare("UPDATE image_names SET image = ?2 WHERE name = ?1"));
    return update.bind(1, name).bind(2, first.to_string()).run();
}

Result<void> drop_platforms(Session& session, std::string_view name) {
    Statement removal = TRY(session.prepare("DELETE FROM image_platforms WHERE name = ?1"));
    return removal.bind(1, name).run();
}

// The image leaves the name to the other platforms. False when there are none.
Result<bool> give_up(Session& session, std::string_view name, const oci::Digest& id) {
    {
        Statement removal =
            TRY(session.prepare("DELETE FROM image_platforms WHERE name = ?1 AND image = ?2"));
        TRY(removal.bind(1, name).bind(2, id.to_string()).run());
    }
    if (TRY(platforms_of(session, name)).empty()) {
        return false;
    }
    TRY(choose_first(session, name, {}));
    return true;
}

} // namespace

Result<std::vector<oci::Digest>> platforms_of(Session& session, std::string_view name) {
    Statement query = TRY(session.prepare("SELECT image FROM image_platforms WHERE name = ?1"));
    query.bind(1, name);
    std::vector<oci::Digest> ids;
    while (TRY(query.step())) {
        ids.push_back(TRY(oci::Digest::parse(query.text(0))));
    }
    return ids;
}

Result<void> set_name(Session& session, const NewName& what) {
    if (what.name.has_digest()) {
        return invalid_argument("refusing to create a tag with a digest reference");
    }
    const std::string name = what.name.with_default_tag().to_string();
    const std::string index = what.index.to_string();
    bool joins = false;
    {
        Statement query =
            TRY(session.prepare("SELECT image_index FROM image_names WHERE name = ?1"));
        joins = TRY(query.bind(1, name).step()) && !index.empty() && query.text(0) == index;
    }
    {
        Statement insert = TRY(session.prepare(
            "INSERT INTO image_names (name, image, image_index) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET image = ?2, image_index = ?3"));
        TRY(insert.bind(1, name).bind(2, what.id.to_string()).bind_optional(3, index).run());
    }
    if (!joins) {
        TRY(drop_platforms(session, name));
    }
    if (!index.empty()) {
        Statement platform = TRY(session.prepare(
            "INSERT INTO image_platforms (name, image) VALUES (?1, ?2) ON CONFLICT DO NOTHING"));
        TRY(platform.bind(1, name).bind(2, what.id.to_string()).run());
        TRY(choose_first(session, name, what.id));
    }
    Statement touch = TRY(session.prepare("UPDATE images SET tagged = ?2 WHERE id = ?1"));
    return touch.bind(1, what.id.to_string()).bind(2, Timestamp::now().nanoseconds).run();
}

Result<void> ImageStore::tag(std::string_view source, const oci::Reference& name) {
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    Session& session = transaction.session();
    const auto found = TRY(find_image(session, source));
    if (!found) {
        return no_such_image(std::string(source));
    }
    oci::Digest index;
    std::vector<oci::Digest> platforms;
    if (!found->name.empty() && !found->by_digest) {
        Statement query =
            TRY(session.prepare("SELECT image_index FROM image_names WHERE name = ?1"));
        if (TRY(query.bind(1, found->name).step()) && !query.is_null(0)) {
            index = TRY(oci::Digest::parse(query.text(0)));
        }
    }
    if (!index.empty()) {
        platforms = TRY(platforms_of(session, found->name));
    }
    for (const oci::Digest& id : platforms) {
        TRY(set_name(session, {.id = id, .name = name, .index = index}));
    }
    if (platforms.empty()) {
        TRY(set_name(session, {.id = found->id, .name = name}));
    }
    return transaction.commit();
}

Result<void> ImageStore::untag_platform(const oci::Reference& name, const oci::Digest& id) {
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    Session& session = transaction.session();
    const std::string key =
        name.has_digest() ? name.without_tag_and_digest().with_digest(name.digest()).to_string()
                          : name.with_default_tag().to_string();
    bool stays = false;
    if (!name.has_digest()) {
        stays = TRY(give_up(session, key, id));
    }
    if (!stays) {
        const std::string table = name.has_digest() ? "image_digests" : "image_names";
        Statement removal =
            TRY(session.prepare("DELETE FROM " + table + " WHERE name = ?1 AND image = ?2"));
        TRY(removal.bind(1, key).bind(2, id.to_string()).run());
        if (session.changed_rows() == 0) {
            return no_such_image(name.with_default_tag().familiar());
        }
    }
    return transaction.commit();
}

Result<void> ImageStore::remove(const Image& image) {
    Transaction transaction = TRY(database_.begin(Durability::Durable));
    Session& session = transaction.session();
    const std::string id = image.id.to_string();
    {
        Statement names =
            TRY(session.prepare("SELECT (SELECT count(*) FROM image_names WHERE image = ?1) + "
                                "(SELECT count(*) FROM image_digests WHERE image = ?1) + "
                                "(SELECT count(*) FROM image_platforms p JOIN image_names n "
                                "ON n.name = p.name WHERE p.image = ?1 AND n.image != p.image)"));
        TRY(names.bind(1, id).step());
        if (names.number(0) >
            static_cast<std::int64_t>(
                image.names.size() + image.repo_digests.size() + image.platform_names.size())) {
            return conflict("image " + id + " has got another name meanwhile");
        }
    }
    for (const oci::Reference& name : image.names) {
        TRY(give_up(session, name.with_default_tag().to_string(), image.id));
    }
    {
        Statement removal = TRY(session.prepare("DELETE FROM images WHERE id = ?1"));
        TRY(removal.bind(1, id).run());
    }
    if (transaction->changed_rows() == 0) {
        return no_such_image(id);
    }
    return transaction.commit();
}

} // namespace berth::store
