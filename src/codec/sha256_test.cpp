// SPDX-License-Identifier: Apache-2.0
// FIPS 180-4 vectors, and streams that hash.
#include "codec/sha256.h"

#include <gtest/gtest.h>

namespace berth {

TEST(Sha256, MatchesTheStandardsVectors) {
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(
        sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(
        sha256_hex(std::string(1'000'000, 'a')),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, HashesPiecesAsTheWhole) {
    Sha256 hash;
    hash.update("a");
    hash.update("");
    hash.update("bc");
    EXPECT_EQ(hash.finish_hex(), sha256_hex("abc"));
}

TEST(HashingSource, HashesAndCountsWhatIsRead) {
    StringSource inner("hello world");
    HashingSource source(inner);
    EXPECT_EQ(*read_to_end(source, 100), "hello world");
    EXPECT_EQ(source.count(), 11U);
    EXPECT_EQ(source.finish_hex(), sha256_hex("hello world"));
}

TEST(HashingSink, HashesAndCountsWhatIsWritten) {
    StringSink inner;
    HashingSink sink(inner);
    ASSERT_TRUE(sink.write("hello ").ok());
    ASSERT_TRUE(sink.write("world").ok());
    EXPECT_EQ(inner.bytes(), "hello world");
    EXPECT_EQ(sink.count(), 11U);
    EXPECT_EQ(sink.finish_hex(), sha256_hex("hello world"));
}

} // namespace berth
