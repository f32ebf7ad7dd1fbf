// SPDX-License-Identifier: Apache-2.0
// Questions that are not about containers: answered from what is known, or by asking the host's
// resolvers from the host's network, or a container's own (--dns) from the container's network, so
// that its routes and its firewall hold. Bounded for each container and in all; equal questions are
// asked once. Belongs to the loop's thread.
#pragma once

#include "network/dns_cache.h"
#include "network/dns_exchange.h"
#include "network/dns_names.h"
#include "network/dns_upstreams.h"

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace berth::network {

// What a container may see; made by the engine, replaced as a whole.
struct DnsView {
    std::vector<DnsNetwork> networks;       // in the order in which names are looked up
    std::vector<kernel::IpAddress> servers; // the container's own (--dns); empty: the host's
    // False when all its networks are internal: then the host's resolvers are not asked for it.
    bool has_way_out = true;
    // The user set ndots: a name without dots is not for the outside; the client goes on with its
    // search list.
    bool has_ndots = false;
};

// Where an answer goes: a container's UDP socket, or a TCP connection.
class DnsReplySink {
  public:
    virtual ~DnsReplySink() = default;
    virtual void send(const sockaddr_in& to, const DnsBytes& message) = 0;
};

struct DnsAsker {
    std::weak_ptr<DnsReplySink> sink;
    sockaddr_in address{};
    DnsQuery query;
    std::size_t limit = dns_largest_message; // of the answer
};

struct DnsSource;

// One question that others have been asked, and who waits for the answer.
struct DnsAsking {
    std::string key;
    bool is_own = false; // of the beginner's own servers
    std::weak_ptr<DnsSource> beginner;
    std::shared_ptr<DnsExchange> exchange;
    std::vector<std::pair<std::weak_ptr<DnsSource>, DnsAsker>> askers;
};

using DnsAskings = std::unordered_map<std::string, std::shared_ptr<DnsAsking>>; // by key

// A container, as far as forwarding knows it.
struct DnsSource {
    UniqueFd netns;
    DnsUpstreams servers;                        // its own
    DnsCache cache{64U << 10};                   // their answers
    DnsAskings asking;                           // what they are asked now
    std::size_t waiting = 0;                     // its questions without an answer
    std::list<std::shared_ptr<DnsAsking>> begun; // for its sake, the oldest first
};

class DnsForwarder {
  public:
    struct Options {
        DnsExchangeOptions exchange;
        std::string etc_path = "/etc/resolv.conf";
        std::string resolved_path = "/run/systemd/resolve/resolv.conf";
        std::size_t cache_bytes = 1U << 20;
        std::size_t most_waiting = 256;    // of one container
        std::size_t most_exchanges = 2048; // of all: each has a descriptor
    };

    DnsForwarder(SocketLoop& loop, Options options);
    ~DnsForwarder();
    DnsForwarder(const DnsForwarder&) = delete;
    DnsForwarder& operator=(const DnsForwarder&) = delete;

    void forward(const std::shared_ptr<DnsSource>& source, const DnsView& view, DnsAsker asker);

    // The container is going: nothing is asked from its network any more.
    void forget(DnsSource& source);

  private:
    using Clock = DnsCache::Clock;
    using SourceRef = std::shared_ptr<DnsSource>;

    // Own servers or the host's: what belongs together.
    struct Scope {
        DnsUpstreams& servers;
        DnsCache& cache;
        DnsAskings& asking;
    };

    Scope scope_of(DnsSource& source, bool is_own);
    bool make_room_for(DnsSource& source);
    void ask(const SourceRef& source, bool is_own, std::vector<Nameserver> servers, DnsAsker asker);
    // Takes it out of all books.
    void close(const std::shared_ptr<DnsAsking>& asking);
    void end(const std::shared_ptr<DnsAsking>& asking, const std::optional<DnsAnswer>& answer);

    SocketLoop& loop_;
    Options options_;
    HostUpstreams host_;
    DnsCache host_cache_;
    DnsAskings host_asking_;
    std::set<DnsSource*> beginners_; // those with exchanges under way
    std::size_t exchanges_ = 0;
};

} // namespace berth::network
