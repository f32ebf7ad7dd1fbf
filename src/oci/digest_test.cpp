// SPDX-License-Identifier: Apache-2.0
// Digests: what is one and what is none.
#include "oci/digest.h"

#include <gtest/gtest.h>

namespace berth::oci {

TEST(Digest, OfBytesIsTheirSha256) {
    EXPECT_EQ(
        Digest::of("").to_string(),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, ParsesAndTakesApart) {
    const std::string text = "sha256:" + std::string(64, 'a');
    auto digest = Digest::parse(text);
    ASSERT_TRUE(digest.ok());
    EXPECT_EQ(digest->algorithm(), "sha256");
    EXPECT_EQ(digest->hex(), std::string(64, 'a'));
    EXPECT_EQ(digest->short_id(), "aaaaaaaaaaaa");
    EXPECT_EQ(digest->to_string(), text);
    EXPECT_TRUE(Digest::parse("sha512:" + std::string(128, '0')).ok());
}

TEST(Digest, RejectsWhatIsNoneInGoDigestsWords) {
    const auto error_of = [](const std::string& text) {
        auto digest = Digest::parse(text);
        return digest.ok() ? "" : digest.error().message();
    };
    EXPECT_EQ(error_of(""), "invalid checksum digest format");
    EXPECT_EQ(error_of("sha256:"), "invalid checksum digest format");
    EXPECT_EQ(error_of("md5:" + std::string(32, '0')), "unsupported digest algorithm");
    EXPECT_EQ(error_of("sha256:" + std::string(63, '0')), "invalid checksum digest length");
    EXPECT_EQ(error_of("sha256:" + std::string(64, 'A')), "invalid checksum digest format");
    EXPECT_EQ(
        error_of("sha256:" + std::string(60, '0') + "/../"), "invalid checksum digest format");
}

TEST(Digest, DefaultIsEmpty) {
    EXPECT_TRUE(Digest().empty());
    EXPECT_EQ(Digest().hex(), "");
    EXPECT_EQ(*json::decode_text<Digest>("\"\""), Digest());
    EXPECT_FALSE(json::decode_text<Digest>("\"sha256:x\"").ok());
}

} // namespace berth::oci
