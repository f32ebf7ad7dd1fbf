// SPDX-License-Identifier: Apache-2.0
#include "base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace berth {
namespace {

TEST(WorkerPool, RunsEveryJob) {
    WorkerPool pool({.threads = 4});
    std::atomic<int> done = 0;
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(pool.submit([&] { ++done; }).ok());
    }
    pool.wait_idle();
    EXPECT_EQ(done, 500);
}

TEST(WorkerPool, RefusesWhatExceedsTheQueue) {
    std::latch started(1);
    std::latch release(1);
    WorkerPool pool({.threads = 1, .queue_limit = 1});
    ASSERT_TRUE(pool.submit([&] {
                        started.count_down();
                        release.wait();
                    })
                    .ok());
    started.wait();
    ASSERT_TRUE(pool.submit([] {}).ok());
    Result<void> refused = pool.submit([] {});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::ResourceExhausted);
    release.count_down();
}

TEST(WorkerPool, AJobThatMustNotWaitIsTakenOnlyByAFreeThread) {
    std::latch started(1);
    std::latch release(1);
    WorkerPool pool({.threads = 2});
    const auto wait = [&] {
        started.count_down();
        release.wait();
    };
    ASSERT_TRUE(pool.submit_at_once(wait));
    started.wait();
    std::latch ran(1);
    ASSERT_TRUE(pool.submit_at_once([&] {
        ran.count_down();
        release.wait();
    }));
    ran.wait(); // although the first goes on
    EXPECT_FALSE(pool.submit_at_once([] {}));
    release.count_down();
    pool.wait_idle();
    EXPECT_TRUE(pool.submit_at_once([] {}));
}

TEST(WorkerPool, DestructorRunsWhatIsQueued) {
    std::atomic<int> done = 0;
    {
        WorkerPool pool({.threads = 1});
        for (int i = 0; i < 10; ++i) {
            ASSERT_TRUE(pool.submit([&] { ++done; }).ok());
        }
    }
    EXPECT_EQ(done, 10);
}

} // namespace
} // namespace berth
