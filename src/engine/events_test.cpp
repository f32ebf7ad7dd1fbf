// SPDX-License-Identifier: Apache-2.0
// Events: history, live streams, filters.
#include "engine/events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

namespace berth::engine {
namespace {

Event container_event(const std::string& action, const std::string& id) {
    return {
        .type = "container",
        .action = action,
        .actor_id = id,
        .attributes = {{"name", "web"}, {"image", "busybox:latest"}, {"tier", "front"}},
        .time = {}};
}

TEST(Events, FollowGivesHistoryThenLiveEventsWithoutAGap) {
    Events events;
    const Timestamp start = Timestamp::now();
    events.publish(container_event("create", "abc"));
    std::vector<std::string> seen;
    Subscription subscription =
        events.follow({.since = start, .until = {}, .filters = {}}, [&seen](const Event& event) {
            seen.push_back(event.action);
        });
    events.publish(container_event("start", "abc"));
    subscription.reset();
    events.publish(container_event("die", "abc"));
    EXPECT_EQ(seen, (std::vector<std::string>{"create", "start"}));
}

TEST(Events, EachIsAfterTheOneBeforeItWhoeverPublishesThem) {
    Events events;
    std::vector<std::int64_t> times;
    Subscription subscription =
        events.subscribe({.since = {}, .until = {}, .filters = {}}, [&times](const Event& event) {
            times.push_back(event.time.nanoseconds);
        });
    {
        std::vector<std::jthread> publishers;
        for (int i = 0; i < 8; ++i) {
            publishers.emplace_back([&events] {
                for (int n = 0; n < 2000; ++n) {
                    events.publish(container_event("die", "abc"));
                }
            });
        }
    }
    ASSERT_EQ(times.size(), 16000U);
    EXPECT_TRUE(std::ranges::adjacent_find(times, std::greater_equal{}) == times.end());
}

TEST(Events, HistoryIsBounded) {
    Events events;
    for (std::size_t i = 0; i < Events::history_limit + 10; ++i) {
        events.publish(container_event("create", std::to_string(i)));
    }
    const auto kept = events.history({.since = Timestamp{1}, .until = {}, .filters = {}});
    ASSERT_EQ(kept.size(), Events::history_limit);
    EXPECT_EQ(kept.front().actor_id, "10");
}

TEST(Events, FiltersMatchAsDockers) {
    Events events;
    events.publish(container_event("exec_create: ls", "abcdef"));
    events.publish(
        {.type = "network",
         .action = "connect",
         .actor_id = "net1",
         .attributes = {{"name", "bridge"}},
         .time = {}});
    const auto count = [&events](std::string key, std::string value) {
        EventQuery query{.since = Timestamp{1}, .until = {}, .filters = {}};
        query.filters.add(std::move(key), std::move(value));
        return events.history(query).size();
    };
    EXPECT_EQ(count("type", "container"), 1U);
    EXPECT_EQ(count("event", "exec_create"), 1U);
    EXPECT_EQ(count("container", "abc"), 1U);
    EXPECT_EQ(count("container", "web"), 1U);
    EXPECT_EQ(count("container", "other"), 0U);
    EXPECT_EQ(count("image", "busybox"), 1U);
    EXPECT_EQ(count("label", "tier=front"), 1U);
    EXPECT_EQ(count("label", "tier=back"), 0U);
    EXPECT_EQ(count("network", "bridge"), 1U);
}

} // namespace
} // namespace berth::engine
