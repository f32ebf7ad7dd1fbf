// SPDX-License-Identifier: Apache-2.0
// RFC 4648's vectors, and what clients send.
#include "codec/base64.h"

#include <gtest/gtest.h>

namespace berth {

TEST(Base64, EncodesTheVectorsOfTheRfc) {
    EXPECT_EQ(base64_encode(""), "");
    EXPECT_EQ(base64_encode("f"), "Zg==");
    EXPECT_EQ(base64_encode("fo"), "Zm8=");
    EXPECT_EQ(base64_encode("foo"), "Zm9v");
    EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64_encode("\xfb\xff"), "+/8=");
    EXPECT_EQ(base64_encode("\xfb\xff", Base64Alphabet::UrlSafe), "-_8=");
}

TEST(Base64, DecodesEveryVariant) {
    EXPECT_EQ(*base64_decode("Zm9vYg=="), "foob");
    EXPECT_EQ(*base64_decode("Zm9vYg"), "foob");
    EXPECT_EQ(*base64_decode("Zm9v\r\nYmFy\n"), "foobar");
    EXPECT_EQ(*base64_decode("-_8="), "\xfb\xff");
    EXPECT_EQ(*base64_decode("+/8"), "\xfb\xff");
    EXPECT_EQ(*base64_decode(""), "");
}

TEST(Base64, RejectsWhatIsNoBase64) {
    for (const char* text : {"Z", "Zm9v!", "Zg==Zg==", "Zg=", "Zg===", "====", "Zm 9v"}) {
        auto decoded = base64_decode(text);
        ASSERT_FALSE(decoded.ok()) << text;
        EXPECT_EQ(decoded.error().kind(), ErrorKind::InvalidArgument);
    }
}

TEST(Base64, RoundTripsAllBytes) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        bytes += static_cast<char>(i);
        EXPECT_EQ(*base64_decode(base64_encode(bytes)), bytes);
    }
}

} // namespace berth
