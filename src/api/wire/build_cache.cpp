// SPDX-License-Identifier: Apache-2.0
// moby's api/types/build/cache.go and api/server/router/system/system_routes.go
#include "api/wire/build_cache.h"

namespace berth::api::wire {

json::Array
encode_cache_records(const std::vector<build::CacheRecord>& records, ApiVersion version) {
    json::Array array;
    for (const build::CacheRecord& record : records) {
        json::Object object{{"ID", record.id}};
        if (!record.parents.empty()) {
            // One name before version 1.42, a list since.
            if (version < ApiVersion{1, 42}) {
                object["Parent"] = record.parents.front();
            } else {
                object["Parents"] = json::encode(record.parents);
            }
        }
        object["Type"] = record.type;
        object["Description"] = record.description;
        object["InUse"] = record.in_use;
        object["Shared"] = record.shared;
        object["Size"] = record.size;
        object["CreatedAt"] = format_rfc3339(record.created);
        object["LastUsedAt"] = format_rfc3339(record.last_used);
        object["UsageCount"] = record.usage_count;
        array.push_back(std::move(object));
    }
    return array;
}

} // namespace berth::api::wire
