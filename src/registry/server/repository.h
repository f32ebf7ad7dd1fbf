// SPDX-License-Identifier: Apache-2.0
// One repository: its manifests in memory, as its index.json and the journal beside it have them.
// Internal to the storage.
#pragma once

#include "base/result.h"
#include "oci/descriptor.h"
#include "registry/server/usage.h"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

inline constexpr std::size_t index_limit = 256U << 20; // bytes of a repository's index.json

struct ManifestEntry {
    oci::Descriptor descriptor; // media type, digest, size
    oci::Digest subject;        // empty: none

    bool operator==(const ManifestEntry&) const = default;
};

struct NamedEntry {
    ManifestEntry entry;
    std::string tag; // empty: known by its digest only
};

// As index.json and the journal list it: subject and tag are annotations.
oci::Descriptor describe(const ManifestEntry& entry, const std::string& tag);
Result<NamedEntry> read_entry(oci::Descriptor listed);

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

    // How many changes made it what it is: a journal's older records are in it already.
    std::uint64_t changes() const { return changes_; }

    void set_changes(std::uint64_t changes) { changes_ = changes; }

    std::size_t size() const { return manifests_.size() + tags_.size(); }

  private:
    void forget_referrer(const ManifestEntry& entry);

    std::uint64_t changes_ = 0;
    std::map<std::string, std::string, std::less<>> tags_; // to digests
    std::map<std::string, ManifestEntry, std::less<>> manifests_;
    std::map<std::string, std::set<std::string>, std::less<>> referrers_; // by subject
};

// A manifest that was removed: its bytes go when index.json names it no more, unless they were sent
// again.
struct DoomedManifest {
    oci::Digest digest;
    std::time_t since;
};

// What index.json does not have yet (storage_index.cpp).
struct Journal {
    std::uint64_t bytes = 0;
    std::size_t changes = 0;                     // 0: index.json is up to date
    bool broken = false;                         // its end is in doubt: nothing may be appended
    std::chrono::steady_clock::time_point first; // of the changes
    std::chrono::steady_clock::time_point last;
    std::vector<DoomedManifest> doomed;
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
    Journal journal; // guarded by writing
    // Guards index; shared while a blob is looked up or linked, so that the collector cannot take
    // it away in that moment. Never held across a sync.
    std::shared_mutex mutex;
    std::optional<RepositoryIndex> index; // nullopt: not read yet
};

} // namespace berth::registry
