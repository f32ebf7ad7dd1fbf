// SPDX-License-Identifier: Apache-2.0
#include "base/boolean.h"
#include "base/strings.h"
#include "base/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace berth {
namespace {

using testing::ElementsAre;

// The parts are views: of what lives on.
template <class Text>
concept CanBeSplit = requires(Text&& text) {
    split(std::forward<Text>(text), ',');
};

static_assert(CanBeSplit<std::string_view> && CanBeSplit<const char*>);
static_assert(CanBeSplit<std::string&> && CanBeSplit<const std::string&>);
static_assert(!CanBeSplit<std::string>);

TEST(Strings, SplitKeepsEmptyPartsAndWordsDoNot) {
    EXPECT_THAT(split("a::b", ':'), ElementsAre("a", "", "b"));
    EXPECT_THAT(split("", ':'), ElementsAre(""));
    EXPECT_THAT(words("  a \t b\n"), ElementsAre("a", "b"));
    EXPECT_TRUE(words(" ").empty());
}

TEST(Strings, CutTakesTheFirstSeparatorAndCutLastTheLast) {
    EXPECT_EQ(cut("a=b=c", "=")->after, "b=c");
    EXPECT_EQ(cut_last("a=b=c", "=")->before, "a=b");
    EXPECT_FALSE(cut("abc", "=").has_value());
}

TEST(Strings, NumbersAreStrict) {
    EXPECT_EQ(parse_number<int>("-5").value(), -5);
    for (const char* bad : {"", "+5", " 5", "5 ", "5x", "0x5", "99999999999"}) {
        EXPECT_FALSE(parse_number<int>(bad).ok()) << bad;
    }
    EXPECT_FALSE(parse_number<unsigned>("-1").ok());
}

TEST(Strings, HexRoundTripsAndRejectsRubbish) {
    EXPECT_EQ(to_hex(std::string("\x00\xff", 2)), "00ff");
    EXPECT_EQ(from_hex("00FF").value(), std::string("\x00\xff", 2));
    EXPECT_FALSE(from_hex("0").ok());
    EXPECT_FALSE(from_hex("zz").ok());
}

TEST(Strings, CleanPathIsLexical) {
    EXPECT_EQ(clean_path("/a//b/../c/."), "/a/c");
    EXPECT_EQ(clean_path("/../.."), "/");
    EXPECT_EQ(clean_path("../a/.."), "..");
    EXPECT_EQ(clean_path(""), ".");
}

struct GlobCase {
    const char* pattern;
    const char* text;
    bool matches;
};

class GlobTest : public testing::TestWithParam<GlobCase> {};

TEST_P(GlobTest, MatchesAsGoDoes) {
    const GlobCase& sample = GetParam();
    EXPECT_EQ(glob_match(sample.pattern, sample.text).value(), sample.matches)
        << sample.pattern << " against " << sample.text;
}

INSTANTIATE_TEST_SUITE_P(
    Strings,
    GlobTest,
    testing::Values(
        GlobCase{"abc", "abc", true},
        GlobCase{"*", "abc", true},
        GlobCase{"*c", "abc", true},
        GlobCase{"a*", "ab/c", false},
        GlobCase{"a*/b", "a/c/b", false},
        GlobCase{"a*b*c*d*e*/f", "axbxcxdxe/f", true},
        GlobCase{"a?c", "a/c", false},
        GlobCase{"ab[c]", "abc", true},
        GlobCase{"ab[b-d]", "abc", true},
        GlobCase{"ab[^e-g]", "abc", true},
        GlobCase{"ab[^b-d]", "abc", false},
        GlobCase{"a\\*b", "a*b", true},
        GlobCase{"*", "", true},
        GlobCase{"", "a", false},
        GlobCase{"a*", "a", true}));

TEST(Strings, GlobRejectsBrokenPatterns) {
    for (const char* bad : {"[]a]", "[", "[^", "a[", "a[b", "\\"}) {
        EXPECT_FALSE(glob_match(bad, "zzz").ok()) << bad;
    }
}

TEST(Utf8, StandsForWhatIsNone) {
    for (const char* whole : {"", "a", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80 x"}) {
        EXPECT_EQ(to_utf8(whole), whole);
    }
    EXPECT_EQ(to_utf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
    EXPECT_EQ(to_utf8("caf\xe9 x"), "caf\xef\xbf\xbd x");
    EXPECT_EQ(to_utf8("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd"); // cut off
    // Overlong, a surrogate, above the last character: for each byte one.
    EXPECT_EQ(to_utf8("\xc0\xaf").size(), 6U);
    EXPECT_EQ(to_utf8("\xed\xa0\x80").size(), 9U);
    EXPECT_EQ(to_utf8("\xf4\x90\x80\x80").size(), 12U);
}

TEST(Boolean, IsWhatGoTakes) {
    EXPECT_EQ(parse_boolean("T"), true);
    EXPECT_EQ(parse_boolean("True"), true);
    EXPECT_EQ(parse_boolean("0"), false);
    EXPECT_EQ(parse_boolean("yes"), std::nullopt);
    EXPECT_EQ(parse_boolean(""), std::nullopt);
    EXPECT_EQ(parse_boolean("tRUE"), std::nullopt);
}

} // namespace
} // namespace berth
