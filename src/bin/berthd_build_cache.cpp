// SPDX-License-Identifier: Apache-2.0
// From one library's words to the other's.
#include "bin/berthd_build_cache.h"

#include "base/log.h"

#include <algorithm>
#include <string>

#include <sys/statvfs.h>

namespace berth::bin {

namespace {

// Only the file system's size counts, so a root that is not made yet may be asked by its parent.
std::int64_t disk_size(std::string path) {
    struct statvfs status {};

    while (::statvfs(path.c_str(), &status) != 0 && path.size() > 1) {
        path.resize(std::max<std::size_t>(path.rfind('/'), 1));
    }
    return static_cast<std::int64_t>(status.f_blocks * status.f_frsize);
}

std::uint64_t bytes(std::int64_t size) {
    return static_cast<std::uint64_t>(size);
}

} // namespace

std::vector<build::CacheRule> build_cache_policy(const engine::DaemonConfig& config) {
    const engine::BuilderGc& gc = config.builder_gc;
    if (!gc.enabled) {
        return {};
    }
    std::vector<build::CacheRule> policy;
    for (const engine::BuilderGcRule& rule :
         gc.policy ? *gc.policy
                   : engine::default_builder_gc(gc.defaults, disk_size(config.data_root))) {
        build::CacheRule made{
            .all = rule.all,
            .unused_for = rule.unused_for,
            .reserved_space = bytes(rule.sizes.reserved_space),
            .max_used_space = bytes(rule.sizes.max_used_space),
            .min_free_space = bytes(rule.sizes.min_free_space),
            .filters = {}};
        for (const auto& [field, values] : rule.filters) {
            made.filters.push_back({.field = field, .values = values});
        }
        policy.push_back(std::move(made));
    }
    return policy;
}

Result<engine::CollectedPart> collect_build_cache(build::Builder& builder, std::uint64_t bound) {
    build::CachePruneReport report = TRY(builder.collect_garbage(bound));
    if (!report.deleted.empty()) {
        log::info(
            "build cache collected",
            {{"records", report.deleted.size()}, {"bytes", report.space_reclaimed}});
    }
    return engine::CollectedPart{
        .removed = report.deleted.size(),
        .released = std::move(report.released),
        .more = report.more};
}

} // namespace berth::bin
