// SPDX-License-Identifier: Apache-2.0
// Time is given, not waited for.
#include "network/dns_cache.h"
#include "network/dns_test_support.h"

#include <gtest/gtest.h>

namespace berth::network {
namespace {

using std::chrono::seconds;

const DnsCache::Clock::time_point start{seconds(1000)};

DnsAnswer answer(std::uint32_t ttl) {
    return {.bytes = DnsBytes(100), .ttl = ttl};
}

TEST(DnsCache, KeepsAnAnswerAsLongAsItHolds) {
    DnsCache cache(1U << 20);
    cache.put("a", answer(10), start);
    EXPECT_EQ(cache.find("a", start + seconds(9))->age, 9U);
    EXPECT_FALSE(cache.find("a", start + seconds(10)));
    EXPECT_EQ(cache.bytes(), 0U);
}

TEST(DnsCache, KeepsNothingThatMustNotBeKept) {
    DnsCache cache(16384);
    cache.put("zero", answer(0), start);
    cache.put("none", {.bytes = DnsBytes(100)}, start);
    cache.put("big", {.bytes = DnsBytes(2000), .ttl = 60}, start);
    EXPECT_EQ(cache.size(), 0U);
}

TEST(DnsCache, LetsTheLeastUsedGo) {
    DnsCache cache(16384);
    cache.put("first", answer(60), start);
    int count = 1;
    while (cache.size() == static_cast<std::size_t>(count)) {
        ASSERT_TRUE(cache.find("first", start));
        cache.put(std::to_string(++count), answer(60), start);
    }
    EXPECT_GT(count, 20);
    EXPECT_LE(cache.bytes(), 16384U);
    EXPECT_TRUE(cache.find("first", start));
    EXPECT_FALSE(cache.find("2", start));
}

TEST(DnsCache, TellsQuestionsApart) {
    const auto key = [](const TestQuestion& question) {
        return dns_cache_key(parsed_question(question));
    };
    EXPECT_EQ(key({.name = "A.b", .id = 1}), key({.name = "a.B", .id = 2}));
    EXPECT_NE(key({.name = "a"}), key({.name = "b"}));
    EXPECT_NE(key({.name = "a"}), key({.name = "a", .type = "AAAA"}));
    EXPECT_NE(key({.name = "a"}), key({.name = "a", .udp_size = 1232}));
}

} // namespace
} // namespace berth::network
