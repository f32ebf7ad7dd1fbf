// SPDX-License-Identifier: Apache-2.0
// What containers send to the embedded DNS server, and what other servers answer. The first byte
// says which.
#include "network/dns_client.h"
#include "network/dns_message.h"

#include <ldns/ldns.h>

namespace berth::network {
namespace {

void check(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

void check_readable(const DnsBytes& bytes) {
    ldns_pkt* packet = nullptr;
    check(ldns_wire2pkt(&packet, bytes.data(), bytes.size()) == LDNS_STATUS_OK);
    ldns_pkt_free(packet);
}

const DnsNames& names() {
    static DnsNames instance;
    static const bool filled = [] {
        instance.add(
            "n1",
            {.id = "e1",
             .name = "web",
             .aliases = {"a.b", "app"},
             .addresses =
                 {kernel::IpAddress::from_v4(0x0a000002), *kernel::IpAddress::parse("fd00::2")},
             .ports = {{"http", "tcp", 80}}});
        return true;
    }();
    static_cast<void>(filled);
    return instance;
}

void fuzz_query(std::span<const std::uint8_t> bytes) {
    const DnsRequest request = parse_dns_request(bytes);
    if (const auto* refusal = std::get_if<DnsBytes>(&request)) {
        check_readable(*refusal);
    }
    const auto* query = std::get_if<DnsQuery>(&request);
    if (query == nullptr) {
        return;
    }
    // What goes to others says the same.
    const DnsRequest again = parse_dns_request(format_dns_query(*query, query->id));
    check(std::get<DnsQuery>(again).question == query->question);
    const DnsView view{.networks = {{.id = "n1", .name = "back", .links = {{"db", "web"}}}}};
    if (const std::optional<DnsReply> reply = resolve_dns(names(), view, query->question)) {
        const DnsBytes answer = format_dns_reply(*query, *reply, query->datagram_limit());
        check(answer.size() <= query->datagram_limit());
        check_readable(answer);
    }
}

void fuzz_answer(std::span<const std::uint8_t> bytes) {
    const DnsQuery query{
        .id = 0x4141,
        .question = {.name = "a", .type = 1, .dns_class = 1},
        .question_bytes = {1, 'A', 0, 0, 1, 0, 1}};
    const std::optional<DnsAnswer> answer = parse_dns_answer(bytes, query, 0x4141);
    if (!answer) {
        return;
    }
    check(retarget_dns_answer(*answer, query, 30).size() == bytes.size());
    // An answer that may be kept keeps its form, whole and cut.
    const DnsBytes cut = shorten_dns_answer(*answer, query, 30, 64);
    if (answer->ttl) {
        check(cut.size() <= 64 && parse_dns_answer(cut, query, 0x4141).has_value());
    }
}

} // namespace
} // namespace berth::network

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        berth::network::fuzz_query(bytes);
    } else {
        berth::network::fuzz_answer(bytes);
    }
    return 0;
}
