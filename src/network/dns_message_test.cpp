// SPDX-License-Identifier: Apache-2.0
// What we write is read by ldns, and what ldns writes by us.
#include "network/dns_message.h"
#include "network/dns_test_support.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

DnsBytes refused(const DnsBytes& bytes) {
    const DnsRequest request = parse_dns_request(bytes);
    const auto* refusal = std::get_if<DnsBytes>(&request);
    return refusal == nullptr ? DnsBytes() : *refusal;
}

TEST(DnsMessage, ReadsAQuery) {
    const DnsQuery query =
        parsed_question({.name = "Web.Example.COM", .type = "AAAA", .id = 77, .udp_size = 4096});
    EXPECT_EQ(query.id, 77);
    EXPECT_TRUE(query.recursion_desired);
    EXPECT_EQ(query.question, (DnsQuestion{.name = "web.example.com", .type = 28}));
    ASSERT_TRUE(query.edns);
    EXPECT_EQ(query.datagram_limit(), 4096U);
    EXPECT_EQ(parsed_question({.name = "."}).question.name, "");
    EXPECT_EQ(parsed_question({.name = "a"}).datagram_limit(), 512U);
    EXPECT_EQ(parsed_question({.name = "a", .udp_size = 100}).datagram_limit(), 512U);
}

TEST(DnsMessage, EscapesDotsWithinALabel) {
    EXPECT_EQ(parsed_question({.name = R"(a\.b.c)"}).question.name, R"(a\.b.c)");
}

TEST(DnsMessage, RefusesWhatIsMalformed) {
    const DnsBytes good = question_bytes({.name = "web"});
    for (std::size_t size = 12; size < good.size(); ++size) {
        EXPECT_EQ(
            answer_text(refused({good.begin(), good.begin() + static_cast<long>(size)})),
            "FORMERR");
    }
    DnsBytes short_one(good.begin(), good.begin() + 11);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(parse_dns_request(short_one)));
    DnsBytes answer = good;
    answer[2] |= 0x80; // two servers that answer each other's answers never end
    EXPECT_TRUE(std::holds_alternative<std::monostate>(parse_dns_request(answer)));
    DnsBytes update = good;
    update[2] |= 5 << 3;
    EXPECT_EQ(answer_text(refused(update)), "NOTIMPL");
    DnsBytes two = good;
    two[5] = 2;
    EXPECT_EQ(answer_text(refused(two)), "FORMERR");
    DnsBytes loop = good;
    loop[12] = 0xc0; // a pointer to itself
    loop[13] = 12;
    EXPECT_EQ(answer_text(refused(loop)), "FORMERR");
}

TEST(DnsMessage, WritesAddressesInTheClientsSpelling) {
    const DnsQuery query = parsed_question({.name = "WeB", .udp_size = 1232});
    const DnsBytes bytes =
        format_dns_reply(query, {.addresses = {ip("10.0.0.2"), ip("10.0.0.3")}}, 512);
    EXPECT_EQ(answer_text(bytes), "NOERROR WeB. A 10.0.0.2; WeB. A 10.0.0.3");
    EXPECT_EQ(bytes[0] << 8 | bytes[1], 4711);
    EXPECT_EQ(bytes[11], 1) << "EDNS is answered with EDNS";
    const DnsQuery six = parsed_question({.name = "web", .type = "AAAA"});
    EXPECT_EQ(
        answer_text(format_dns_reply(six, {.addresses = {ip("fd00::2")}}, 512)),
        "NOERROR web. AAAA fd00::2");
}

TEST(DnsMessage, WritesPointersAndServices) {
    const DnsQuery pointer = parsed_question({.name = "2.0.0.10.in-addr.arpa", .type = "PTR"});
    EXPECT_EQ(
        answer_text(format_dns_reply(pointer, {.pointer = "web.back"}, 512)),
        "NOERROR 2.0.0.10.in-addr.arpa. PTR web.back.");
    const DnsQuery service = parsed_question({.name = "_http._tcp.web", .type = "SRV"});
    EXPECT_EQ(
        answer_text(format_dns_reply(service, {.services = {{80, "web", ip("10.0.0.2")}}}, 512)),
        "NOERROR _http._tcp.web. SRV 0 0 80 web.; web. A 10.0.0.2");
}

TEST(DnsMessage, CutsWhatDoesNotFit) {
    DnsReply reply;
    for (std::uint32_t i = 1; i <= 200; ++i) {
        reply.addresses.push_back(kernel::IpAddress::from_v4(0x0a000000 + i));
    }
    const DnsQuery query = parsed_question({.name = "web"});
    const DnsBytes cut = format_dns_reply(query, reply, 512);
    EXPECT_LE(cut.size(), 512U);
    EXPECT_GT(cut.size(), 470U);
    EXPECT_TRUE(answer_text(cut).starts_with("NOERROR TC web. A 10.0.0.1"));
    EXPECT_TRUE(answer_text(format_dns_reply(query, reply, dns_largest_message))
                    .starts_with("NOERROR web. A"));
}

