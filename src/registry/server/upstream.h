// SPDX-License-Identifier: Apache-2.0
// The registry that this one is a cache of: manifests are asked for anew, blobs are fetched once
// and reach the client while they are stored.
#pragma once

#include "base/synchronized.h"
#include "http/headers.h"
#include "registry/client.h"
#include "registry/server/options.h"
#include "registry/server/storage.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

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

    // True: the response was sent. False: the blob is stored now.
    Result<bool> fetch_blob(Call& call, const oci::Digest& digest, http::Headers headers);

  private:
    using Clock = std::chrono::steady_clock;
    using Fetches = std::set<std::string>; // keys of what is being fetched

    std::shared_ptr<Client> client_of(const std::string& repository);
    Result<void> fetch_manifest(Client& client, const Call& call);
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
    std::mutex fetches_mutex_;
    std::condition_variable_any fetches_changed_;
    Fetches fetches_;
};

} // namespace berth::registry
