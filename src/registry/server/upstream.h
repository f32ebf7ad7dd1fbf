// SPDX-License-Identifier: Apache-2.0
// The registry that this one is a cache of: manifests are asked for anew, blobs are fetched once
// and reach the client while they are stored.
#pragma once

#include "base/synchronized.h"
#include "http/headers.h"
#include "oci/manifest.h"
#include "registry/client.h"
#include "registry/server/options.h"
#include "registry/server/storage.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

struct Call;

// Thread-safe.
class Upstream {
  public:
    Upstream(const Options& options, Storage& storage);

    // Ends fetches that are under way.
    void stop() { stop_.request_stop(); }

    // Sees to it that the manifest asked for is stored, and the newest where it is a tag's. When
    // the other registry cannot be reached, what is stored goes out with a Warning.
    Result<void> refresh_manifest(const Call& call, http::Headers& headers);

    // What the other registry lists now. nullopt: it cannot be reached, what is stored has to do,
    // and a Warning says so.
    Result<std::optional<std::vector<std::string>>> tags(const Call& call, http::Headers& headers);
    Result<std::optional<std::vector<oci::Descriptor>>> referrers(
        const Call& call,
        const oci::Digest& subject,
        std::string_view artifact_type,
        http::Headers& headers);

    // True: the response was sent. False: the blob is stored now.
    Result<bool> fetch_blob(Call& call, const oci::Digest& digest, http::Headers headers);

  private:
    using Clock = std::chrono::steady_clock;
    using Fetches = std::set<std::string>; // keys of what is being fetched

    std::shared_ptr<Client> client_of(const std::string& repository);
    Result<void> fetch_manifest(Client& client, const Call& call);
    // Whether the tag still stands for what is stored, if anything is; fetches what it stands for.
    Result<void> follow_tag(const Call& call, const oci::Digest* stored);
    void note_blobs(const std::string& repository, const oci::ManifestDocument& document);
    Result<oci::Descriptor> describe(const std::string& repository, const oci::Digest& digest);

    // Whether it could not be reached just now: nobody has to wait for that again.
    bool is_away() const { return Clock::now().time_since_epoch().count() < away_until_.load(); }

    void note_away();
    void warn_of_age(http::Headers& headers, std::string_view what) const;
    template <class T>
    Result<std::optional<T>>
    or_stored(Result<T> answer, http::Headers& headers, std::string_view what);
    bool is_fresh(const std::string& key);
    void note_fresh(const std::string& key);
    // True: the caller fetches. False: somebody else did meanwhile.
    Result<bool> take_turn(const std::string& key, const std::stop_token& stop);
    Result<bool>
    fetch(Call& call, const oci::Descriptor& blob, http::Headers headers, bool pass_on);

    void make_room(std::uint64_t bytes);

    const UpstreamOptions options_;
    const std::chrono::seconds keep_;
    Storage& storage_;
    std::stop_source stop_;
    Synchronized<std::map<std::string, std::shared_ptr<Client>>> clients_;
    Synchronized<std::map<std::string, Clock::time_point>> fresh_; // tags, and until when
    // Blobs by "repository@digest", as manifests that were fetched lately describe them.
    Synchronized<std::map<std::string, oci::Descriptor>> described_;
    std::atomic<Clock::rep> away_until_ = 0;
    std::mutex fetches_mutex_;
    std::condition_variable_any fetches_changed_;
    Fetches fetches_;
};

} // namespace berth::registry
