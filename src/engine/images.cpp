// SPDX-License-Identifier: Apache-2.0
// Images: what there is, by name, by id, with its history.
#include "engine/images.h"

#include "base/file.h"
#include "base/moment.h"
#include "base/strings.h"
#include "engine/container_config_json.h"
#include "engine/daemon_config.h"
#include "engine/images_parts.h"
#include "store/archive.h"

#include <algorithm>
#include <map>

namespace berth::engine {

namespace {

struct ListFilter {
    std::optional<bool> dangling;
    std::optional<Timestamp> before;
    std::optional<Timestamp> since;
    const Filters& filters;
};

// The one value of a key that takes an image; absent: nullopt.
Result<std::optional<Timestamp>>
creation_of(const store::ImageStore& images, const Filters& filters, std::string_view key) {
    std::optional<Timestamp> time;
    for (const std::string& name : filters.get(key)) {
        time = TRY(images.get(name)).config.created;
    }
    return time;
}

Result<ListFilter> make_filter(const store::ImageStore& images, const Filters& filters) {
    TRY(filters.allow_only({"before", "dangling", "label", "reference", "since", "until"}));
    ListFilter filter{.dangling = {}, .before = {}, .since = {}, .filters = filters};
    if (filters.contains("dangling")) {
        filter.dangling = TRY(filters.get_bool("dangling", false));
    }
    filter.before = TRY(creation_of(images, filters, "before"));
    filter.since = TRY(creation_of(images, filters, "since"));
    for (const std::string& text : filters.get("until")) {
        const Timestamp until = TRY(parse_moment(text));
        filter.before = filter.before ? std::min(*filter.before, until) : until;
    }
    return filter;
}

bool in_time(const ListFilter& filter, Timestamp created) {
    return (!filter.before || created < *filter.before) &&
           (!filter.since || created > *filter.since);
}

Result<std::vector<oci::Reference>>
matching(const ListFilter& filter, const std::vector<oci::Reference>& references) {
    if (!filter.filters.contains("reference")) {
        return references;
    }
    std::vector<oci::Reference> kept;
    for (const oci::Reference& reference : references) {
        bool found = false;
        for (const std::string& pattern : filter.filters.get("reference")) {
            found = found || TRY(matches_reference(pattern, reference));
        }
        if (found) {
            kept.push_back(reference);
        }
    }
    return kept;
}

// The image's line, or nullopt when the filter drops it.
Result<std::optional<ImageSummary>> summarize(
    const store::ImageStore& images,
    const store::Image& image,
    const ListFilter& filter,
    bool all) {
    if (!in_time(filter, image.config.created) ||
        !filter.filters.match_labels("label", image.config.config.labels)) {
        return std::optional<ImageSummary>();
    }
    const auto names = TRY(matching(filter, image.names));
    const auto digests = TRY(matching(filter, image.repo_digests));
    const bool named = !image.names.empty() || !image.platform_names.empty();
    if (filter.dangling.value_or(false) && named) {
        return std::optional<ImageSummary>();
    }
    const bool has_children = !TRY(images.children(image.id)).empty();
    if (names.empty() && digests.empty()) {
        const bool drop = (!all && has_children) || filter.dangling == false ||
                          filter.filters.contains("reference");
        if (drop) {
            return std::optional<ImageSummary>();
        }
    }
    // Docker looks for dangling images among those without children only.
    if (filter.dangling.value_or(false) && has_children) {
        return std::optional<ImageSummary>();
    }
    return std::optional(ImageSummary{
        .id = image.id.to_string(),
        .parent_id = image.parent.to_string(),
        .repo_tags = familiar(names),
        .repo_digests = familiar(digests),
        .created = image.config.created,
        .size = static_cast<std::int64_t>(image.size),
        .containers = -1,
        .labels = image.config.config.labels,
        .target = {},
    });
}

json::Value config_member(const store::Image& image) {
    auto document = json::parse(image.config_json);
    if (!document.ok()) {
        return nullptr;
    }
    const json::Value* config = json::find(*document, "config");
    return config == nullptr ? json::Value(nullptr) : *config;
}

} // namespace

Result<void>
check_platform(const std::string& name, const oci::Platform& found, const std::string& platform) {
    if (platform.empty()) {
        return ok();
    }
    const oci::Platform wanted = TRY(oci::Platform::parse(platform));
    if (found.normalized().runs_on(wanted.normalized())) {
        return ok();
    }
    return not_found(
        "image with reference " + name + " was found but its platform (" +
        found.normalized().to_string() + ") does not match the specified platform (" +
        wanted.normalized().to_string() + ")");
}

std::vector<std::string> familiar(const std::vector<oci::Reference>& references) {
    std::vector<std::string> names;
    names.reserve(references.size());
    for (const oci::Reference& reference : references) {
        names.push_back(reference.familiar());
    }
    return names;
}

bool is_hello(const oci::Reference& reference) {
    return reference.with_default_tag().to_string() == "docker.io/berth/hello:latest";
}

Result<bool> matches_reference(const std::string& pattern, const oci::Reference& reference) {
    if (TRY(glob_match(pattern, reference.familiar()))) {
        return true;
    }
    return glob_match(pattern, reference.familiar_name());
}

void Images::Parts::publish(
    std::string action,
    const std::string& id,
    const std::string& name,
    const StringMap& labels) const {
    StringMap attributes = labels;
    if (!name.empty()) {
        attributes["name"] = name;
    }
    options.events->publish(
        {.type = "image",
         .action = std::move(action),
         .actor_id = id,
         .attributes = std::move(attributes),
         .scope = "local",
         .time = {}});
}

std::vector<std::string> Images::Parts::users_of(const oci::Digest& id, bool running_only) const {
    return users ? users(id.to_string(), running_only) : std::vector<std::string>();
}

Result<void> Images::Parts::ensure_hello(const std::string& image) {
    auto parsed = oci::Reference::parse_normalized(image);
    if (!parsed.ok() || parsed->has_digest() || options.hello_binary.empty()) {
        return ok();
    }
    const oci::Reference name = parsed->with_default_tag();
    if (!is_hello(name)) {
        return ok();
    }
    const std::lock_guard lock(hello_mutex);
    if (TRY(images().find(name.to_string()))) {
        return ok();
    }
    const std::string program = TRY_CONTEXT(read_file(options.hello_binary), "berth/hello");
    const store::Image made = TRY(store::create_program_image(images(), program, name));
    publish("tag", made.id.to_string(), name.familiar());
    return ok();
}

Images::Images(ImagesOptions options)
    : parts_(std::make_unique<Parts>()) {
    VERIFY(options.store != nullptr && options.events != nullptr);
    parts_->options = std::move(options);
}

Images::~Images() = default;

void Images::reconfigure(const DaemonConfig& config) {
    const std::lock_guard lock(parts_->options_mutex);
    ImagesOptions& options = parts_->options;
    options.insecure_registries = config.insecure_registries;
    options.registry_mirrors = config.registry_mirrors;
    options.max_concurrent_downloads = config.max_concurrent_downloads;
    options.max_concurrent_uploads = config.max_concurrent_uploads;
    options.max_download_attempts = config.max_download_attempts;
}

void Images::set_users(Users users) {
    parts_->users = std::move(users);
}

Result<ImageForContainer>
Images::for_container(const std::string& image, const std::string& platform) {
    TRY(parts_->ensure_hello(image));
    const store::Image found = TRY(parts_->get(image, platform));
    auto config = TRY_CONTEXT(
        json::decode<ContainerConfig>(config_member(found)), "configuration of " + image);
    return ImageForContainer{
        .id = found.id.to_string(),
        .chain_id = found.chain_id.to_string(),
        .architecture = found.config.platform.architecture,
        .os = found.config.platform.os,
        .config = std::move(config),
    };
}

Result<std::vector<ImageSummary>> Images::list(const ImageListOptions& options) const {
    const ListFilter filter = TRY(make_filter(parts_->images(), options.filters));
    std::vector<ImageSummary> summaries;
    for (const store::Image& image : TRY(parts_->images().list())) {
        // Its name stands for the image that it means first.
        if (image.names.empty() && !image.platform_names.empty() && !options.platforms_apart) {
            continue;
        }
        auto summary = TRY(summarize(parts_->images(), image, filter, options.all));
        if (!summary) {
            continue;
        }
        if (options.manifests) {
            summary->target = TRY(parts_->target(Parts::best_name(image)));
        }
        summaries.push_back(*std::move(summary));
    }
    std::stable_sort(summaries.begin(), summaries.end(), [](const auto& a, const auto& b) {
        return a.created > b.created;
    });
    if (options.shared) {
        TRY(parts_->add_shared_sizes(summaries));
    }
    return summaries;
}

// Of the images that are listed: the layers of one that another has too.
Result<void> Images::Parts::add_shared_sizes(std::vector<ImageSummary>& summaries) const {
    std::map<oci::Digest, std::size_t> times;
    std::vector<std::vector<store::LayerInfo>> chains;
    for (const ImageSummary& summary : summaries) {
        const store::Image image = TRY(images().get(summary.id));
        std::vector<store::LayerInfo> chain;
        if (!image.chain_id.empty()) {
            chain = TRY(layers().chain(image.chain_id));
        }
        for (const store::LayerInfo& layer : chain) {
            ++times[layer.chain_id];
        }
        chains.push_back(std::move(chain));
    }
    for (std::size_t i = 0; i < summaries.size(); ++i) {
        summaries[i].shared_size = 0;
        for (const store::LayerInfo& layer : chains[i]) {
            summaries[i].shared_size +=
                times[layer.chain_id] > 1 ? static_cast<std::int64_t>(layer.size) : 0;
        }
    }
    return ok();
}

Result<ImageInspect>
Images::inspect(const std::string& image, const std::string& platform, bool manifests) const {
    const store::Image found = TRY(parts_->get(image, platform));
    std::optional<ImageTarget> target;
    if (manifests) {
        target = TRY(parts_->target(image));
    }
    const oci::ImageConfig& config = found.config;
    std::vector<std::string> layers;
    for (const oci::Digest& diff_id : config.rootfs.diff_ids) {
        layers.push_back(diff_id.to_string());
    }
    return ImageInspect{
        .id = found.id.to_string(),
        .repo_tags = familiar(found.names),
        .repo_digests = familiar(found.repo_digests),
        .parent = found.parent.to_string(),
        .comment = !config.comment.empty() || config.history.empty()
                       ? config.comment
                       : config.history.back().comment,
        .created = config.created,
        .author = config.author,
        .architecture = config.platform.architecture,
        .variant = config.platform.variant,
        .os = config.platform.os,
        .os_version = config.platform.os_version,
        .size = static_cast<std::int64_t>(found.size),
        .config = config_member(found),
        .driver = std::string(parts_->layers().driver_name()),
        .layers = std::move(layers),
        .last_tag_time = found.tagged,
        .target = std::move(target),
    };
}

Result<std::vector<ImageHistoryEntry>>
Images::history(const std::string& image, const std::string& platform) const {
    const store::Image top = TRY(parts_->get(image, platform));
    std::vector<store::LayerInfo> layers;
    if (!top.chain_id.empty()) {
        layers = TRY(parts_->layers().chain(top.chain_id));
    }
    std::vector<ImageHistoryEntry> entries;
    std::size_t layer = 0;
    for (const oci::HistoryEntry& step : top.config.history) {
        ImageHistoryEntry entry{
            .id = "<missing>",
            .created = step.created,
            .created_by = step.created_by,
            .tags = {},
            .size = 0,
            .comment = step.comment,
        };
        if (!step.empty_layer && layer < layers.size()) {
            entry.size = static_cast<std::int64_t>(layers[layer++].size);
        }
        entries.push_back(std::move(entry));
    }
    std::reverse(entries.begin(), entries.end());

    // The ids of the images that the steps made here; the chain ends where it was pulled.
    std::optional<store::Image> step = top;
    for (ImageHistoryEntry& entry : entries) {
        entry.id = step->id.to_string();
        entry.tags = familiar(step->names);
        if (step->parent.empty()) {
            break;
        }
        auto parent = parts_->images().get(step->parent);
        if (!parent.ok()) {
            break;
        }
        step = std::move(parent).value();
    }
    return entries;
}

Result<void>
Images::tag(const std::string& image, const std::string& repository, const std::string& tag) {
    const store::Image found = TRY(parts_->images().get(image));
    oci::Reference name = TRY(oci::Reference::parse_normalized(repository));
    if (name.has_digest()) {
        return invalid_argument("refusing to create a tag with a digest reference");
    }
    if (!tag.empty()) {
        name = TRY(name.without_tag_and_digest().with_tag(tag));
    }
    name = name.with_default_tag();
    if (name.familiar_name() == "sha256") {
        return invalid_argument(
            "refusing to create an ambiguous tag using digest algorithm as name");
    }
    TRY(parts_->images().tag(image, name));
    parts_->publish("tag", found.id.to_string(), name.familiar(), found.config.config.labels);
    return ok();
}

std::int64_t Images::count() const {
    auto count = parts_->images().count();
    return count.ok() ? static_cast<std::int64_t>(*count) : 0;
}

} // namespace berth::engine
