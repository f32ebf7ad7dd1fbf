// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <gtest/gtest.h>

namespace berth::http {

TEST(Query, DecodesEscapesAndPlus) {
    auto query = Query::parse("filters=%7B%22a%22%3A1%7D&name=a+b&empty=&bare");
    ASSERT_TRUE(query.ok());
    EXPECT_EQ(query->get("filters"), "{\"a\":1}");
    EXPECT_EQ(query->get("name"), "a b");
    EXPECT_TRUE(query->contains("empty"));
    EXPECT_TRUE(query->contains("bare"));
    EXPECT_FALSE(query->contains("absent"));
}

TEST(Query, KeepsRepeatedNames) {
    auto query = Query::parse("names=a&names=b");
    ASSERT_TRUE(query.ok());
    EXPECT_EQ(query->get_all("names"), (std::vector<std::string_view>{"a", "b"}));
}

TEST(Query, ReadsFlagsAsDockerdDoes) {
    auto query = Query::parse("a=1&b=0&c=False&d=none&e=yes&f=");
    ASSERT_TRUE(query.ok());
    EXPECT_TRUE(query->flag("a"));
    EXPECT_FALSE(query->flag("b"));
    EXPECT_FALSE(query->flag("c"));
    EXPECT_FALSE(query->flag("d"));
    EXPECT_TRUE(query->flag("e"));
    EXPECT_FALSE(query->flag("f"));
    EXPECT_TRUE(query->flag_or("absent", true));
    EXPECT_FALSE(query->flag_or("f", true));
}

TEST(Query, RejectsBrokenEscapes) {
    EXPECT_FALSE(Query::parse("a=%zz").ok());
    EXPECT_FALSE(Query::parse("a=%4").ok());
}

TEST(Query, RoundTripsThroughText) {
    Query query;
    query.add("name", "a b&c=d/é");
    auto again = Query::parse(query.to_string());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->get("name"), "a b&c=d/é");
}

} // namespace berth::http
