// SPDX-License-Identifier: Apache-2.0
// Credentials in headers, as the different clients write them.
#include "api/registry_auth.h"
#include "codec/base64.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(RegistryAuth, ReadsUserAndPassword) {
    const auto credentials = parse_registry_auth(base64_encode(
        R"({"username":"ann","password":"p?~>","serveraddress":"localhost:5000"})",
        Base64Alphabet::UrlSafe));
    EXPECT_EQ(credentials.username, "ann");
    EXPECT_EQ(credentials.password, "p?~>");
    EXPECT_EQ(credentials.server_address, "localhost:5000");
}

TEST(RegistryAuth, ReadsTheAuthMember) {
    const auto credentials = parse_registry_auth(
        base64_encode(json::serialize(json::Object{{"auth", base64_encode("ann:a:b")}})));
    EXPECT_EQ(credentials.username, "ann");
    EXPECT_EQ(credentials.password, "a:b");
}

TEST(RegistryAuth, TakesABrokenHeaderForNone) {
    EXPECT_EQ(parse_registry_auth("!!!").username, "");
    EXPECT_EQ(parse_registry_auth("").username, "");
    EXPECT_TRUE(parse_registry_config("e30").empty());
}

TEST(RegistryAuth, ReadsOneEntryForEachRegistry) {
    const auto all = parse_registry_config(base64_encode(
        R"({"https://index.docker.io/v1/":{"username":"a"},"r:5000":{"identitytoken":"t"}})"));
    EXPECT_EQ(all.at("https://index.docker.io/v1/").username, "a");
    EXPECT_EQ(all.at("r:5000").identity_token, "t");
}

} // namespace berth::api
