// SPDX-License-Identifier: Apache-2.0
// Reading and writing of DNS messages.
#include "network/dns_message.h"

#include "base/free_with.h"
#include "base/strings.h"
#include "base/verify.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

namespace berth::network {
namespace {

constexpr std::size_t header_size = 12;
constexpr std::size_t longest_name = 255;
constexpr std::uint8_t pointer_mask = 0xc0;
constexpr std::uint16_t opt_type = 41;
constexpr std::uint16_t soa_type = 6;
constexpr std::size_t opt_size = 11;         // without options
constexpr std::uint16_t own_udp_size = 1232; // fits everywhere without fragments
constexpr std::uint32_t longest_ttl = 3600;  // that we keep an answer
constexpr std::uint32_t longest_denial = 30; // and one that says no: names come into being
constexpr std::uint16_t answer_bit = 0x8000;
constexpr std::uint16_t operation_bits = 0x7800;
constexpr std::uint16_t truncated_bit = 0x0200;
constexpr std::uint16_t recursion_desired_bit = 0x0100;
constexpr std::uint16_t recursion_available_bit = 0x0080;
constexpr std::uint16_t authentic_data_bit = 0x0020;
constexpr std::uint16_t checking_disabled_bit = 0x0010;
constexpr std::uint16_t code_bits = 0x000f;
constexpr std::uint16_t signatures_bit = 0x8000;
// Nothing is kept by whom we answer: a container that leaves is gone from the next answer on.
constexpr std::uint32_t own_ttl = 0;

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

std::uint32_t u32_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return std::uint32_t{u16_at(bytes, offset)} << 16 | u16_at(bytes, offset + 2);
}

void put_u16(DnsBytes& bytes, std::uint16_t value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value & 0xff));
}

void set_u16(DnsBytes& bytes, std::size_t offset, std::uint16_t value) {
    bytes[offset] = static_cast<std::uint8_t>(value >> 8);
    bytes[offset + 1] = static_cast<std::uint8_t>(value & 0xff);
}

// Where a name ends; a pointer ends it, and is not followed.
std::optional<std::size_t> skip_name(std::span<const std::uint8_t> bytes, std::size_t offset) {
    while (offset < bytes.size()) {
        const std::uint8_t length = bytes[offset];
        if (length == 0) {
            return offset + 1;
        }
        if ((length & pointer_mask) == pointer_mask) {
            return offset + 2 <= bytes.size() ? std::optional(offset + 2) : std::nullopt;
        }
        if ((length & pointer_mask) != 0) {
            return std::nullopt;
        }
        offset += 1U + length;
    }
    return std::nullopt;
}

