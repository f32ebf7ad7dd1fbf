// SPDX-License-Identifier: Apache-2.0
#include "base/stock.h"

#include <gtest/gtest.h>

#include <vector>

namespace berth {
namespace {

using std::chrono::milliseconds;

// A stock of numbers whose jobs the test runs.
class StockTest : public testing::Test {
  protected:
    std::vector<std::pair<milliseconds, std::function<void()>>> jobs_;
    int made_ = 0;
    bool fails_ = false;

    Stock<int>::Options options(std::size_t count) {
        return {
            .what = "number",
            .count = count,
            .make = [this]() -> Result<int> {
                if (fails_) {
                    return internal_error("none today");
                }
                return ++made_;
            },
            .later =
                [this](milliseconds delay, std::function<void()> job) {
                    jobs_.emplace_back(delay, std::move(job));
                },
            .delay = milliseconds(8),
            .between = milliseconds(2),
            .pause_after_failure = milliseconds(1000)};
    }

    // The delay of the one job that is due, which is done.
    milliseconds run() {
        EXPECT_EQ(jobs_.size(), 1U);
        auto [delay, job] = std::move(jobs_.front());
        jobs_.clear();
        job();
        return delay;
    }
};

TEST_F(StockTest, IsFilledBehindTheFirstWhoTakes) {
    Stock<int> stock(options(2));
    EXPECT_TRUE(jobs_.empty());
    EXPECT_EQ(stock.take(), std::nullopt);
    EXPECT_EQ(stock.take(), std::nullopt);
    EXPECT_EQ(run(), milliseconds(8));
    EXPECT_EQ(run(), milliseconds(2));
    EXPECT_TRUE(jobs_.empty());
    EXPECT_EQ(made_, 2);
    EXPECT_EQ(stock.take(), 1);
    EXPECT_EQ(stock.take(), 2);
    EXPECT_EQ(stock.take(), std::nullopt);
    EXPECT_EQ(run(), milliseconds(8));
    EXPECT_EQ(stock.take(), 3);
}

TEST_F(StockTest, CanBeFilledAhead) {
    Stock<int> stock(options(1));
    stock.fill(milliseconds(50));
    stock.fill(milliseconds(50));
    EXPECT_EQ(run(), milliseconds(50));
    EXPECT_TRUE(jobs_.empty());
    EXPECT_EQ(stock.take(), 1);
}

TEST_F(StockTest, PausesAfterAFailure) {
    Stock<int> stock(options(1));
    fails_ = true;
    EXPECT_EQ(stock.take(), std::nullopt);
    EXPECT_EQ(run(), milliseconds(8));
    fails_ = false;
    EXPECT_EQ(run(), milliseconds(1000));
    EXPECT_EQ(stock.take(), 1);
}

TEST_F(StockTest, OfNoneMakesNone) {
    Stock<int> stock(options(0));
    stock.fill(milliseconds(50));
    EXPECT_EQ(stock.take(), std::nullopt);
    EXPECT_TRUE(jobs_.empty());
}

} // namespace
} // namespace berth
