// SPDX-License-Identifier: Apache-2.0
#include "registry/address.h"
#include "registry/api_error.h"

#include <gtest/gtest.h>

namespace berth::registry {

TEST(Address, TrustsLoopbackAsDockerDoes) {
    EXPECT_TRUE(is_insecure("localhost:5000", {}));
    EXPECT_TRUE(is_insecure("127.0.0.1", {}));
    EXPECT_TRUE(is_insecure("127.9.9.9:5000", {}));
    EXPECT_TRUE(is_insecure("[::1]:5000", {}));
    EXPECT_FALSE(is_insecure("10.0.0.1:5000", {}));
    EXPECT_FALSE(is_insecure("docker.io", {}));
}

TEST(Address, TrustsWhatIsConfigured) {
    std::vector<std::string> insecure{"registry.example:5000", "10.1.0.0/16", "fd00::/8"};
    EXPECT_TRUE(is_insecure("registry.example:5000", insecure));
    EXPECT_FALSE(is_insecure("registry.example:5001", insecure));
    EXPECT_TRUE(is_insecure("10.1.2.3:5000", insecure));
    EXPECT_FALSE(is_insecure("10.2.2.3:5000", insecure));
    EXPECT_TRUE(is_insecure("[fd12::1]:5000", insecure));
}

TEST(Address, TriesPlainHttpLastAndOnlyWhereItMay) {
    auto secure = api_bases("docker.io", {});
    ASSERT_EQ(secure.size(), 1U);
    EXPECT_EQ(secure[0].url, "https://registry-1.docker.io");
    EXPECT_EQ(secure[0].verify, VerifyTls::Yes);
    auto insecure = api_bases("localhost:5000", {});
    ASSERT_EQ(insecure.size(), 2U);
    EXPECT_EQ(insecure[0].url, "https://localhost:5000");
    EXPECT_EQ(insecure[1].url, "http://localhost:5000");
}

TEST(ApiError, HasTheWordsOfDockersErrcode) {
    auto unknown = parse_api_error(
        404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
    EXPECT_EQ(unknown.to_string(), "manifest unknown: manifest unknown");
    EXPECT_EQ(unknown.to_error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(parse_api_error(401, "").to_string(), "unauthorized: authentication required");
    EXPECT_EQ(
        parse_api_error(403, "<html>").to_string(),
        "denied: requested access to the resource is denied");
    EXPECT_EQ(
        parse_api_error(401, R"({"details":"incorrect username or password"})").to_string(),
        "unauthorized: incorrect username or password");
    EXPECT_EQ(
        parse_api_error(500, "x").to_string(),
        "received unexpected HTTP status: 500 Internal Server Error");
}

} // namespace berth::registry