TEST(DnsMessage, AsksOthersInItsOwnName) {
    const DnsQuery query = parsed_question({.name = "WWW.example", .udp_size = 4096});
    const DnsBytes bytes = format_dns_query(query, 99);
    const DnsQuery sent = std::get<DnsQuery>(parse_dns_request(bytes));
    EXPECT_EQ(sent.id, 99);
    EXPECT_EQ(sent.question_bytes, query.question_bytes);
    EXPECT_EQ(sent.edns->udp_size, 1232);
    EXPECT_FALSE(
        std::get<DnsQuery>(parse_dns_request(format_dns_query(parsed_question({.name = "a"}), 1)))
            .edns);
}

TEST(DnsMessage, TakesOnlyAnswersToItsQuestion) {
    const DnsQuery query = parsed_question({.name = "www.example"});
    const DnsBytes sent = format_dns_query(query, 99);
    const DnsBytes good = answer_with(sent, {"www.example. 60 IN A 1.2.3.4"});
    ASSERT_TRUE(parse_dns_answer(good, query, 99));
    EXPECT_EQ(parse_dns_answer(good, query, 99)->ttl, 60U);
    EXPECT_FALSE(parse_dns_answer(good, query, 98)) << "another id";
    EXPECT_FALSE(parse_dns_answer(sent, query, 99)) << "a query";
    EXPECT_FALSE(parse_dns_answer(good, parsed_question({.name = "www.example2"}), 99));
    EXPECT_FALSE(
        parse_dns_answer(good, parsed_question({.name = "www.example", .type = "AAAA"}), 99));
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(parse_dns_answer(std::span(good).first(size), query, 99)) << size;
    }
}

TEST(DnsMessage, KnowsHowLongAnAnswerHolds) {
    const DnsQuery query = parsed_question({.name = "www.example"});
    const DnsBytes sent = format_dns_query(query, 99);
    const auto ttl = [&](const std::vector<std::string>& records, int code) {
        return parse_dns_answer(answer_with(sent, records, code), query, 99)->ttl;
    };
    EXPECT_EQ(ttl({"www.example. 300 IN CNAME a.example.", "a.example. 20 IN A 1.2.3.4"}, 0), 20U);
    const std::string zone = "example. 900 IN SOA ns.example. me.example. 1 2 3 4 ";
    EXPECT_EQ(ttl({zone + "5"}, 3), 5U);
    EXPECT_EQ(ttl({zone + "86400"}, 3), 30U);
    EXPECT_EQ(ttl({zone + "7"}, 0), 7U) << "no record of this type";
    EXPECT_EQ(ttl({}, 3), std::nullopt) << "nothing says how long";
    EXPECT_EQ(ttl({}, 0), std::nullopt);
    EXPECT_EQ(ttl({}, 2), std::nullopt);
}

TEST(DnsMessage, RetargetsAnAnswer) {
    const DnsQuery query = parsed_question({.name = "www.example"});
    const DnsBytes sent = format_dns_query(query, 99);
    const DnsAnswer answer =
        *parse_dns_answer(answer_with(sent, {"www.example. 60 IN A 1.2.3.4"}), query, 99);
    const DnsQuery other = parsed_question({.name = "wWw.Example", .id = 5});
    const DnsBytes bytes = retarget_dns_answer(answer, other, 25);
    EXPECT_EQ(bytes[1], 5);
    EXPECT_EQ(answer_text(bytes), "NOERROR wWw.Example. A 1.2.3.4");
    EXPECT_EQ(parse_dns_answer(bytes, other, 5)->ttl, 35U);
}

TEST(DnsMessage, ShortensAnAnswerAtARecordsEnd) {
    const DnsQuery query = parsed_question({.name = "www.example", .udp_size = 600});
    std::vector<std::string> records;
    for (int i = 1; i <= 100; ++i) {
        records.push_back("www.example. 60 IN A 10.0.0." + std::to_string(i));
    }
    const DnsAnswer answer =
        *parse_dns_answer(answer_with(format_dns_query(query, 9), records), query, 9);
    const DnsBytes bytes = shorten_dns_answer(answer, query, 0, 600);
    EXPECT_LE(bytes.size(), 600U);
    EXPECT_TRUE(answer_text(bytes).starts_with("NOERROR TC www.example. A 10.0.0.1;"));
    EXPECT_EQ(bytes[11], 1) << "EDNS stays";
    EXPECT_EQ(shorten_dns_answer(answer, query, 0, 65535).size(), answer.bytes.size());
}

TEST(DnsMessage, ReadsReverseNames) {
    EXPECT_EQ(parse_reverse_name("2.0.17.172.in-addr.arpa"), ip("172.17.0.2"));
    EXPECT_EQ(
        parse_reverse_name(
            "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"),
        ip("fd00::2"));
    for (const char* name :
         {"0.17.172.in-addr.arpa",
          "1.2.0.17.172.in-addr.arpa",
          "256.0.17.172.in-addr.arpa",
          "a.0.17.172.in-addr.arpa",
          "in-addr.arpa",
          "2.0.ip6.arpa",
          "web",
          ""}) {
        EXPECT_EQ(parse_reverse_name(name), std::nullopt) << name;
    }
}

} // namespace
} // namespace berth::network
