// SPDX-License-Identifier: Apache-2.0
#include "base/moment.h"

#include <gtest/gtest.h>

#include <stdlib.h>
#include <time.h>

namespace berth {
namespace {

class Moment : public testing::Test {
  protected:
    void TearDown() override {
        ::unsetenv("TZ");
        ::tzset();
    }

    static void be_in(const char* zone) {
        ::setenv("TZ", zone, 1);
        ::tzset();
    }
};

TEST_F(Moment, TakesDatesOfTheMachinesTimeZone) {
    be_in("XYZ-2");                                  // two hours east of Greenwich
    constexpr std::int64_t new_year = 1'767'225'600; // 2026-01-01T00:00:00Z
    constexpr std::int64_t hour = 3600;
    for (const auto& [text, seconds] : {
             std::pair{"2026-01-01", new_year - 2 * hour},
             std::pair{"2026-01-01T00:00:00", new_year - 2 * hour},
             std::pair{"2026-01-01T03", new_year + hour},
             std::pair{"2026-01-01T03:30", new_year + hour + 1800},
             std::pair{"2026-01-01Z", new_year},
             std::pair{"2026-01-01+01:00", new_year - hour},
             std::pair{"2026-01-01T07:00Z", new_year + 7 * hour},
             std::pair{"2026-01-01T07Z", new_year + 7 * hour},
             std::pair{"2026-01-01T07:00-01:00", new_year + 8 * hour},
             std::pair{"2026-01-01T00:00:00Z", new_year},
         }) {
        EXPECT_EQ(parse_moment(text).value(), Timestamp::from_seconds(seconds)) << text;
    }
    EXPECT_EQ(
        parse_moment("2026-01-01T00:00:00.25").value().nanoseconds,
        (new_year - 2 * hour) * 1'000'000'000 + 250'000'000);
}

TEST_F(Moment, TakesSecondsAndAges) {
    EXPECT_EQ(parse_moment("0").value(), Timestamp{});
    EXPECT_EQ(parse_moment("2030").value(), Timestamp::from_seconds(2030));
    EXPECT_EQ(parse_moment("5.5").value().nanoseconds, 5'500'000'000);
    const std::int64_t ago = Timestamp::now().seconds() - parse_moment("1h30m").value().seconds();
    EXPECT_NEAR(static_cast<double>(ago), 5400, 2);
}

TEST_F(Moment, RefusesWhatIsNone) {
    for (const char* bad :
         {"",
          "now",
          "2d",
          "-5",
          "5.-5",
          "2030-13-01",
          "2030-01-01T",
          "2030-01-01 00:00:00",
          "2030-01-0100:00",
          "2030-01-01T00:0",
          "2030-01-01T00:00:00:00"}) {
        const auto moment = parse_moment(bad);
        ASSERT_FALSE(moment.ok()) << bad;
        EXPECT_EQ(
            moment.error().message(),
            std::string("failed to parse value as time or duration: \"") + bad + "\"");
    }
}

} // namespace
} // namespace berth
