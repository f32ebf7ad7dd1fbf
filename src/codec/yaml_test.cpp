// SPDX-License-Identifier: Apache-2.0
// YAML becomes the JSON that its author means, and hostile documents become errors.
#include "codec/yaml.h"

#include <gmock/gmock.h>

namespace berth::yaml {

namespace {

std::string text_of(std::string_view yaml) {
    const auto value = parse(yaml);
    return value.ok() ? json::serialize(*value) : value.error().message();
}

} // namespace

TEST(Yaml, ReadsMappingsSequencesAndScalars) {
    EXPECT_EQ(
        text_of("a: 1\nb: [x, 'true', true, ~]\nc:\n  - d: \"7\"\n    e: 1.5\n  - 0o777\n"),
        R"({"a":1,"b":["x","true",true,null],"c":[{"d":"7","e":1.5E0},511]})");
    EXPECT_EQ(text_of("{\"json\": {\"is\": [\"yaml\"]}}"), R"({"json":{"is":["yaml"]}})");
    EXPECT_EQ(text_of("a: &x {b: 1}\nc: *x\n"), R"({"a":{"b":1},"c":{"b":1}})");
    EXPECT_EQ(text_of("version: 1.2.3\nname: 12ab\n"), R"({"version":"1.2.3","name":"12ab"})");
    EXPECT_EQ(text_of(""), "null");
}

TEST(Yaml, SaysWhereItIsWrong) {
    EXPECT_THAT(text_of("a: 1\nb: [\n"), ::testing::HasSubstr("line 3"));
    EXPECT_THAT(text_of("? [a]\n: b\n"), ::testing::HasSubstr("a key is no text"));
}

TEST(Yaml, BoundsWhatAliasesBecome) {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 10; ++i) {
        const std::string before = "*a" + std::to_string(i - 1);
        text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
        for (int j = 1; j < 10; ++j) {
            text += ", " + before;
        }
        text += "]\n";
    }
    const auto value = parse(text);
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().kind(), ErrorKind::ResourceExhausted);
    EXPECT_FALSE(parse(std::string(100, '[') + std::string(100, ']')).ok());
}

} // namespace berth::yaml
