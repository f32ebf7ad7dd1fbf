// SPDX-License-Identifier: Apache-2.0
// Books of what has been asked, and for whom.
#include "network/dns_forwarder.h"

#include <algorithm>

namespace berth::network {
namespace {

void reply_with(const DnsAsker& asker, DnsCode code) {
    if (const std::shared_ptr<DnsReplySink> sink = asker.sink.lock()) {
        sink->send(asker.address, format_dns_reply(asker.query, {.code = code}, asker.limit));
    }
}

void reply_with(const DnsAsker& asker, const DnsAnswer& answer, std::uint32_t age) {
    if (const std::shared_ptr<DnsReplySink> sink = asker.sink.lock()) {
        sink->send(asker.address, shorten_dns_answer(answer, asker.query, age, asker.limit));
    }
}

// The container's own address as a server would ask itself for ever.
std::vector<Nameserver> without_ourselves(std::vector<kernel::IpAddress> servers) {
    std::erase(servers, kernel::IpAddress::from_v4(dns_server_address));
    return {servers.begin(), servers.end()};
}

} // namespace

DnsForwarder::DnsForwarder(SocketLoop& loop, Options options)
    : loop_(loop)
    , options_(std::move(options))
    , host_(options_.etc_path, options_.resolved_path)
    , host_cache_(options_.cache_bytes) {}

DnsForwarder::~DnsForwarder() {
    // The loop must not be left with descriptors of those who are gone.
    for (const auto& [key, asking] : host_asking_) {
        asking->exchange->abandon();
    }
}

DnsForwarder::Scope DnsForwarder::scope_of(DnsSource& source, bool is_own) {
    if (is_own) {
        return {source.servers, source.cache, source.asking};
    }
    return {host_.servers(), host_cache_, host_asking_};
}

void DnsForwarder::forward(const SourceRef& source, const DnsView& view, DnsAsker asker) {
    const Clock::time_point now = Clock::now();
    const bool is_own = !view.servers.empty();
    if (is_own) {
        DnsUpstreams servers(without_ourselves(view.servers));
        if (!(servers == source->servers)) {
            source->servers = std::move(servers);
            source->cache.clear();
        }
    } else if (host_.refresh(now)) {
        host_cache_.clear();
    }
    const Scope scope = scope_of(*source, is_own);
    std::vector<Nameserver> servers = scope.servers.in_order(now);
    if (servers.empty() || (!is_own && !view.has_way_out)) {
        reply_with(asker, DnsCode::ServerFailure);
        return;
    }
    const std::string key = dns_cache_key(asker.query);
    if (const std::optional<DnsCache::Found> known = scope.cache.find(key, now)) {
        reply_with(asker, *known->answer, known->age);
        return;
    }
    if (source->waiting >= options_.most_waiting) {
        reply_with(asker, DnsCode::Refused);
        return;
    }
    const auto asked = scope.asking.find(key);
    if (asked != scope.asking.end()) {
        ++source->waiting;
        asked->second->askers.emplace_back(source, std::move(asker));
        return;
    }
    if (exchanges_ >= options_.most_exchanges && !make_room_for(*source)) {
        reply_with(asker, DnsCode::Refused);
        return;
    }
    ask(source, is_own, std::move(servers), std::move(asker));
}

// Whoever has most under way gives way, unless that is the one who wants more.
bool DnsForwarder::make_room_for(DnsSource& source) {
    const auto greediest = std::max_element(
        beginners_.begin(), beginners_.end(), [](const DnsSource* a, const DnsSource* b) {
            return a->begun.size() < b->begun.size();
        });
    if (greediest == beginners_.end() || (*greediest)->begun.size() <= source.begun.size() + 1) {
        return false;
    }
    const std::shared_ptr<DnsAsking> oldest = (*greediest)->begun.front();
    oldest->exchange->abandon();
    end(oldest, std::nullopt);
    return true;
}

void DnsForwarder::ask(
    const SourceRef& source, bool is_own, std::vector<Nameserver> servers, DnsAsker asker) {
    auto asking = std::make_shared<DnsAsking>();
    asking->key = dns_cache_key(asker.query);
    asking->is_own = is_own;
    asking->beginner = source;
    std::weak_ptr<DnsAsking> weak = asking;
    asking->exchange = DnsExchange::create(
        {.loop = loop_,
         .options = options_.exchange,
         .query = asker.query,
         .servers = std::move(servers),
         .netns = is_own ? source->netns.get() : -1,
         .on_silence =
             [this, weak](const Nameserver& server) {
                 const auto silent = weak.lock();
                 const SourceRef beginner = silent ? silent->beginner.lock() : nullptr;
                 if (silent && (beginner || !silent->is_own)) {
                     DnsUpstreams& all = silent->is_own ? beginner->servers : host_.servers();
                     all.note_silence(server, Clock::now());
                 }
             },
         .on_end =
             [this, weak](const std::optional<DnsAnswer>& answer) {
                 if (const auto ended = weak.lock()) {
                     end(ended, answer);
                 }
             }});
    asking->askers.emplace_back(source, std::move(asker));
    ++source->waiting;
    source->begun.push_back(asking);
    beginners_.insert(source.get());
    scope_of(*source, is_own).asking.emplace(asking->key, asking);
    ++exchanges_;
    asking->exchange->start();
}

void DnsForwarder::close(const std::shared_ptr<DnsAsking>& asking) {
    const SourceRef beginner = asking->beginner.lock();
    if (beginner) {
        beginner->begun.remove(asking);
        if (beginner->begun.empty()) {
            beginners_.erase(beginner.get());
        }
    }
    if (!asking->is_own) {
        host_asking_.erase(asking->key);
    } else if (beginner) {
        beginner->asking.erase(asking->key);
    }
    --exchanges_;
}

void DnsForwarder::end(
    const std::shared_ptr<DnsAsking>& asking, const std::optional<DnsAnswer>& answer) {
    close(asking);
    const SourceRef beginner = asking->beginner.lock();
    if (answer && (beginner || !asking->is_own)) {
        DnsCache& cache = asking->is_own ? beginner->cache : host_cache_;
        cache.put(asking->key, *answer, Clock::now());
    }
    for (const auto& [waiting, asker] : asking->askers) {
        if (const SourceRef source = waiting.lock()) {
            --source->waiting;
        }
        if (answer) {
            reply_with(asker, *answer, 0);
        } else {
            reply_with(asker, DnsCode::ServerFailure);
        }
    }
}

void DnsForwarder::forget(DnsSource& source) {
    while (!source.begun.empty()) {
        const std::shared_ptr<DnsAsking> asking = source.begun.front();
        if (asking->is_own) {
            asking->exchange->abandon();
            close(asking);
        } else {
            source.begun.pop_front(); // others may wait for it too
            asking->beginner.reset();
        }
    }
    beginners_.erase(&source);
}

} // namespace berth::network
