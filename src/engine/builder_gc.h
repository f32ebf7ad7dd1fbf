// SPDX-License-Identifier: Apache-2.0
// "builder": {"gc": …} of daemon.json: how much the build cache may keep, in Docker's words.
// https://docs.docker.com/build/cache/garbage-collection/
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::engine {

// Bytes; 0: none.
struct BuilderGcSizes {
    std::int64_t reserved_space = 0;
    std::int64_t max_used_space = 0;
    std::int64_t min_free_space = 0;

    bool empty() const { return reserved_space == 0 && max_used_space == 0 && min_free_space == 0; }
};

struct BuilderGcRule {
    bool all = false;
    BuilderGcSizes sizes;
    std::chrono::nanoseconds unused_for{0};
    // Field and the values that are as good as each other.
    std::vector<std::pair<std::string, std::vector<std::string>>> filters;
};

struct BuilderGc {
    bool enabled = true;
    BuilderGcSizes defaults;
    std::optional<std::vector<BuilderGcRule>> policy; // absent: default_builder_gc()
};

// The value of "gc". Errors name the key: "builder.gc.policy[0].keepStorage: invalid size: 'much'".
Result<BuilderGc> parse_builder_gc(const json::Value& value);

// What holds without a policy, on a file system of so many bytes.
std::vector<BuilderGcRule> default_builder_gc(const BuilderGcSizes& given, std::int64_t disk_bytes);

} // namespace berth::engine
