// SPDX-License-Identifier: Apache-2.0
// A list in order of use, and an index into it.
#include "network/dns_cache.h"

namespace berth::network {
namespace {

constexpr std::size_t entry_overhead = 200; // nodes, strings, vectors
constexpr std::size_t share_of_one = 16;

} // namespace

std::string dns_cache_key(const DnsQuery& query) {
    std::string key = query.question.name;
    const auto append = [&](std::uint16_t number) {
        key += static_cast<char>(number >> 8);
        key += static_cast<char>(number & 0xff);
    };
    key += '\0';
    append(query.question.type);
    append(query.question.dns_class);
    const int flags = int{query.recursion_desired} | int{query.authentic_data} << 1 |
                      int{query.checking_disabled} << 2 | int{query.edns.has_value()} << 3 |
                      int{query.edns && query.edns->wants_signatures} << 4;
    key += static_cast<char>(flags);
    return key;
}

void DnsCache::put(const std::string& key, const DnsAnswer& answer, Clock::time_point now) {
    const std::size_t cost = entry_overhead + key.size() * 2 + answer.bytes.size() +
                             answer.ttl_offsets.size() * sizeof(std::uint32_t);
    if (answer.ttl.value_or(0) == 0 || cost > limit_bytes_ / share_of_one) {
        return;
    }
    const auto known = by_key_.find(key);
    if (known != by_key_.end()) {
        erase(known->second);
    }
    while (bytes_ + cost > limit_bytes_) {
        erase(std::prev(entries_.end()));
    }
    entries_.push_front({.key = key, .answer = answer, .since = now, .cost = cost});
    by_key_.emplace(key, entries_.begin());
    bytes_ += cost;
}

std::optional<DnsCache::Found> DnsCache::find(const std::string& key, Clock::time_point now) {
    const auto known = by_key_.find(key);
    if (known == by_key_.end()) {
        return std::nullopt;
    }
    const Entries::iterator entry = known->second;
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - entry->since).count();
    if (age >= static_cast<std::int64_t>(*entry->answer.ttl)) {
        erase(entry);
        return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, entry);
    return Found{&entry->answer, static_cast<std::uint32_t>(age)};
}

void DnsCache::clear() {
    by_key_.clear();
    entries_.clear();
    bytes_ = 0;
}

void DnsCache::erase(Entries::iterator entry) {
    bytes_ -= entry->cost;
    by_key_.erase(entry->key);
    entries_.erase(entry);
}

} // namespace berth::network