char lower(std::uint8_t byte) {
    return static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

struct NameAndEnd {
    std::string name;
    std::size_t end = 0;
};

// A question's name: there is nothing before it that a pointer could mean.
std::optional<NameAndEnd>
parse_plain_name(std::span<const std::uint8_t> bytes, std::size_t offset) {
    const std::size_t start = offset;
    std::string name;
    while (offset < bytes.size() && offset - start < longest_name) {
        const std::uint8_t length = bytes[offset];
        if (length == 0) {
            return NameAndEnd{std::move(name), offset + 1};
        }
        if ((length & pointer_mask) != 0 || offset + 1U + length > bytes.size()) {
            return std::nullopt;
        }
        if (!name.empty()) {
            name += '.';
        }
        for (const std::uint8_t byte : bytes.subspan(offset + 1, length)) {
            if (byte == '.' || byte == '\\' || byte < ' ') {
                name += '\\';
            }
            name += lower(byte);
        }
        offset += 1U + length;
    }
    return std::nullopt;
}

struct Record {
    std::uint16_t type = 0;
    std::uint16_t dns_class = 0;
    std::size_t ttl_offset = 0;
    std::size_t data_offset = 0;
    std::size_t end = 0;
};

std::optional<Record> parse_record(std::span<const std::uint8_t> bytes, std::size_t offset) {
    const std::optional<std::size_t> name_end = skip_name(bytes, offset);
    if (!name_end || *name_end + 10 > bytes.size()) {
        return std::nullopt;
    }
    Record record{
        .type = u16_at(bytes, *name_end),
        .dns_class = u16_at(bytes, *name_end + 2),
        .ttl_offset = *name_end + 4,
        .data_offset = *name_end + 10};
    record.end = record.data_offset + u16_at(bytes, *name_end + 8);
    return record.end <= bytes.size() ? std::optional(record) : std::nullopt;
}

std::size_t record_count(std::span<const std::uint8_t> bytes) {
    return std::size_t{u16_at(bytes, 6)} + u16_at(bytes, 8) + u16_at(bytes, 10);
}

// The head of an answer with nothing but the question, if there was one.
DnsBytes bare_answer(std::uint16_t id, std::uint16_t flags, const DnsBytes& question) {
    DnsBytes bytes;
    bytes.reserve(header_size + question.size());
    put_u16(bytes, id);
    put_u16(bytes, flags);
    put_u16(bytes, question.empty() ? 0 : 1);
    bytes.resize(header_size);
    bytes.insert(bytes.end(), question.begin(), question.end());
    return bytes;
}

DnsBytes refusal(std::span<const std::uint8_t> request, DnsCode code) {
    const std::uint16_t kept = u16_at(request, 2) & (operation_bits | recursion_desired_bit);
    return bare_answer(
        u16_at(request, 0),
        static_cast<std::uint16_t>(
            answer_bit | recursion_available_bit | kept | static_cast<std::uint16_t>(code)),
        {});
}

// False when what stands behind the question is no row of records.
bool parse_edns(std::span<const std::uint8_t> bytes, std::size_t offset, DnsQuery& query) {
    for (std::size_t left = record_count(bytes); left > 0; --left) {
        const std::optional<Record> record = parse_record(bytes, offset);
        if (!record) {
            return false;
        }
        if (record->type == opt_type) {
            if (query.edns) {
                return false;
            }
            query.edns = DnsEdns{
                .udp_size = record->dns_class,
                .version = bytes[record->ttl_offset + 1],
                .wants_signatures = (u16_at(bytes, record->ttl_offset + 2) & signatures_bit) != 0};
        }
        offset = record->end;
    }
    return true;
}

// As the only additional record.
void append_edns(DnsBytes& bytes, const DnsEdns& edns) {
    set_u16(bytes, 10, 1);
    bytes.push_back(0); // the root
    put_u16(bytes, opt_type);
    put_u16(bytes, own_udp_size);
    put_u16(bytes, 0);
    put_u16(bytes, edns.wants_signatures ? signatures_bit : std::uint16_t{0});
    put_u16(bytes, 0);
}

using Packet = std::unique_ptr<ldns_pkt, FreeWith<ldns_pkt_free>>;

ldns_rdf* domain_name(const std::string& name) {
    ldns_rdf* made = ldns_dname_new_frm_str(name.c_str());
    // What is no name (an alias with an empty label) cannot be asked for, but can be a PTR's.
    return made != nullptr ? made : ldns_dname_new_frm_str(".");
}

ldns_rr* new_record(ldns_rr_type type, ldns_rdf* owner) {
    ldns_rr* record = ldns_rr_new();
    VERIFY(record != nullptr);
    ldns_rr_set_owner(record, owner);
    ldns_rr_set_type(record, type);
    ldns_rr_set_class(record, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(record, own_ttl);
    return record;
}

ldns_rr* address_record(ldns_rdf* owner, const kernel::IpAddress& address) {
    ldns_rr* record = new_record(address.is_v4() ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA, owner);
    ldns_rr_push_rdf(
        record,
        ldns_rdf_new_frm_data(
            address.is_v4() ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA,
            address.bytes().size(),
            address.bytes().data()));
    return record;
}

ldns_rr* service_record(ldns_rdf* owner, const DnsService& service) {
    ldns_rr* record = new_record(LDNS_RR_TYPE_SRV, owner);
    ldns_rr_push_rdf(record, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, 0)); // priority
    ldns_rr_push_rdf(record, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, 0)); // weight
    ldns_rr_push_rdf(record, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, service.port));
    ldns_rr_push_rdf(record, domain_name(service.target));
    return record;
}

