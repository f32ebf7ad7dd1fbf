// SPDX-License-Identifier: Apache-2.0
#include "registry/challenge.h"

#include <gtest/gtest.h>

namespace berth::registry {

TEST(Challenge, ReadsABearerChallenge) {
    auto challenges = parse_challenges(
        R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",)"
        R"(scope="repository:samalba/my-app:pull,push")");
    ASSERT_EQ(challenges.size(), 1U);
    EXPECT_EQ(challenges[0].scheme, "bearer");
    EXPECT_EQ(challenges[0].get("realm"), "https://auth.docker.io/token");
    EXPECT_EQ(challenges[0].get("service"), "registry.docker.io");
    EXPECT_EQ(challenges[0].get("scope"), "repository:samalba/my-app:pull,push");
    EXPECT_EQ(challenges[0].get("error"), "");
}

TEST(Challenge, ReadsSeveralInOneHeader) {
    auto challenges =
        parse_challenges(R"(Negotiate, Basic realm="a \"b\"", charset=UTF-8, Bearer realm=x)");
    ASSERT_EQ(challenges.size(), 3U);
    EXPECT_EQ(challenges[0].scheme, "negotiate");
    EXPECT_EQ(challenges[1].get("realm"), "a \"b\"");
    EXPECT_EQ(challenges[1].get("charset"), "UTF-8");
    EXPECT_EQ(challenges[2].get("realm"), "x");
}

TEST(Challenge, LeavesOutWhatIsMalformed) {
    EXPECT_TRUE(parse_challenges("").empty());
    EXPECT_TRUE(parse_challenges("=x").empty());
    EXPECT_TRUE(parse_challenges("realm=\"x\"").empty());
    EXPECT_EQ(parse_challenges(R"(Basic realm="never ends)").size(), 1U);
}

} // namespace berth::registry
