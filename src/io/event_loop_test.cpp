// SPDX-License-Identifier: Apache-2.0
// Descriptors, timers and posted jobs; removal while events are under way.
#include "io/event_loop.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::io {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""ns;

class EventLoopTest : public testing::Test {
  protected:
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();

    static UniqueFd signaled_event() { return UniqueFd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }
};

TEST_F(EventLoopTest, CallsBackWhenADescriptorBecomesReadable) {
    const Pipe pipe = Pipe::create().value();
    std::string seen;
    ASSERT_TRUE(loop_
                    ->add(
                        pipe.read_end,
                        EPOLLIN,
                        [&](std::uint32_t events) {
                            EXPECT_TRUE(events & EPOLLIN);
                            char byte = 0;
                            ASSERT_EQ(read(pipe.read_end.get(), &byte, 1), 1);
                            seen += byte;
                            loop_->stop();
                        })
                    .ok());
    ASSERT_EQ(write(pipe.write_end.get(), "x", 1), 1);
    loop_->run();
    EXPECT_EQ(seen, "x");
    loop_->remove(pipe.read_end);
}

TEST_F(EventLoopTest, ModifiedInterestTakesEffect) {
    const Pipe pipe = Pipe::create().value();
    int calls = 0;
    ASSERT_TRUE(loop_->add(pipe.write_end, 0, [&](std::uint32_t) { ++calls; }).ok());
    loop_->run_once(0ns);
    EXPECT_EQ(calls, 0);
    ASSERT_TRUE(loop_->modify(pipe.write_end, EPOLLOUT).ok());
    loop_->run_once(0ns);
    EXPECT_EQ(calls, 1);
    loop_->remove(pipe.write_end);
}

TEST_F(EventLoopTest, ACallbackMayRemoveItselfAndTheOthersOfTheSameRound) {
    const UniqueFd first = signaled_event();
    const UniqueFd second = signaled_event();
    int calls = 0;
    const auto remove_both = [&](std::uint32_t) {
        ++calls;
        loop_->remove(first);
        loop_->remove(second);
    };
    ASSERT_TRUE(loop_->add(first, EPOLLIN, remove_both).ok());
    ASSERT_TRUE(loop_->add(second, EPOLLIN, remove_both).ok());
    loop_->run_once(0ns);
    loop_->run_once(0ns);
    EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, AnEventOfARemovedDescriptorDoesNotReachItsSuccessorOfTheSameNumber) {
    UniqueFd first = signaled_event();
    UniqueFd second = signaled_event();
    int successor_calls = 0;
    // Whichever runs first replaces the other by an event that is not signaled.
    const auto replace = [&](UniqueFd& victim) {
        const int number = victim.get();
        loop_->remove(victim);
        victim.reset();
        victim = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        ASSERT_EQ(victim.get(), number);
        ASSERT_TRUE(loop_->add(victim, EPOLLIN, [&](std::uint32_t) { ++successor_calls; }).ok());
    };
    ASSERT_TRUE(loop_->add(first, EPOLLIN, [&](std::uint32_t) { replace(second); }).ok());
    ASSERT_TRUE(loop_->add(second, EPOLLIN, [&](std::uint32_t) { replace(first); }).ok());
    loop_->run_once(0ns);
    EXPECT_EQ(successor_calls, 0);
    loop_->remove(first);
    loop_->remove(second);
}

TEST_F(EventLoopTest, TimersFireInOrderOfTheirDeadlines) {
    std::string order;
    loop_->add_timer(3ms, [&] {
        order += 'c';
        loop_->stop();
    });
    loop_->add_timer(1ms, [&] { order += 'a'; });
    loop_->add_timer(2ms, [&] { order += 'b'; });
    loop_->run();
    EXPECT_EQ(order, "abc");
}

TEST_F(EventLoopTest, ATimerDoesNotFireEarly) {
    const auto begin = EventLoop::Clock::now();
    loop_->add_timer(5ms, [&] { loop_->stop(); });
    loop_->run();
    EXPECT_GE(EventLoop::Clock::now() - begin, 5ms);
}

TEST_F(EventLoopTest, ACancelledTimerDoesNotFireEvenIfItWasDue) {
    int calls = 0;
    EventLoop::TimerId second{};
    loop_->add_timer(0ns, [&] { loop_->cancel_timer(second); });
    second = loop_->add_timer(0ns, [&] { ++calls; });
    loop_->run_once(0ns);
    loop_->run_once(0ns);
    EXPECT_EQ(calls, 0);
}

TEST_F(EventLoopTest, ATimerThatAddsATimerDoesNotStarveTheRound) {
    int calls = 0;
    std::function<void()> again = [&] {
        ++calls;
        loop_->add_timer(0ns, [&] { again(); });
    };
    again();
    loop_->run_once(0ns);
    EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, PostedJobsRunInOrderInTheLoopsThread) {
    const auto thread = EventLoopThread::start().value();
    std::promise<std::string> done;
    std::string order;
    for (const char name : {'a', 'b', 'c'}) {
        thread->loop().post(
            [&order, &thread, name] { order += thread->loop().in_loop_thread() ? name : '!'; });
    }
    thread->loop().post([&] { done.set_value(order); });
    EXPECT_EQ(done.get_future().get(), "abc");
    EXPECT_FALSE(thread->loop().in_loop_thread());
}

TEST_F(EventLoopTest, StopFromAnotherThreadEndsRun) {
    std::thread other([&] { loop_->stop(); });
    loop_->run();
    other.join();
}

TEST_F(EventLoopTest, JobsThatWereNotRunAreDestroyedWithTheLoop) {
    auto owned = std::make_shared<int>(1);
    loop_->post([owned] {});
    loop_.reset();
    EXPECT_EQ(owned.use_count(), 1);
}

} // namespace
} // namespace berth::io