// The question's name as the client spelled it.
ldns_rdf* owner_of(const DnsQuery& query) {
    constexpr std::size_t type_and_class = 4;
    return ldns_rdf_new_frm_data(
        LDNS_RDF_TYPE_DNAME,
        query.question_bytes.size() - type_and_class,
        query.question_bytes.data());
}

void push_answers(
    ldns_pkt& packet, const DnsQuery& query, const DnsReply& reply, std::size_t count) {
    for (std::size_t i = 0; i < std::min(count, reply.addresses.size()); ++i) {
        ldns_pkt_push_rr(
            &packet, LDNS_SECTION_ANSWER, address_record(owner_of(query), reply.addresses[i]));
    }
    if (!reply.pointer.empty() && count > 0) {
        ldns_rr* record = new_record(LDNS_RR_TYPE_PTR, owner_of(query));
        ldns_rr_push_rdf(record, domain_name(reply.pointer));
        ldns_pkt_push_rr(&packet, LDNS_SECTION_ANSWER, record);
    }
    for (std::size_t i = 0; i < std::min(count, reply.services.size()); ++i) {
        const DnsService& service = reply.services[i];
        ldns_pkt_push_rr(&packet, LDNS_SECTION_ANSWER, service_record(owner_of(query), service));
        ldns_pkt_push_rr(
            &packet,
            LDNS_SECTION_ADDITIONAL,
            address_record(domain_name(service.target), service.address));
    }
}

// With the first `count` of the answers.
DnsBytes
write_reply(const DnsQuery& query, const DnsReply& reply, std::size_t count, bool truncated) {
    const Packet packet(ldns_pkt_new());
    VERIFY(packet != nullptr);
    ldns_pkt_set_id(packet.get(), query.id);
    ldns_pkt_set_qr(packet.get(), true);
    ldns_pkt_set_tc(packet.get(), truncated);
    ldns_pkt_set_rd(packet.get(), query.recursion_desired);
    ldns_pkt_set_ra(packet.get(), true);
    ldns_pkt_set_cd(packet.get(), query.checking_disabled);
    ldns_pkt_set_rcode(packet.get(), static_cast<std::uint8_t>(reply.code));
    ldns_rr* question = ldns_rr_new();
    VERIFY(question != nullptr);
    ldns_rr_set_question(question, true);
    ldns_rr_set_owner(question, owner_of(query));
    ldns_rr_set_type(question, static_cast<ldns_rr_type>(query.question.type));
    ldns_rr_set_class(question, static_cast<ldns_rr_class>(query.question.dns_class));
    ldns_pkt_push_rr(packet.get(), LDNS_SECTION_QUESTION, question);
    push_answers(*packet, query, reply, count);
    if (query.edns) {
        ldns_pkt_set_edns_udp_size(packet.get(), own_udp_size);
        ldns_pkt_set_edns_do(packet.get(), query.edns->wants_signatures);
    }
    std::uint8_t* wire = nullptr;
    std::size_t size = 0;
    if (ldns_pkt2wire(&wire, packet.get(), &size) != LDNS_STATUS_OK) {
        return {};
    }
    const std::unique_ptr<std::uint8_t, FreeWith<std::free>> owner(wire);
    return DnsBytes(wire, wire + size);
}

// What the question and the record that says how long it holds stand in: "the least of all".
struct Lifetime {
    std::uint32_t least = longest_ttl;
    bool denial_known = false;
};

void count_in(
    std::span<const std::uint8_t> bytes, const Record& record, bool is_authority, Lifetime& life) {
    std::uint32_t ttl = u32_at(bytes, record.ttl_offset);
    if (is_authority && record.type == soa_type && record.end - record.data_offset >= 4) {
        // RFC 2308: a denial holds as long as the zone's last number says.
        ttl = std::min({ttl, u32_at(bytes, record.end - 4), longest_denial});
        life.denial_known = true;
    }
    life.least = std::min(life.least, ttl);
}

} // namespace

std::size_t DnsQuery::datagram_limit() const {
    return edns ? std::max<std::size_t>(edns->udp_size, dns_smallest_limit) : dns_smallest_limit;
}

