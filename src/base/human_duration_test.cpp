// SPDX-License-Identifier: Apache-2.0
// Each word at its limits.
#include "base/human_duration.h"

#include <gtest/gtest.h>

namespace berth {

TEST(HumanDuration, SpeaksLikeDocker) {
    EXPECT_EQ(human_duration(0), "Less than a second");
    EXPECT_EQ(human_duration(1), "1 second");
    EXPECT_EQ(human_duration(59), "59 seconds");
    EXPECT_EQ(human_duration(60), "About a minute");
    EXPECT_EQ(human_duration(180), "3 minutes");
    EXPECT_EQ(human_duration(3600), "About an hour");
    EXPECT_EQ(human_duration(90L * 60 - 1), "About an hour");
    EXPECT_EQ(human_duration(90L * 60), "2 hours");
    EXPECT_EQ(human_duration(86400L * 3), "3 days");
    EXPECT_EQ(human_duration(86400L * 21), "3 weeks");
    EXPECT_EQ(human_duration(86400L * 90), "3 months");
    EXPECT_EQ(human_duration(86400L * 365 * 3), "3 years");
}

} // namespace berth
