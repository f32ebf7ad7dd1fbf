// SPDX-License-Identifier: Apache-2.0
// Samples carry the one before them, from which clients compute percentages.
#include "api/stats_stream.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(Stats, WritesTheSampleBefore) {
    engine::ContainerStats before;
    before.cpu_total = 5;
    before.read = Timestamp::from_seconds(1);
    engine::ContainerStats now = before;
    now.running = true;
    now.cpu_total = 9;
    now.read = Timestamp::from_seconds(2);
    now.memory_usage = 4096;
    now.networks["eth0"].rx_bytes = 7;
    const json::Value value = encode_stats(now, &before);
    EXPECT_EQ(value.at("cpu_stats").at("cpu_usage").at("total_usage").as_uint64(), 9U);
    EXPECT_EQ(value.at("precpu_stats").at("cpu_usage").at("total_usage").as_uint64(), 5U);
    EXPECT_EQ(value.at("preread").as_string(), "1970-01-01T00:00:01Z");
    EXPECT_EQ(value.at("memory_stats").at("usage").as_uint64(), 4096U);
    EXPECT_EQ(value.at("networks").at("eth0").at("rx_bytes").as_uint64(), 7U);
}

TEST(Stats, LeavesOutWhatAStoppedContainerHasNot) {
    const json::Value value = encode_stats({}, nullptr);
    EXPECT_TRUE(value.at("memory_stats").as_object().empty());
    EXPECT_TRUE(value.at("pids_stats").as_object().empty());
    EXPECT_EQ(value.at("read").as_string(), "0001-01-01T00:00:00Z");
    EXPECT_EQ(value.as_object().find("networks"), value.as_object().end());
}

} // namespace berth::api
