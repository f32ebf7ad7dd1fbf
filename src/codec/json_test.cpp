// SPDX-License-Identifier: Apache-2.0
// Documents as values: limits, errors, indented text.
#include "codec/json.h"

#include <gtest/gtest.h>

namespace berth::json {

TEST(Json, ParsesADocumentWithWhiteSpaceAroundIt) {
    auto value = parse(" {\"a\": [1, true, null]}\n");
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(serialize(*value), R"({"a":[1,true,null]})");
}

TEST(Json, RejectsDataAfterTheDocument) {
    auto value = parse("{} {}");
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_NE(value.error().message().find("extra data"), std::string::npos)
        << value.error().message();
}

TEST(Json, RejectsTruncatedAndEmptyText) {
    for (const char* text : {"", " ", "{", "[1,", "\"abc", "tru"}) {
        EXPECT_FALSE(parse(text).ok()) << text;
    }
}

TEST(Json, SaysWhereTheErrorIs) {
    auto value = parse("{\"a\": x}");
    ASSERT_FALSE(value.ok());
    EXPECT_NE(value.error().message().find("at line 1, column 7"), std::string::npos)
        << value.error().message();
}

TEST(Json, RejectsInvalidUtf8) {
    EXPECT_FALSE(parse("\"\xff\"").ok());
}

TEST(Json, RejectsNumbersThatNoDoubleHolds) {
    EXPECT_TRUE(parse("[1e308]").ok());
    EXPECT_FALSE(parse("{\"a\":[1e309]}").ok());
}

TEST(Json, StopsAtTheDepthLimit) {
    EXPECT_TRUE(parse(std::string(64, '[') + std::string(64, ']')).ok());
    auto value = parse(std::string(65, '[') + std::string(65, ']'));
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().kind(), ErrorKind::ResourceExhausted);
}

TEST(Json, StopsAtTheSizeLimit) {
    auto value = parse("[1, 2, 3]", {.bytes = 4});
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().kind(), ErrorKind::ResourceExhausted);
    EXPECT_NE(value.error().message().find("4 bytes"), std::string::npos)
        << value.error().message();
}

TEST(Json, IndentsAsGoDoes) {
    auto value = parse(R"({"a":{"b":[1,{}],"c":[]},"d":"x\"y"})");
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(serialize_indented(*value, "    "), R"({
    "a": {
        "b": [
            1,
            {}
        ],
        "c": []
    },
    "d": "x\"y"
})");
}

TEST(Json, FindsMembersOfObjectsOnly) {
    auto value = parse(R"({"a":"x","b":1})");
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(find_string(*value, "a"), "x");
    EXPECT_EQ(find_string(*value, "b"), "");
    EXPECT_EQ(find(*value, "c"), nullptr);
    EXPECT_EQ(find(Value(1), "c"), nullptr);
}

} // namespace berth::json
