// SPDX-License-Identifier: Apache-2.0
// Detach keys: notation and recognition across reads.
#include "io/detach_keys.h"

#include <gtest/gtest.h>

namespace berth::io {
namespace {

TEST(DetachKeys, ReadsDockersNotation) {
    EXPECT_EQ(parse_detach_keys("").value(), "\x10\x11");
    EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q").value(), "\x10\x11");
    EXPECT_EQ(parse_detach_keys("a,ctrl-[,ctrl-_").value(), "a\x1b\x1f");
    EXPECT_EQ(parse_detach_keys("ctrl-@").value(), std::string(1, '\0'));
    EXPECT_EQ(parse_detach_keys("DEL").value(), "\x7f");
}

TEST(DetachKeys, RejectsWhatIsNoKeyInDockersWords) {
    EXPECT_EQ(
        parse_detach_keys("ctrl-P1").error().message(), "Invalid detach keys (ctrl-P1) provided");
    EXPECT_FALSE(parse_detach_keys("a,,b").ok());
    std::string long_list = "a";
    for (std::size_t i = 0; i < detach_keys_limit; ++i) {
        long_list += ",a";
    }
    EXPECT_FALSE(parse_detach_keys(long_list).ok());
}

TEST(DetachKeys, FindsTheSequenceAcrossReads) {
    DetachKeyFilter filter("\x10\x11");
    EXPECT_EQ(filter.feed("ls\x10").bytes, "ls");
    const auto result = filter.feed("\x11rest");
    EXPECT_TRUE(result.detached);
    EXPECT_EQ(result.bytes, "");
}

TEST(DetachKeys, PassesOnWhatOnlyLookedLikeTheBeginning) {
    DetachKeyFilter filter("\x10\x11");
    EXPECT_EQ(filter.feed("\x10").bytes, "");
    EXPECT_EQ(filter.feed("x").bytes, "\x10x");
    EXPECT_EQ(filter.feed("\x10\x10").bytes, "\x10");
    EXPECT_TRUE(filter.feed("\x11").detached);
}

} // namespace
} // namespace berth::io
