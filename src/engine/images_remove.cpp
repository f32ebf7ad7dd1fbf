// SPDX-License-Identifier: Apache-2.0
// docker rmi and docker image prune: which references go, when an image may be deleted, and what
// the answer lists.
// Rules as in https://github.com/moby/moby/blob/v28.2.2/daemon/images/image_delete.go
#include "base/log.h"
#include "base/moment.h"
#include "engine/images_parts.h"

#include <algorithm>
#include <optional>
#include <set>

namespace berth::engine {

namespace {

std::string short_id(std::string_view id) {
    return std::string(id.substr(0, 12));
}

// Whether `text` names the image by its id rather than by a reference.
bool is_id_prefix(const oci::Digest& id, std::string_view text) {
    return id.to_string().starts_with(text) || id.hex().starts_with(text);
}

// With a tag: those that mean the image, and those that do so for its platform only.
std::vector<oci::Reference> tags_of(const store::Image& image) {
    std::vector<oci::Reference> tags = image.names;
    tags.insert(tags.end(), image.platform_names.begin(), image.platform_names.end());
    return tags;
}

std::size_t reference_count(const store::Image& image) {
    return image.names.size() + image.platform_names.size() + image.repo_digests.size();
}

// All references are of one repository, with one tag at most.
bool is_single_reference(const store::Image& image) {
    const std::vector<oci::Reference> tags = tags_of(image);
    if (tags.size() > 1 || reference_count(image) == 0) {
        return false;
    }
    std::set<std::string> repositories;
    for (const oci::Reference& name : tags) {
        repositories.insert(name.name());
    }
    for (const oci::Reference& digest : image.repo_digests) {
        repositories.insert(digest.name());
    }
    return repositories.size() == 1;
}

bool has_references(const store::Image& image) {
    return reference_count(image) > 0;
}

struct DeleteConflict {
    bool is_hard = false;
    bool is_used = false;
    std::string message;

    Error to_error(const oci::Digest& id) const {
        return conflict(
            "conflict: unable to delete " + id.short_id() +
            (is_hard ? " (cannot be forced) - " : " (must be forced) - ") + message);
    }
};

struct ConflictChecks {
    bool references = false;
    bool stopped_containers = false;
};

// One removal: the image service's parts and the lines of its answer.
class Removal {
  public:
    Removal(const Images::Parts& parts, std::vector<ImageRemoval>& lines)
        : parts_(parts)
        , lines_(lines) {}

    Result<void> untag(const store::Image& image, const std::vector<oci::Reference>& names) {
        TRY(parts_.images().untag(names));
        tell_untagged(image, names);
        return ok();
    }

    Result<std::optional<DeleteConflict>>
    find_conflict(const store::Image& image, ConflictChecks checks) const {
        using Found = std::optional<DeleteConflict>;
        if (!TRY(parts_.images().children(image.id)).empty()) {
            return Found({true, false, "image has dependent child images"});
        }
        if (const auto running = parts_.users_of(image.id, true); !running.empty()) {
            return Found(
                {true, true, "image is being used by running container " + short_id(running[0])});
        }
        if (checks.references && has_references(image)) {
            return Found({false, false, "image is referenced in multiple repositories"});
        }
        if (!checks.stopped_containers) {
            return Found();
        }
        if (const auto users = parts_.users_of(image.id, false); !users.empty()) {
            return Found(
                {false, true, "image is being used by stopped container " + short_id(users[0])});
        }
        return Found();
    }

    struct DeleteMode {
        bool force = false;
        bool prune = true;
        bool quiet = false; // conflicts end it without an error
    };

    // The image and, when pruning, the nameless images below it.
    Result<void> delete_image(oci::Digest id, DeleteMode mode) {
        while (!id.empty()) {
            const store::Image image = TRY(parts_.images().get(id));
            const auto found = TRY(find_conflict(
                image, {.references = !mode.force, .stopped_containers = !mode.force}));
            if (found) {
                const bool dangling =
                    !has_references(image) && TRY(parts_.images().children(id)).empty();
                if (mode.quiet && (!dangling || found->is_used)) {
                    return ok();
                }
                return found->to_error(id);
            }
            const auto names = TRY(names_that_go(image));
            // In one go: who is killed in between leaves an image that has all of its names.
            TRY(parts_.images().remove(image));
            tell_untagged(image, names);
            tell_untagged(image, image.repo_digests);
            parts_.publish("delete", id.to_string(), id.to_string(), image.config.config.labels);
            lines_.push_back({.untagged = {}, .deleted = id.to_string()});
            id = mode.prune ? image.parent : oci::Digest();
            mode = {.force = false, .prune = true, .quiet = true};
        }
        return ok();
    }