DnsRequest parse_dns_request(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < header_size) {
        return {};
    }
    const std::uint16_t flags = u16_at(bytes, 2);
    if ((flags & answer_bit) != 0) {
        return {};
    }
    if ((flags & operation_bits) != 0) {
        return refusal(bytes, DnsCode::NotImplemented);
    }
    std::optional<NameAndEnd> name = parse_plain_name(bytes, header_size);
    if (u16_at(bytes, 4) != 1 || !name || name->end + 4 > bytes.size()) {
        return refusal(bytes, DnsCode::FormatError);
    }
    const std::size_t end = name->end + 4;
    const auto question = bytes.subspan(header_size, end - header_size);
    DnsQuery query{
        .id = u16_at(bytes, 0),
        .recursion_desired = (flags & recursion_desired_bit) != 0,
        .authentic_data = (flags & authentic_data_bit) != 0,
        .checking_disabled = (flags & checking_disabled_bit) != 0,
        .question =
            {.name = std::move(name->name),
             .type = u16_at(bytes, name->end),
             .dns_class = u16_at(bytes, name->end + 2)},
        .question_bytes = DnsBytes(question.begin(), question.end()),
        .edns = std::nullopt};
    if (!parse_edns(bytes, end, query)) {
        return refusal(bytes, DnsCode::FormatError);
    }
    return query;
}

DnsBytes format_dns_reply(const DnsQuery& query, const DnsReply& reply, std::size_t limit) {
    const std::size_t all = std::max(
        {reply.addresses.size(), reply.services.size(), std::size_t{!reply.pointer.empty()}});
    DnsBytes bytes = write_reply(query, reply, all, false);
    std::size_t count = all;
    while (bytes.size() > limit && count > 0) {
        // Each answer takes about as much as the others: one or two tries find how many fit.
        count = std::min(count - 1, count * limit / bytes.size());
        bytes = write_reply(query, reply, count, true);
    }
    return bytes;
}

DnsBytes format_dns_query(const DnsQuery& query, std::uint16_t id) {
    std::uint16_t flags = 0;
    flags |= query.recursion_desired ? recursion_desired_bit : std::uint16_t{0};
    flags |= query.authentic_data ? authentic_data_bit : std::uint16_t{0};
    flags |= query.checking_disabled ? checking_disabled_bit : std::uint16_t{0};
    DnsBytes bytes = bare_answer(id, flags, query.question_bytes);
    if (query.edns) {
        append_edns(bytes, *query.edns);
    }
    return bytes;
}

std::optional<DnsAnswer>
parse_dns_answer(std::span<const std::uint8_t> bytes, const DnsQuery& query, std::uint16_t id) {
    if (bytes.size() < header_size || u16_at(bytes, 0) != id ||
        (u16_at(bytes, 2) & (answer_bit | operation_bits)) != answer_bit) {
        return std::nullopt;
    }
    const std::uint16_t flags = u16_at(bytes, 2);
    DnsAnswer answer{
        .bytes = DnsBytes(bytes.begin(), bytes.end()),
        .code = static_cast<DnsCode>(flags & code_bits),
        .truncated = (flags & truncated_bit) != 0};
    const bool is_failure = answer.code != DnsCode::NoError && answer.code != DnsCode::NameError;
    if (u16_at(bytes, 4) == 0 && is_failure) {
        return answer; // some servers leave the question out when they refuse
    }
    const std::optional<NameAndEnd> name = parse_plain_name(bytes, header_size);
    if (u16_at(bytes, 4) != 1 || !name || name->end + 4 > bytes.size() ||
        DnsQuestion{name->name, u16_at(bytes, name->end), u16_at(bytes, name->end + 2)} !=
            query.question) {
        return std::nullopt;
    }
    if (answer.truncated || is_failure) {
        return answer;
    }
    Lifetime life;
    const std::size_t answers = u16_at(bytes, 6);
    const std::size_t authorities = u16_at(bytes, 8);
    std::size_t offset = name->end + 4;
    for (std::size_t i = 0; i < record_count(bytes); ++i) {
        const std::optional<Record> record = parse_record(bytes, offset);
        if (!record) {
            return std::nullopt;
        }
        offset = record->end;
        if (record->type == opt_type) {
            continue;
        }
        answer.ttl_offsets.push_back(static_cast<std::uint32_t>(record->ttl_offset));
        count_in(bytes, *record, i >= answers && i < answers + authorities, life);
    }
    if ((answers > 0 && answer.code == DnsCode::NoError) || life.denial_known) {
        answer.ttl = life.least;
    }
    return answer;
}

