// SPDX-License-Identifier: Apache-2.0
// The names of each network: containers' names, ids, aliases and the addresses behind them. A
// change holds for the next question. Thread-safe.
#pragma once

#include "base/synchronized.h"
#include "network/dns_message.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace berth::network {

// A named port of an endpoint, for SRV: "_http._tcp.web".
struct DnsPort {
    std::string name; // "http", or the number as text
    std::string protocol;
    std::uint16_t port = 0;
};

// One endpoint in one network.
struct DnsRecord {
    std::string id;                   // the endpoint's
    std::string name;                 // the container's: what a reverse look-up answers
    std::vector<std::string> aliases; // short id, --network-alias …; several may share one
    std::vector<kernel::IpAddress> addresses;
    std::vector<DnsPort> ports;
};

// What a container sees of one network that it is in.
struct DnsNetwork {
    std::string id;
    std::string name;
    std::map<std::string, std::string>
        links; // this container's own: alias -> a name in the network
};

struct DnsAddresses {
    std::vector<kernel::IpAddress> addresses; // in a different order each time
    std::vector<DnsService> services;
};

class DnsNames {
  public:
    // One that was there with this id is replaced.
    void add(const std::string& network, const DnsRecord& record);
    void remove(const std::string& network, const std::string& record_id);
    void remove_network(const std::string& network);

    // All addresses of the name in the first of the networks that has it, of both families; nullopt
    // when none has. Names may end in ".network", and may have dots on both sides.
    std::optional<std::vector<kernel::IpAddress>>
    find(const std::vector<DnsNetwork>& networks, std::string_view name) const;

    // "web.backend" for an address in one of the networks; empty when it is nobody's.
    std::string
    find_pointer(const std::vector<DnsNetwork>& networks, const kernel::IpAddress& address) const;

    // Of "_http._tcp.web".
    std::vector<DnsService>
    find_services(const std::vector<DnsNetwork>& networks, std::string_view name) const;

  private:
    using RecordRef = std::shared_ptr<const DnsRecord>;

    struct StringHash {
        using is_transparent = void;

        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };

    template <class Value>
    using ByName = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

    struct Network {
        ByName<RecordRef> records;            // by id
        ByName<std::vector<RecordRef>> names; // lower case
        std::map<kernel::IpAddress, RecordRef> owners;
    };

    using Networks = ByName<Network>;

    static void forget(Network& network, const std::string& record_id);
    static const std::vector<RecordRef>* find_records(
        const Networks& all, const std::vector<DnsNetwork>& networks, std::string_view name);
    static const std::vector<RecordRef>* find_in(
        const Networks& all,
        const std::vector<DnsNetwork>& networks,
        std::string_view name,
        std::string_view network_name);

    Synchronized<Networks> networks_;
};

} // namespace berth::network