    // An image that is in use keeps its last reference.
    Result<void> check_in_use(
        const store::Image& image, const std::string& text, const ImageRemoveOptions& how) const {
        if (how.force || !is_single_reference(image)) {
            return ok();
        }
        if (const auto users = parts_.users_of(image.id, false); !users.empty()) {
            return conflict(
                "conflict: unable to remove repository reference \"" + text +
                "\" (must force) - container " + short_id(users[0]) +
                " is using its referenced image " + image.id.short_id());
        }
        return ok();
    }

    // One platform of a name; its image goes with its last reference.
    Result<void> remove_platform(
        const store::Image& image, const std::string& text, const ImageRemoveOptions& how) {
        const oci::Reference name = TRY(oci::Reference::parse_normalized(text)).with_default_tag();
        if (references_with(image, name).size() == reference_count(image)) {
            const auto found =
                TRY(find_conflict(image, {.references = false, .stopped_containers = !how.force}));
            if (!found) {
                return delete_image(
                    image.id, {.force = true, .prune = !how.no_prune, .quiet = true});
            }
        }
        return parts_.images().untag_platform(name, image.id);
    }

    // What goes with the reference `text`: nothing but references, or the image where they are its
    // last ones and nothing else speaks for it.
    Result<void> remove_reference(
        const store::Image& image, const std::string& text, const ImageRemoveOptions& how) {
        const oci::Reference name = TRY(oci::Reference::parse_normalized(text)).with_default_tag();
        const std::vector<oci::Reference> going = references_with(image, name);
        if (going.size() == reference_count(image)) {
            const auto found =
                TRY(find_conflict(image, {.references = false, .stopped_containers = !how.force}));
            if (!found) {
                return delete_image(
                    image.id, {.force = true, .prune = !how.no_prune, .quiet = true});
            }
        }
        return untag(image, going);
    }

  private:
    // The name, and where no other tag of its repository is left the repository's digests.
    static std::vector<oci::Reference>
    references_with(const store::Image& image, const oci::Reference& name) {
        std::vector<oci::Reference> going{name};
        const std::vector<oci::Reference> tags = tags_of(image);
        const bool other_tag =
            std::any_of(tags.begin(), tags.end(), [&name](const oci::Reference& other) {
                return other.name() == name.name() && other != name;
            });
        for (const oci::Reference& digest : image.repo_digests) {
            if (!name.has_digest() && !other_tag && digest.name() == name.name()) {
                going.push_back(digest);
            }
        }
        return going;
    }

    void tell_untagged(const store::Image& image, const std::vector<oci::Reference>& names) {
        for (const oci::Reference& name : names) {
            parts_.publish(
                "untag", image.id.to_string(), image.id.to_string(), image.config.config.labels);
            const std::string text = name.familiar();
            const bool told = std::any_of(lines_.begin(), lines_.end(), [&](const auto& line) {
                return line.untagged == text; // of another platform
            });
            if (!told) {
                lines_.push_back({.untagged = text, .deleted = {}});
            }
        }
    }

    // The others stay with the other platforms that they stand for.
    Result<std::vector<oci::Reference>> names_that_go(const store::Image& image) const {
        std::vector<oci::Reference> going;
        for (const oci::Reference& name : image.names) {
            if (TRY(parts_.images().platforms(name.to_string())).size() == 1) {
                going.push_back(name);
            }
        }
        return going;
    }

