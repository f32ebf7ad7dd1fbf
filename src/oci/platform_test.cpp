// SPDX-License-Identifier: Apache-2.0
// Platforms: aliases, text, and which image runs where.
#include "oci/platform.h"

#include <gtest/gtest.h>

namespace berth::oci {

namespace {

Platform platform(std::string_view text) {
    return Platform::parse(text).value();
}

} // namespace

TEST(Platform, NormalizesAliases) {
    EXPECT_EQ(platform("linux/x86_64").to_string(), "linux/amd64");
    EXPECT_EQ(platform("Linux/AMD64/v1").to_string(), "linux/amd64");
    EXPECT_EQ(platform("linux/amd64/v2").to_string(), "linux/amd64/v2");
    EXPECT_EQ(platform("linux/aarch64").to_string(), "linux/arm64");
    EXPECT_EQ(platform("linux/arm64/8").to_string(), "linux/arm64");
    EXPECT_EQ(platform("linux/armhf").to_string(), "linux/arm/v7");
    EXPECT_EQ(platform("linux/armel").to_string(), "linux/arm/v6");
    EXPECT_EQ(platform("linux/arm/7").to_string(), "linux/arm/v7");
    EXPECT_EQ(platform("linux/i386").to_string(), "linux/386");
}

TEST(Platform, CompletesOneWordFromTheHost) {
    EXPECT_EQ(platform("linux").architecture, Platform::host().architecture);
    EXPECT_EQ(platform("arm64").to_string(), "linux/arm64");
}

TEST(Platform, RejectsOtherText) {
    for (const char* text : {"", "linux/", "a/b/c/d", "linux/am d64", "plan9thing"}) {
        EXPECT_FALSE(Platform::parse(text).ok()) << text;
    }
}

TEST(Platform, RunsOlderVariantsOnly) {
    EXPECT_TRUE(platform("linux/arm/v6").runs_on(platform("linux/arm/v7")));
    EXPECT_FALSE(platform("linux/arm/v7").runs_on(platform("linux/arm/v6")));
    EXPECT_TRUE(platform("linux/amd64").runs_on(platform("linux/amd64/v3")));
    EXPECT_FALSE(platform("linux/amd64").runs_on(platform("linux/arm64")));
    EXPECT_FALSE(platform("windows/amd64").runs_on(platform("linux/amd64")));
}

TEST(Platform, ChoosesTheNearestVariant) {
    const std::vector<Platform> candidates{
        platform("linux/amd64"),
        platform("linux/arm/v6"),
        platform("linux/arm/v7"),
        platform("linux/arm/v8"),
        platform("linux/arm/v7")};
    EXPECT_EQ(best_match(candidates, platform("linux/arm/v7")), 2);
    EXPECT_EQ(best_match(candidates, platform("linux/arm/v6")), 1);
    EXPECT_EQ(best_match(candidates, platform("linux/s390x")), -1);
}

} // namespace berth::oci
