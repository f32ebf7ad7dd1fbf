// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(Time, PrintsAsGoDoes) {
    EXPECT_EQ(format_rfc3339({}), "0001-01-01T00:00:00Z");
    EXPECT_EQ(format_rfc3339({1'700'000'000'120'000'000}), "2023-11-14T22:13:20.12Z");
    EXPECT_EQ(format_rfc3339({1'700'000'000'000'000'000}), "2023-11-14T22:13:20Z");
    EXPECT_EQ(format_rfc3339_fixed({1'700'000'000'120'000'000}), "2023-11-14T22:13:20.120000000Z");
    EXPECT_EQ(format_rfc3339({-1}), "1969-12-31T23:59:59.999999999Z");
}

TEST(Time, ParsesWhatItPrintsAndOffsets) {
    for (std::int64_t sample :
         {std::int64_t{1}, std::int64_t{1'700'000'000'123'456'789}, std::int64_t{-5}}) {
        EXPECT_EQ(parse_rfc3339(format_rfc3339({sample})).value().nanoseconds, sample);
    }
    EXPECT_EQ(
        parse_rfc3339("2023-11-15T00:13:20+02:00").value(), Timestamp::from_seconds(1'700'000'000));
    EXPECT_TRUE(parse_rfc3339("0001-01-01T00:00:00Z").value().is_zero());
}

TEST(Time, RejectsWhatIsNotATime) {
    for (const char* bad :
         {"",
          "2023",
          "2023-02-30T00:00:00Z",
          "2023-11-14 22:13:20Z",
          "2023-11-14T22:13:20",
          "2023-11-14T25:13:20Z",
          "2023-11-14T22:13:20.Z",
          "-023-11-14T22:13:20Z"}) {
        EXPECT_FALSE(parse_rfc3339(bad).ok()) << bad;
    }
}

TEST(Time, ParsesGoDurations) {
    using std::chrono::milliseconds;
    EXPECT_EQ(parse_duration("1h30m").value(), milliseconds(90 * 60 * 1000));
    EXPECT_EQ(parse_duration("100ms").value(), milliseconds(100));
    EXPECT_EQ(parse_duration("-1.5s").value(), milliseconds(-1500));
    EXPECT_EQ(parse_duration("0").value(), milliseconds(0));
    for (const char* bad : {"", "5", "s", "1x", "1s2", "--1s"}) {
        EXPECT_FALSE(parse_duration(bad).ok()) << bad;
    }
}

} // namespace
} // namespace berth
