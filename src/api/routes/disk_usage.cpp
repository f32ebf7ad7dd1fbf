// SPDX-License-Identifier: Apache-2.0
// GET /system/df: before 1.52 everything that there is; since then sums, with `verbose` what they
// are made of too, and without it the older members beside them, as dockerd does for its clients.
#include "api/context.h"
#include "api/route.h"
#include "api/wire/build_cache.h"
#include "api/wire/container.h"
#include "api/wire/image.h"
#include "api/wire/volume.h"
#include "build/builder.h"
#include "engine/images.h"
#include "store/image_store.h"

#include <algorithm>
#include <array>
#include <map>

namespace berth::api {

namespace {

using CacheRecords = std::vector<build::CacheRecord>;

// One kind of things: how many, how many in use, what they take and how much of that could go.
struct Usage {
    json::Array items;
    std::int64_t active = 0;
    std::int64_t size = 0;
    std::int64_t reclaimable = 0;

    void add(json::Value item, bool is_active, std::int64_t bytes) {
        items.push_back(std::move(item));
        active += is_active ? 1 : 0;
        size += bytes;
        reclaimable += is_active ? 0 : bytes;
    }
};

// LayersSize counts every layer and blob once but for those that only the build cache has. An
// image's sizes are what it takes on disk too, so that all of them together agree with du.
Result<Usage> image_usage(const Context& context, const CacheRecords& records) {
    std::uint64_t cached = 0;
    for (const build::CacheRecord& record : records) {
        cached += record.shared || record.type != "regular" ? 0 : record.size;
    }
    const auto sizes = TRY(context.engine().image_store().disk_usage());
    std::map<std::string, const store::ImageUsage*> known;
    for (const store::ImageUsage& image : sizes.images) {
        known.emplace(image.id.to_string(), &image);
    }
    Usage usage;
    engine::ImageListOptions options;
    options.all = true;
    options.platforms_apart = true;
    std::int64_t used = 0;
    for (auto& image : TRY(context.engine().images().list(options))) {
        image.containers = static_cast<std::int64_t>(
            context.engine().containers().using_image(image.id, false).size());
        image.shared_size = -1;
        if (const auto found = known.find(image.id); found != known.end()) {
            image.size = static_cast<std::int64_t>(found->second->size);
            image.shared_size = static_cast<std::int64_t>(found->second->shared_size);
        }
        usage.active += image.containers > 0 ? 1 : 0;
        used += image.containers > 0 && image.shared_size >= 0 ? image.size - image.shared_size : 0;
        json::Value encoded = wire::encode_image_usage(image, context.version());
        encoded.as_object()["Containers"] = image.containers;
        usage.items.push_back(std::move(encoded));
    }
    const std::uint64_t all = sizes.layers_size + sizes.blobs_size;
    usage.size = static_cast<std::int64_t>(all - std::min(all, cached));
    usage.reclaimable = std::max<std::int64_t>(usage.size - used, 0);
    return usage;
}

Result<Usage> container_usage(const Context& context) {
    Usage usage;
    engine::ListOptions options;
    options.all = true;
    options.size = true;
    for (const auto& container : TRY(context.engine().containers().list(options))) {
        const bool is_active = container.state.is_running() ||
                               container.state.status == engine::ContainerStatus::Restarting;
        usage.add(
            wire::encode_summary(container, context.version()),
            is_active,
            container.size_rw.value_or(0));
    }
    return usage;
}

Result<Usage> volume_usage(const Context& context) {
    Usage usage;
    for (const auto& volume :
         TRY(context.engine().volumes().list({}, engine::WithSize::Yes)).volumes) {
        usage.add(
            wire::encode_volume(volume),
            volume.reference_count > 0,
            std::max<std::int64_t>(volume.size.value_or(0), 0)); // -1: not known
    }
    return usage;
}

Usage cache_usage(const Context& context, const CacheRecords& records) {
    Usage usage;
    usage.items = wire::encode_cache_records(records, context.version());
    for (const build::CacheRecord& record : records) {
        const auto size = static_cast<std::int64_t>(record.size);
        usage.active += record.in_use ? 1 : 0;
        usage.size += size;
        usage.reclaimable += record.in_use || record.shared ? 0 : size;
    }
    return usage;
}

// ---- the answer's two forms ----

struct Kind {
    std::string_view type; // as the query names it
    std::string_view sums; // the members' names
    std::string_view list;
};

constexpr auto kinds = std::to_array<Kind>({
    {"image", "ImageUsage", "Images"},
    {"container", "ContainerUsage", "Containers"},
    {"volume", "VolumeUsage", "Volumes"},
    {"build-cache", "BuildCacheUsage", "BuildCache"},
});

json::Object encode_sums(const Usage& usage, bool verbose) {
    json::Object sums{
        {"ActiveCount", usage.active},
        {"TotalCount", usage.items.size()},
        {"TotalSize", usage.size},
        {"Reclaimable", usage.reclaimable}};
    if (verbose && !usage.items.empty()) {
        sums["Items"] = usage.items;
    }
    return sums;
}

void add_lists(json::Object& answer, std::map<std::string_view, Usage>& usages, ApiVersion asked) {
    const bool leaves_out = asked >= ApiVersion{1, 52};
    if (const auto images = usages.find("image"); images != usages.end() || !leaves_out) {
        answer["LayersSize"] = images == usages.end() ? 0 : images->second.size;
    }
    for (const Kind& kind : kinds) {
        if (const auto found = usages.find(kind.type); found != usages.end()) {
            answer[kind.list] = std::move(found->second.items);
        } else if (!leaves_out) {
            answer[kind.list] = nullptr;
        }
    }
    if (asked < ApiVersion{1, 42}) {
        answer["BuilderSize"] = usages["build-cache"].size;
    }
}

Result<std::map<std::string_view, Usage>>
count(const Context& context, const std::vector<std::string_view>& types) {
    const auto wants = [&types](std::string_view type) {
        return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
    };
    const bool has_builder = context.services().builder != nullptr;
    CacheRecords records;
    if (has_builder && (wants("image") || wants("build-cache"))) {
        records = TRY(context.services().builder->cache_records());
    }
    std::map<std::string_view, Usage> usages;
    if (wants("image")) {
        usages.emplace("image", TRY(image_usage(context, records)));
    }
    if (wants("container")) {
        usages.emplace("container", TRY(container_usage(context)));
    }
    if (wants("volume")) {
        usages.emplace("volume", TRY(volume_usage(context)));
    }
    if (wants("build-cache")) {
        usages.emplace("build-cache", cache_usage(context, records));
    }
    return usages;
}

Result<void> disk_usage(Context& context) {
    std::vector<std::string_view> types;
    if (!context.before(42)) {
        types = context.request().query.get_all("type");
    }
    for (const std::string_view type : types) {
        if (std::ranges::find(kinds, type, &Kind::type) == kinds.end()) {
            return invalid_argument("unknown object type: " + std::string(type));
        }
    }
    auto usages = TRY(count(context, types));
    const bool verbose = !context.before(52) && context.flag("verbose");
    json::Object answer;
    if (!context.before(52)) {
        for (const Kind& kind : kinds) {
            if (const auto found = usages.find(kind.type); found != usages.end()) {
                answer[kind.sums] = encode_sums(found->second, verbose);
            }
        }
    }
    if (!verbose) {
        add_lists(answer, usages, context.version());
    }
    return context.reply(200, answer);
}

} // namespace

std::span<const Route> disk_usage_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/system/df", disk_usage},
    });
    return routes;
}

} // namespace berth::api
