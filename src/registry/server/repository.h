// SPDX-License-Identifier: Apache-2.0
// One repository: its manifests in memory as its index.json has them. Internal to the storage.
#pragma once

#include "base/result.h"
#include "oci/descriptor.h"
#include "registry/server/usage.h"

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

struct ManifestEntry {
    oci::Descriptor descriptor; // media type, digest, size
    oci::Digest subject;        // empty: none
};

class RepositoryIndex {
  public:
    static Result<RepositoryIndex> parse(const std::string& text);
    std::string serialize() const;

    // By tag or digest; nullptr when there is none.
    const ManifestEntry* find(std::string_view tag_or_digest) const;
    // tag may be empty.
    void put(const ManifestEntry& entry, std::string_view tag);
    // The manifest stays known by its digest; false when there is no such tag.
    bool remove_tag(std::string_view tag);
    // With its tags; false when there is no such manifest.
    bool remove_manifest(const std::string& digest);

    const std::map<std::string, std::string, std::less<>>& tags() const { return tags_; }

    const std::map<std::string, ManifestEntry, std::less<>>& manifests() const {
        return manifests_;
    }

    // Digests of the manifests that have this subject, sorted.
    std::vector<std::string> referrers(const std::string& subject) const;

  private:
    std::map<std::string, std::string, std::less<>> tags_; // to digests
    std::map<std::string, ManifestEntry, std::less<>> manifests_;
    std::map<std::string, std::set<std::string>, std::less<>> referrers_; // by subject
};

// Lives as long as the storage once it is known.
struct Repository {
    Repository(std::string repository_name, std::uint64_t limit)
        : name(std::move(repository_name))
        , usage(limit, "repository " + name) {}

    const std::string name;
    Usage usage;

    // Held by one writer of manifests at a time, and by the collector, across their writes.
    std::mutex writing;
    // Guards index; shared while a blob is looked up or linked, so that the collector cannot take
    // it away in that moment. Never held across a sync.
    std::shared_mutex mutex;
    std::optional<RepositoryIndex> index; // nullopt: not read yet
};

} // namespace berth::registry