DnsBytes retarget_dns_answer(const DnsAnswer& answer, const DnsQuery& query, std::uint32_t age) {
    DnsBytes bytes = answer.bytes;
    set_u16(bytes, 0, query.id);
    if (u16_at(bytes, 4) == 1) {
        std::copy(
            query.question_bytes.begin(), query.question_bytes.end(), bytes.begin() + header_size);
    }
    for (const std::uint32_t offset : answer.ttl_offsets) {
        const std::uint32_t ttl = u32_at(bytes, offset);
        const std::uint32_t left = ttl > age ? ttl - age : 0;
        set_u16(bytes, offset, static_cast<std::uint16_t>(left >> 16));
        set_u16(bytes, offset + 2, static_cast<std::uint16_t>(left & 0xffff));
    }
    return bytes;
}

DnsBytes shorten_dns_answer(
    const DnsAnswer& answer, const DnsQuery& query, std::uint32_t age, std::size_t limit) {
    DnsBytes bytes = retarget_dns_answer(answer, query, age);
    if (bytes.size() <= limit) {
        return bytes;
    }
    const std::size_t reserved = query.edns ? opt_size : 0;
    std::size_t end = header_size + query.question_bytes.size();
    std::uint16_t kept = 0;
    // Names point backwards only, so what stands before a record's end is whole.
    for (const std::uint32_t offset : answer.ttl_offsets) {
        constexpr std::size_t ttl_and_length = 6;
        const std::size_t next = offset + ttl_and_length + u16_at(bytes, offset + 4);
        if (kept == u16_at(bytes, 6) || next + reserved > limit) {
            break;
        }
        end = next;
        ++kept;
    }
    bytes.resize(end);
    set_u16(bytes, 2, u16_at(bytes, 2) | truncated_bit);
    set_u16(bytes, 6, kept);
    set_u16(bytes, 8, 0);
    set_u16(bytes, 10, 0);
    if (query.edns) {
        append_edns(bytes, *query.edns);
    }
    return bytes;
}

std::optional<kernel::IpAddress> parse_reverse_name(std::string_view name) {
    constexpr std::string_view v4_zone = ".in-addr.arpa";
    constexpr std::string_view v6_zone = ".ip6.arpa";
    if (name.ends_with(v4_zone)) {
        name.remove_suffix(v4_zone.size());
        std::vector<std::string_view> parts = split(name, '.');
        if (parts.size() != 4) {
            return std::nullopt;
        }
        std::array<std::uint8_t, 4> bytes{};
        for (std::size_t i = 0; i < 4; ++i) {
            const Result<std::uint8_t> number = parse_number<std::uint8_t>(parts[3 - i]);
            if (!number.ok()) {
                return std::nullopt;
            }
            bytes[i] = *number;
        }
        return kernel::IpAddress::from_bytes(bytes);
    }
    constexpr std::size_t nibbles = 32;
    if (!name.ends_with(v6_zone) || name.size() != nibbles * 2 - 1 + v6_zone.size()) {
        return std::nullopt;
    }
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t i = 0; i < nibbles; ++i) {
        const Result<std::uint8_t> nibble = parse_number<std::uint8_t>(name.substr(i * 2, 1), 16);
        if (!nibble.ok() || name[i * 2 + 1] != '.') {
            return std::nullopt;
        }
        // The last nibble of the address comes first.
        const std::size_t place = nibbles - 1 - i;
        bytes[place / 2] |= static_cast<std::uint8_t>(place % 2 == 0 ? *nibble << 4 : *nibble);
    }
    return kernel::IpAddress::from_bytes(bytes);
}

} // namespace berth::network
