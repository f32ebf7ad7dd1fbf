// SPDX-License-Identifier: Apache-2.0
// Answers of other servers, kept for as long as they say, within a bound: the least recently used
// ones go first. Not thread-safe.
#pragma once

#include "network/dns_message.h"

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

namespace berth::network {

// What makes two queries the same to another server.
std::string dns_cache_key(const DnsQuery& query);

class DnsCache {
  public:
    using Clock = std::chrono::steady_clock;

    explicit DnsCache(std::size_t limit_bytes)
        : limit_bytes_(limit_bytes) {}

    // Nothing without a ttl, or of more than a sixteenth of the bound, is kept.
    void put(const std::string& key, const DnsAnswer& answer, Clock::time_point now);

    struct Found {
        const DnsAnswer* answer = nullptr; // until the next put() or clear()
        std::uint32_t age = 0;             // seconds
    };

    std::optional<Found> find(const std::string& key, Clock::time_point now);

    void clear();

    std::size_t size() const { return by_key_.size(); }

    std::size_t bytes() const { return bytes_; }

  private:
    struct Entry {
        std::string key;
        DnsAnswer answer;
        Clock::time_point since;
        std::size_t cost = 0;
    };

    using Entries = std::list<Entry>;

    void erase(Entries::iterator entry);

    std::size_t limit_bytes_;
    std::size_t bytes_ = 0;
    Entries entries_; // the most recently used first
    std::unordered_map<std::string, Entries::iterator> by_key_;
};

} // namespace berth::network
