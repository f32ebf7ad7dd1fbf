// SPDX-License-Identifier: Apache-2.0
// DNS messages (RFC 1035, 6891) as the embedded server meets them: a client's query, our own
// answers, and answers of other servers that are passed on. Writing is ldns's; of what strangers
// send only the parts named here are looked at, each within bounds.
#pragma once

#include "kernel/netlink_address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace berth::network {

using DnsBytes = std::vector<std::uint8_t>;

enum class DnsType : std::uint16_t {
    A = 1,
    Ptr = 12,
    Mx = 15,
    Aaaa = 28,
    Srv = 33,
};

enum class DnsCode : std::uint8_t {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
};

inline constexpr std::uint16_t dns_class_internet = 1;
inline constexpr std::size_t dns_smallest_limit = 512; // of a datagram, without EDNS
inline constexpr std::size_t dns_largest_message = 65535;
inline constexpr std::size_t dns_length_bytes = 2; // before each message in a TCP stream

struct DnsQuestion {
    // Lower case, dots between labels, none at the end; "" is the root. Bytes that cannot stand in
    // a name of ours are escaped.
    std::string name;
    std::uint16_t type = 0; // also those that DnsType does not name
    std::uint16_t dns_class = dns_class_internet;

    bool is(DnsType wanted) const { return type == static_cast<std::uint16_t>(wanted); }

    bool operator==(const DnsQuestion&) const = default;
};

struct DnsEdns {
    std::uint16_t udp_size = 0;
    std::uint8_t version = 0;
    bool wants_signatures = false; // the DO bit

    bool operator==(const DnsEdns&) const = default;
};

struct DnsQuery {
    std::uint16_t id = 0;
    bool recursion_desired = false;
    bool authentic_data = false;
    bool checking_disabled = false;
    DnsQuestion question;
    DnsBytes question_bytes; // as sent: the answer repeats the client's spelling
    std::optional<DnsEdns> edns;

    // How long an answer over UDP may be.
    std::size_t datagram_limit() const;
};

// What a datagram asks: a query, or what is wrong with it and must be answered at once. monostate:
// nothing that has an answer (too short, or an answer itself).
using DnsRequest = std::variant<std::monostate, DnsQuery, DnsBytes>;
DnsRequest parse_dns_request(std::span<const std::uint8_t> bytes);

struct DnsService {
    std::uint16_t port = 0;
    std::string target; // the host's name
    kernel::IpAddress address;
};

struct DnsReply {
    DnsCode code = DnsCode::NoError;
    std::vector<kernel::IpAddress> addresses; // A or AAAA, as the question has it
    std::string pointer;                      // PTR
    std::vector<DnsService> services;         // SRV, their addresses as additional records
};

// At most `limit` bytes: what does not fit is left out and the answer marked as truncated.
DnsBytes format_dns_reply(const DnsQuery& query, const DnsReply& reply, std::size_t limit);

// The query as it goes to another server: our id, no options of the client's but the DO bit.
DnsBytes format_dns_query(const DnsQuery& query, std::uint16_t id);

// What another server answered.
struct DnsAnswer {
    DnsBytes bytes;
    DnsCode code = DnsCode::NoError;
    bool truncated = false;
    // How long it may be kept: absent for what must not be (errors, truncated or malformed ones).
    std::optional<std::uint32_t> ttl;
    std::vector<std::uint32_t> ttl_offsets; // of each record's time to live
};

// nullopt unless it is an answer to this query with this id, whole up to its last record.
std::optional<DnsAnswer>
parse_dns_answer(std::span<const std::uint8_t> bytes, const DnsQuery& query, std::uint16_t id);

// The answer for another client who asked the same, `age` seconds later: its id, its spelling.
DnsBytes retarget_dns_answer(const DnsAnswer& answer, const DnsQuery& query, std::uint32_t age);

// The same within `limit` bytes: the records that fit, marked as truncated.
DnsBytes shorten_dns_answer(
    const DnsAnswer& answer, const DnsQuery& query, std::uint32_t age, std::size_t limit);

// "4.3.2.1.in-addr.arpa" or the 32 nibbles under ip6.arpa; nullopt for anything else.
std::optional<kernel::IpAddress> parse_reverse_name(std::string_view name);

} // namespace berth::network
