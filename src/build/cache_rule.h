// SPDX-License-Identifier: Apache-2.0
// What a record of the build cache says about itself, and the rules by which records go. They are
// BuildKit's: https://docs.docker.com/build/cache/garbage-collection/
#pragma once

#include "base/result.h"
#include "base/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::build {

struct CacheRecord {
    std::string id;
    std::vector<std::string> parents;
    std::string type; // "regular" or "exec.cachemount"
    std::string description;
    bool in_use = false;    // of a build that runs
    bool shared = false;    // an image or container has it as well: its removal frees nothing
    std::uint64_t size = 0; // of a shared one: what it shares
    Timestamp created;
    Timestamp last_used;
    std::int64_t usage_count = 0;
};

// One condition: the field is one of the values. For "inuse", "shared" and "private" no value means
// true.
struct CacheFilter {
    std::string field; // id, parent, type, description, inuse, shared, private, label, label!
    std::vector<std::string> values;
};

// What one pass may remove: what is in use never, what is shared with `all` and without sizes only,
// and nothing that other steps in the cache stand on. Without a size everything that fits, with
// sizes the least recently used until they are kept. 0 is no limit.
struct CacheRule {
    bool all = false;
    std::chrono::nanoseconds unused_for{0};
    std::uint64_t reserved_space = 0; // may always be used
    std::uint64_t max_used_space = 0;
    std::uint64_t min_free_space = 0; // of the file system
    std::vector<CacheFilter> filters;
};

// InvalidArgument for a field or a value that there is not.
Result<void> check_filters(const std::vector<CacheFilter>& filters);

// Whether all filters fit.
bool matches(const CacheRecord& record, const std::vector<CacheFilter>& filters);

// What the cache may take by one rule when it takes `used` and `free` bytes of the disk are left;
// nullopt: the rule has no sizes.
std::optional<std::uint64_t>
space_to_keep(const CacheRule& rule, std::uint64_t used, std::uint64_t free);

} // namespace berth::build
