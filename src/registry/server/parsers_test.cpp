// SPDX-License-Identifier: Apache-2.0
// Headers and options as strangers and people write them.
#include "base/file.h"
#include "registry/server/byte_range.h"
#include "registry/server/command_line.h"
#include "registry/server/etag.h"
#include "registry/server/negotiation.h"
#include "registry/server/options.h"

#include <gtest/gtest.h>

namespace berth::registry {

namespace {

// "first-last", "all", or "none" where nothing can be sent.
std::string range_of(std::string_view header, std::uint64_t size) {
    auto range = parse_range(header, size);
    if (!range.ok()) {
        return "none";
    }
    return *range ? std::to_string((*range)->first) + "-" + std::to_string((*range)->last) : "all";
}

bool takes(std::string_view accept, std::string_view type) {
    http::Headers headers;
    headers.add("Accept", std::string(accept));
    return AcceptedTypes::of(headers).takes(type);
}

} // namespace

TEST(ByteRange, IsReadAsRfc9110Says) {
    EXPECT_EQ(range_of("bytes=2-4", 10), "2-4");
    EXPECT_EQ(range_of("bytes=7-", 10), "7-9");
    EXPECT_EQ(range_of("bytes=-3", 10), "7-9");
    EXPECT_EQ(range_of("bytes=-30", 10), "0-9");
    EXPECT_EQ(range_of("bytes=5-100", 10), "5-9");
    EXPECT_EQ(range_of("bytes=10-", 10), "none");
    EXPECT_EQ(range_of("bytes=-0", 10), "none");
    EXPECT_EQ(range_of("bytes=1-99999999999999999999999", 10), "1-9");
    EXPECT_EQ(range_of("bytes=0-", 0), "all");
    for (const char* whole : {"", "bytes=1-2,4-5", "lines=1-2", "bytes"}) {
        EXPECT_EQ(range_of(whole, 10), "all") << whole;
    }
    for (const char* malformed : {"bytes=", "bytes=-", "bytes=4", "bytes=4-2", "bytes=a-b"}) {
        EXPECT_EQ(range_of(malformed, 10), "none") << malformed;
    }
}

TEST(ByteRange, OfAPieceIsWholeOrWrong) {
    for (const char* good : {"5-9", "bytes 5-9/100", "bytes 5-9/*", " 5-9 "}) {
        auto range = parse_content_range(good);
        ASSERT_TRUE(range.ok()) << good;
        EXPECT_EQ(range->first, 5U);
        EXPECT_EQ(range->length(), 5U);
    }
    for (const char* bad : {"", "5", "9-5", "-5", "5-", "a-b", "0-18446744073709551615", "1-2-3"}) {
        EXPECT_FALSE(parse_content_range(bad).ok()) << bad;
    }
}

TEST(AcceptedTypes, KnowWildcardsAndRefusals) {
    EXPECT_TRUE(AcceptedTypes::of(http::Headers()).takes("a/b"));
    EXPECT_TRUE(takes("a/b", "a/b"));
    EXPECT_TRUE(takes("x/y, A/B; q=0.3", "a/b"));
    EXPECT_TRUE(takes("x/y, */*", "a/b"));
    EXPECT_FALSE(takes("x/y", "a/b"));
    EXPECT_FALSE(takes("a/b;q=0", "a/b"));
    EXPECT_FALSE(takes("a/b;q=0.000", "a/b"));
    EXPECT_FALSE(takes("*/*;q=0", "a/b"));
    EXPECT_FALSE(takes(",,;", "a/b"));
}

TEST(Etag, MatchesListsAndBareDigests) {
    oci::Digest digest = oci::Digest::of("x");
    const std::string& text = digest.to_string();
    EXPECT_TRUE(etag_matches("\"" + text + "\"", digest));
    EXPECT_TRUE(etag_matches("\"a\", W/\"" + text + "\"", digest));
    EXPECT_TRUE(etag_matches(text, digest));
    EXPECT_TRUE(etag_matches("*", digest));
    EXPECT_FALSE(etag_matches("\"a\"", digest));
    EXPECT_FALSE(etag_matches("", digest));
}

TEST(RegistryOptions, ReadUnits) {
    EXPECT_EQ(ByteCount::parse("12")->value, 12U);
    EXPECT_EQ(ByteCount::parse("2k")->value, 2048U);
    EXPECT_EQ(ByteCount::parse("3GB")->value, 3ULL << 30);
    for (const char* bad : {"", "k", "b", "1x", "-1", "99999999999t", "1 k"}) {
        EXPECT_FALSE(ByteCount::parse(bad).ok()) << bad;
    }
    EXPECT_EQ(Duration::parse("1h30m")->value.count(), 5400);
    EXPECT_EQ(Duration::parse("100ms")->value.count(), 1);
    EXPECT_FALSE(Duration::parse("-1s").ok());
}

TEST(RegistryOptions, SurviveTheWayThroughTheFile) {
    auto folder = std::move(TemporaryDirectory::create("/tmp")).value();
    Options options;
    options.root = "/r";
    options.quota.total.value = 5;
    options.collection.grace.value = std::chrono::minutes(3);
    ASSERT_TRUE(replace_file(folder.path() + "/file", json::encode_text(options)).ok());
    Options back;
    auto read = back.read(folder.path() + "/file");
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(json::encode_text(back), json::encode_text(options));
}

TEST(RegistryArguments, CountMoreThanTheFile) {
    auto folder = std::move(TemporaryDirectory::create("/tmp")).value();
    std::string file = folder.path() + "/file";
    ASSERT_TRUE(replace_file(file, R"({"root":"/from/file","read-only":true})").ok());
    auto arguments = parse_registry_arguments({"serve", "--root=/r", "--config", file});
    ASSERT_TRUE(arguments.ok()) << arguments.error().message();
    EXPECT_EQ(arguments->options.root, "/r");
    EXPECT_TRUE(arguments->options.read_only);
    EXPECT_EQ(arguments->options.listen, std::vector<std::string>{"127.0.0.1:5000"});
}

} // namespace berth::registry
