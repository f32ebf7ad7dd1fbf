// SPDX-License-Identifier: Apache-2.0
// How queries are read: filters in both forms, times in both forms.
#include "api/context.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(Filters, AreReadInBothForms) {
    const auto lists = parse_filters(R"({"label":["a=b","c"],"status":["running"]})");
    ASSERT_TRUE(lists.ok());
    EXPECT_EQ(lists->get("label"), (std::vector<std::string>{"a=b", "c"}));
    const auto maps = parse_filters(R"({"label":{"a=b":true,"c":true}})");
    ASSERT_TRUE(maps.ok());
    EXPECT_EQ(maps->get("label"), (std::vector<std::string>{"a=b", "c"}));
    EXPECT_TRUE(parse_filters("")->empty());
    EXPECT_TRUE(parse_filters("null")->empty());
}

TEST(Filters, RefusesWhatIsNoFilter) {
    for (const char* text : {"x", "[]", R"({"a":1})", R"({"a":[1]})", "{"}) {
        const auto filters = parse_filters(text);
        ASSERT_FALSE(filters.ok()) << text;
        EXPECT_EQ(filters.error().message(), "invalid filter");
        EXPECT_EQ(filters.error().kind(), ErrorKind::InvalidArgument);
    }
}

TEST(Timestamps, AreSecondsWithAFractionOrRfc3339) {
    EXPECT_EQ(parse_timestamp("1136073600")->nanoseconds, 1'136'073'600'000'000'000);
    EXPECT_EQ(parse_timestamp("1136073600.000000001")->nanoseconds, 1'136'073'600'000'000'001);
    EXPECT_EQ(parse_timestamp("5.5")->nanoseconds, 5'500'000'000);
    EXPECT_EQ(parse_timestamp("1970-01-01T00:00:01Z")->nanoseconds, 1'000'000'000);
    // What is later than nanoseconds can say is as late as they can.
    for (const char* text : {"99999999999", "9223372036854775807", "9223372036854775807.5"}) {
        EXPECT_EQ(parse_timestamp(text)->seconds(), 9'223'372'035) << text;
    }
    EXPECT_EQ(parse_timestamp("-99999999999")->seconds(), -9'223'372'035);
    for (const char* text : {"x", "1.x", "99999999999999999999", "."}) {
        EXPECT_FALSE(parse_timestamp(text).ok()) << text;
    }
}

} // namespace berth::api
