// SPDX-License-Identifier: Apache-2.0
// Which versions are taken, and what is said about the others.
#include "api/api_version.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(ApiVersion, SplitsThePrefixOff) {
    EXPECT_EQ(split_version("/v1.41/containers/json").prefix, "1.41");
    EXPECT_EQ(split_version("/v1.41/containers/json").path, "/containers/json");
    EXPECT_EQ(split_version("/volumes").path, "/volumes");
    EXPECT_EQ(split_version("/volumes").prefix, "");
    EXPECT_EQ(split_version("/version").path, "/version");
    EXPECT_EQ(split_version("/v/x").path, "/v/x");
    EXPECT_EQ(split_version("/v1.41").path, "");
}

TEST(ApiVersion, SpeaksTheNewestWithoutAPrefix) {
    EXPECT_EQ(*negotiate(""), maximum_version);
    EXPECT_EQ(*negotiate("1.24"), minimum_version);
    EXPECT_EQ(negotiate("1.41")->to_string(), "1.41");
}

TEST(ApiVersion, RefusesOldAndNewOnesInDockersWords) {
    EXPECT_EQ(
        negotiate("1.20").error().message(),
        "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade "
        "your client to a newer version");
    EXPECT_EQ(
        negotiate("1.99").error().message(),
        "client version 1.99 is too new. Maximum supported API version is 1.56");
    EXPECT_FALSE(negotiate("..").ok());
    EXPECT_LT((ApiVersion{1, 9}), (ApiVersion{1, 10}));
}

} // namespace berth::api
