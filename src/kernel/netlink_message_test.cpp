// SPDX-License-Identifier: Apache-2.0
// Lengths of 16 bits: what does not fit must never be sent with its length cut (CVE-2021-43784).
#include "kernel/netlink_message.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>

namespace berth::kernel {
namespace {

constexpr std::size_t largest = UINT16_MAX - sizeof(nlattr);

TEST(NetlinkMessage, Cve2021_43784_TheLongestAttributeKeepsItsLength) {
    NetlinkBatch batch;
    batch.begin(1, 0, {}, "test");
    batch.put_bytes(7, std::vector<std::uint8_t>(largest, 1));
    const std::span<const std::byte> bytes = batch.finish();
    const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
    const std::vector<const nlattr*> attributes = attributes_of(*message, 0);
    ASSERT_EQ(attributes.size(), 1U);
    EXPECT_EQ(attributes[0]->nla_len, UINT16_MAX);
}

TEST(NetlinkMessageDeathTest, Cve2021_43784_ALongerAttributeIsNeverSentWithALengthThatWrapped) {
    NetlinkBatch batch;
    batch.begin(1, 0, {}, "test");
    EXPECT_DEATH(batch.put_bytes(7, std::vector<std::uint8_t>(largest + 1, 1)), "UINT16_MAX");
}

TEST(NetlinkMessageDeathTest, Cve2021_43784_NeitherAreManyInOne) {
    NetlinkBatch batch;
    batch.begin(1, 0, {}, "test");
    batch.begin_nested(1);
    batch.put_bytes(7, std::vector<std::uint8_t>(largest / 2, 1));
    batch.put_bytes(8, std::vector<std::uint8_t>(largest / 2, 1));
    EXPECT_DEATH(batch.end_nested(), "UINT16_MAX");
}

} // namespace
} // namespace berth::kernel
