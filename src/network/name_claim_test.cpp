// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"
#include "network/name_claim.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

namespace berth::network {
namespace {

TEST(NameClaim, WaitsForWhatAKilledEngineLeftButNotForLong) {
    const std::string name = random_hex(8);
    UniqueFd held = claim_name("bridge", name).value();
    const auto again = [&name] { return claim_name("bridge", name); };
    const Result<UniqueFd> refused = again();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::Conflict);

    auto waiting = std::async(std::launch::async, again);
    EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    held.reset();
    EXPECT_TRUE(waiting.get().ok());
}

TEST(NameClaim, OthersAreNobodysBusiness) {
    const std::string name = random_hex(8);
    const UniqueFd bridge = claim_name("bridge", name).value();
    EXPECT_TRUE(claim_name("table", name).ok());
}

} // namespace
} // namespace berth::network
