// SPDX-License-Identifier: Apache-2.0
// Variables and quotes: cases of moby/buildkit's envVarTest and wordsTest, and nastier ones.
#include "build/word_expansion.h"

#include <gtest/gtest.h>

namespace berth::build {

namespace {

const Variables variables{
    {"PWD", "/home"},
    {"NULL", ""},
    {"LIST", "80 81  82"},
    {"FILE", "a/b.tar.gz"},
    {"1", "one"},
    {"STARS", "a*b*c"}};

std::string expand(std::string_view text) {
    auto result = expand_word(text, variables, '\\');
    return result.ok() ? *result : "error: " + result.error().message();
}

} // namespace

TEST(WordExpansion, ExpandsWords) {
    const std::pair<const char*, const char*> cases[] = {
        {"hello", "hello"},
        {"he'll'o", "hello"},
        {"he\\'llo", "he'llo"},
        {"\"a b\"", "a b"},
        {"a b", "a b"},
        {"$PWD", "/home"},
        {"a$PWD.", "a/home."},
        {"${PWD}x", "/homex"},
        {"\\$PWD", "$PWD"},
        {"\"\\$PWD\"", "$PWD"},
        {"'$PWD'", "$PWD"},
        {"\"$PWD\"", "/home"},
        {"\"'$PWD'\"", "'/home'"},
        {"$", "$"},
        {"$.", "$."},
        {"$NONE", ""},
        {"$PWDx", ""},
        {"$1", "one"},
        {"\\", ""},
        {"\"a\\b\"", "a\\b"},
        {"${NONE:-xyz}", "xyz"},
        {"${NULL:-xyz}", "xyz"},
        {"${NULL-xyz}", ""},
        {"${PWD:-xyz}", "/home"},
        {"${NONE:-$PWD}", "/home"},
        {"${NONE:-${NULL:-${PWD}}}", "/home"},
        {"${NONE:-'$PWD'}", "$PWD"},
        {"${PWD:+xyz}", "xyz"},
        {"${NULL:+xyz}", ""},
        {"${NULL+xyz}", "xyz"},
        {"${NONE+xyz}", ""},
        {"${PWD:?no}", "/home"},
        {"${FILE#*.}", "tar.gz"},
        {"${FILE##*.}", "gz"},
        {"${FILE%.*}", "a/b.tar"},
        {"${FILE%%.*}", "a/b"},
        {"${FILE/a/x}", "x/b.tar.gz"},
        {"${FILE/./-}", "a/b-tar.gz"},
        {"${FILE//./-}", "a/b-tar-gz"},
        {"${STARS//\\*/.}", "a.b.c"},
    };
    for (const auto& [text, expected] : cases) {
        EXPECT_EQ(expand(text), expected) << text;
    }
}

TEST(WordExpansion, ReportsSyntaxErrors) {
    for (const char* text :
         {"${PWD", "${", "${}", "${PWD:", "${PWD:x}", "'a", "\"a", "${PWD!x}", "${NONE:?}"}) {
        EXPECT_TRUE(expand(text).starts_with("error: failed to process \"")) << text;
    }
    EXPECT_EQ(
        expand("${NONE:?is missing}"),
        "error: failed to process \"${NONE:?is missing}\": NONE: is missing");
    std::string deep;
    for (int i = 0; i < 1000; ++i) {
        deep += "${A:-";
    }
    EXPECT_TRUE(expand(deep).starts_with("error: "));
}

TEST(WordExpansion, SplitsAtUnquotedWhiteSpace) {
    const auto words = [](std::string_view text) {
        return expand_words(text, variables, '\\').value();
    };
    using Words = std::vector<std::string>;
    EXPECT_EQ(words("a  b\t\"c d\""), (Words{"a", "b", "c d"}));
    EXPECT_EQ(words("$LIST x"), (Words{"80", "81", "82", "x"}));
    EXPECT_EQ(words("\"$LIST\""), Words{"80 81  82"});
    EXPECT_EQ(words("p$LIST"), (Words{"p80", "81", "82"}));
    EXPECT_EQ(words("''"), Words{""});
    EXPECT_EQ(words(" $NONE "), Words{});
}

TEST(WordExpansion, KeepsQuotesInText) {
    EXPECT_EQ(
        *expand_text("a \"$PWD\" '${NONE:-x}' \\$PWD \\n", variables, '\\'),
        "a \"/home\" 'x' $PWD \\n");
}

} // namespace berth::build
