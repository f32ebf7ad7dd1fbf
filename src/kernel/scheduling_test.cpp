// SPDX-License-Identifier: Apache-2.0
// Lists of CPUs and nodes as files and configurations have them; names of network devices.
#include "kernel/network_device.h"
#include "kernel/scheduling.h"

#include <gtest/gtest.h>

namespace berth::kernel {

namespace {

TEST(BitList, RangesAndNumbersBecomeBits) {
    EXPECT_EQ(*parse_bit_list("0-3,7"), (BitMask{0x8f}));
    EXPECT_EQ(*parse_bit_list(" 1 , 64 - 65 "), (BitMask{2, 3}));
    EXPECT_TRUE(parse_bit_list("")->empty());
}

TEST(BitList, OtherTextsAreRefused) {
    for (const char* text : {"x", "1-", "-1", "3-1", "0-8192", "99999999999999999999", "1;2"}) {
        EXPECT_FALSE(parse_bit_list(text).ok()) << text;
    }
}

TEST(NetworkDeviceName, IsWhatTheKernelTakes) {
    for (const char* name : {"eth0", "a", "0123456789abcde", "eth0.1", "eth%d"}) {
        EXPECT_TRUE(is_network_device_name(name)) << name;
    }
    for (const char* name : {"", ".", "..", "a/b", "a:1", "a b", "a\n", "0123456789abcdef"}) {
        EXPECT_FALSE(is_network_device_name(name)) << name;
    }
}

} // namespace

} // namespace berth::kernel
