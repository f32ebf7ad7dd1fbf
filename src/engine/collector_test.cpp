// SPDX-License-Identifier: Apache-2.0
// The collector on a real store and loop: when rounds run, what they spare, and how they end.
#include "base/file.h"
#include "engine/collector.h"
#include "store/store.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace berth::engine {

namespace {

using std::chrono::seconds;
using Report = store::CollectionReport;

class CollectorTest : public ::testing::Test {
  protected:
    void SetUp() override {
        directory_.emplace(TemporaryDirectory::create("/tmp").value());
        store_ = store::Store::open({.root = directory_->path()}).value();
        loop_ = io::EventLoopThread::start().value();
    }

    void TearDown() override { collector_.reset(); }

    void open(Collector::Options options) {
        options.finished = [this](const Result<Report>& report) {
            const std::lock_guard lock(mutex_);
            reports_.push_back(report.ok() ? *report : Report());
            changed_.notify_all();
        };
        collector_ = std::make_unique<Collector>(std::move(options));
    }

    Collector::Options options() {
        return {
            .store = store_->garbage_collector(),
            .loop = loop_->loop(),
            .delay = seconds(0),
            .interval = seconds(0),
            .unused_for = seconds(0),
            .finished = {}};
    }

    void put(std::string_view bytes) {
        auto lease = store_->leases().create();
        ASSERT_TRUE(store_->blobs().put(lease, bytes).ok());
    }

    std::size_t blobs() { return store_->blobs().list()->size(); }

    // False when there are not so many rounds within a minute.
    bool wait_for_rounds(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, seconds(60), [&] { return reports_.size() >= count; });
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<io::EventLoopThread> loop_;
    std::unique_ptr<Collector> collector_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Report> reports_;
};

} // namespace

TEST_F(CollectorTest, RunsAfterTheStartAndAfterWork) {
    put("a");
    open(options());
    collector_->request(); // too early
    collector_->start();
    ASSERT_TRUE(wait_for_rounds(1));
    EXPECT_EQ(blobs(), 0U);
    put("b");
    collector_->request();
    ASSERT_TRUE(wait_for_rounds(2));
    EXPECT_EQ(blobs(), 0U);
    collector_->stop();
    EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(CollectorTest, RunsAtItsInterval) {
    auto often = options();
    often.interval = std::chrono::milliseconds(1);
    open(std::move(often));
    collector_->start();
    EXPECT_TRUE(wait_for_rounds(3));
}

TEST_F(CollectorTest, SparesWhatIsYoungOrLeased) {
    put("young");
    auto lease = store_->leases().create();
    ASSERT_TRUE(store_->blobs().put(lease, "leased").ok());
    auto patient = options();
    patient.unused_for = std::chrono::hours(1);
    open(std::move(patient));
    collector_->start();
    ASSERT_TRUE(wait_for_rounds(1));
    EXPECT_EQ(blobs(), 2U);
    open(options());
    collector_->start();
    ASSERT_TRUE(wait_for_rounds(2));
    EXPECT_EQ(blobs(), 1U);
}

TEST_F(CollectorTest, RemovesNoMoreThanItsBoundAtATime) {
    for (int i = 0; i < 5; ++i) {
        put(std::to_string(i));
    }
    auto bounded = options();
    bounded.bound = 2;
    open(std::move(bounded));
    collector_->start();
    ASSERT_TRUE(wait_for_rounds(3));
    collector_->stop();
    EXPECT_EQ(reports_[0].blobs_removed, 2U);
    EXPECT_EQ(reports_[2].blobs_removed, 1U);
    EXPECT_EQ(blobs(), 0U);
}

TEST_F(CollectorTest, GoesOnWhenAPartFails) {
    put("a");
    open(options());
    std::uint64_t asked = 0;
    collector_->add_part("broken", [&](std::uint64_t bound) -> Result<CollectedPart> {
        asked = bound;
        return internal_error("broken");
    });
    collector_->start();
    ASSERT_TRUE(wait_for_rounds(1));
    EXPECT_EQ(asked, 500U);
    EXPECT_EQ(blobs(), 0U);
}

TEST_F(CollectorTest, StopsAtOnceAndForGood) {
    put("a");
    auto late = options();
    late.delay = std::chrono::hours(1);
    open(std::move(late));
    collector_->start();
    collector_->stop();
    collector_->request();
    collector_.reset();
    EXPECT_EQ(blobs(), 1U);
    EXPECT_TRUE(reports_.empty());
}

} // namespace berth::engine