    const Images::Parts& parts_;
    std::vector<ImageRemoval>& lines_;
};

} // namespace

namespace {

// NotFound when none of the images is for one of the platforms; without any, all are chosen.
Result<std::vector<oci::Digest>> choose_platforms(
    const std::vector<store::Image>& images,
    const std::string& name,
    const std::vector<std::string>& texts) {
    const std::vector<oci::Platform> wanted = TRY(parse_platforms(texts));
    std::vector<oci::Digest> chosen;
    for (const oci::Platform& platform : wanted) {
        const auto before = chosen.size();
        for (const store::Image& image : images) {
            if (image.config.platform.normalized() == platform.normalized()) {
                chosen.push_back(image.id);
            }
        }
        if (chosen.size() == before) {
            return not_found(
                "image with reference " + name +
                " was found but does not provide the specified platform (" + platform.to_string() +
                ")");
        }
    }
    for (const store::Image& image : images) {
        if (wanted.empty()) {
            chosen.push_back(image.id);
        }
    }
    return chosen;
}

} // namespace

Result<std::vector<ImageRemoval>>
Images::Parts::remove(const std::string& text, const ImageRemoveOptions& how) const {
    const std::vector<store::Image> all = TRY(images().platforms(text));
    const store::Image& image = all.front();
    std::vector<ImageRemoval> lines;
    Removal removal(*this, lines);
    const std::vector<oci::Digest> chosen = TRY(choose_platforms(all, text, how.platforms));
    if (!is_id_prefix(image.id, text)) {
        for (const store::Image& one : all) {
            if (std::find(chosen.begin(), chosen.end(), one.id) != chosen.end()) {
                TRY(removal.check_in_use(one, text, how));
            }
        }
        const bool some_stay = chosen.size() < all.size();
        for (const store::Image& one : all) {
            const bool goes = std::find(chosen.begin(), chosen.end(), one.id) != chosen.end();
            if (goes && (some_stay || one.id != image.id)) {
                TRY(removal.remove_platform(one, text, how));
            }
        }
        if (!some_stay) {
            TRY(removal.remove_reference(image, text, how));
        }
        return lines;
    }
    const bool single = is_single_reference(image);
    if (single) {
        const auto found = TRY(
            removal.find_conflict(image, {.references = false, .stopped_containers = !how.force}));
        if (found) {
            return found->to_error(image.id);
        }
    }
    TRY(removal.delete_image(image.id, {.force = how.force || single, .prune = !how.no_prune}));
    return lines;
}

std::int64_t Images::Parts::collect(
    const std::vector<oci::Digest>& candidates, std::vector<ImageRemoval>& removals) const {
    auto report = options.store->garbage_collector().collect();
    if (!report.ok()) {
        log::warn(
            "what removed images left could not be freed, retrying at the next removal",
            {{"error", report.error().message()}});
        return 0;
    }
    for (const oci::Digest& chain_id : candidates) {
        if (!layers().contains(chain_id)) {
            removals.push_back({.untagged = {}, .deleted = chain_id.to_string()});
        }
    }
    return static_cast<std::int64_t>(report->bytes_reclaimed);
}

Result<std::vector<ImageRemoval>>
Images::remove(const std::string& image, const ImageRemoveOptions& options) {
    std::vector<oci::Digest> chain;
    for (const store::Image& found : TRY(parts_->images().platforms(image))) {
        if (found.chain_id.empty()) {
            continue;
        }
        for (const store::LayerInfo& layer : TRY(parts_->layers().chain(found.chain_id))) {
            chain.insert(chain.begin(), layer.chain_id);
        }
    }
    auto removals = TRY(parts_->remove(image, options));
    const bool deleted = std::any_of(
        removals.begin(), removals.end(), [](const auto& line) { return !line.deleted.empty(); });
    if (deleted) {
        parts_->collect(chain, removals);
    }
    return removals;
}

namespace {

// It, or the same for another platform.
Result<bool> is_used(const Images::Parts& parts, const store::Image& image) {
    bool used = !parts.users_of(image.id, false).empty();
    for (const oci::Reference& name : tags_of(image)) {
        if (!TRY(parts.images().find(name.to_string()))) {
            continue; // removed by this prune, or meanwhile
        }
        for (const store::Image& other : TRY(parts.images().platforms(name.to_string()))) {
            used = used || !parts.users_of(other.id, false).empty();
        }
    }
    return used;
}

} // namespace

Result<ImagePruneReport> Images::prune(std::stop_token stop, const Filters& filters) {
    TRY(filters.allow_only({"dangling", "label", "label!", "until"}));
    const bool dangling_only = TRY(filters.get_bool("dangling", true));
    std::optional<Timestamp> until;
    for (const std::string& text : filters.get("until")) {
        until = TRY(parse_moment(text));
    }
    ImagePruneReport report;
    std::vector<oci::Digest> layers;
    for (const store::Image& image : TRY(parts_->images().list())) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "prune: the client went away");
        }
        const StringMap& labels = image.config.config.labels;
        const bool skip =
            (dangling_only && !tags_of(image).empty()) ||
            (until && image.config.created > *until) || !filters.match_labels("label", labels) ||
            (filters.contains("label!") && filters.match_labels("label!", labels)) ||
            TRY(is_used(*parts_, image)) || !TRY(parts_->images().children(image.id)).empty();
        if (skip) {
            continue;
        }
        if (!image.chain_id.empty()) {
            for (const store::LayerInfo& layer : TRY(parts_->layers().chain(image.chain_id))) {
                layers.push_back(layer.chain_id);
            }
        }
        auto removed = Removal(*parts_, report.deleted)
                           .delete_image(image.id, {.force = true, .prune = true, .quiet = true});
        // NotFound: it was a nameless image below one that has just gone.
        if (!removed.ok() && removed.error().kind() != ErrorKind::Conflict &&
            removed.error().kind() != ErrorKind::NotFound) {
            return std::move(removed).error();
        }
    }
    std::sort(layers.begin(), layers.end());
    layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
    if (!report.deleted.empty()) {
        report.space_reclaimed = parts_->collect(layers, report.deleted);
    }
    parts_->options.events->publish(
        {.type = "image",
         .action = "prune",
         .actor_id = {},
         .attributes = {{"reclaimed", std::to_string(report.space_reclaimed)}},
         .time = {}});
    return report;
}

} // namespace berth::engine
