// SPDX-License-Identifier: Apache-2.0
// Clients that say what they want, and such that do not.
#include "api/content_type.h"

#include <gtest/gtest.h>

#include <array>

namespace berth::api {

namespace {

std::string_view chosen(std::string_view accept) {
    constexpr std::array<std::string_view, 2> offers{"application/jsonl", "application/json-seq"};
    return negotiate_content_type(accept, offers, "application/json");
}

} // namespace

TEST(ContentType, IsTheFallbackForWhoNamesNone) {
    EXPECT_EQ(chosen(""), "application/json");
    EXPECT_EQ(chosen("text/html, image/*"), "application/json");
    EXPECT_EQ(chosen("application/jsonl;q=0"), "application/json");
    EXPECT_EQ(chosen("application/jsonl;q=much"), "application/json");
}

TEST(ContentType, IsWhatTheClientLikesBest) {
    EXPECT_EQ(chosen("application/json-seq"), "application/json-seq");
    EXPECT_EQ(
        chosen("application/jsonl;q=0.5, Application/JSON-seq ; q=0.7"), "application/json-seq");
    EXPECT_EQ(chosen("*/*"), "application/jsonl");
    EXPECT_EQ(chosen("application/*"), "application/jsonl");
    EXPECT_EQ(chosen("*/*, application/json-seq"), "application/json-seq");
}

} // namespace berth::api
