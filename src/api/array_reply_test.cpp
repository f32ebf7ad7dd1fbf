// SPDX-License-Identifier: Apache-2.0
// The same array, whole or in pieces.
#include "api/array_reply.h"
#include "api/exchange_for_test.h"
#include "codec/json.h"

#include <gtest/gtest.h>

namespace berth::api {
namespace {

// The first `healthy` pieces arrive.
class Pieces final : public RecordedResponse {
  public:
    explicit Pieces(std::size_t healthy)
        : healthy_(healthy) {}

    Result<void> respond(unsigned, http::Headers, std::string_view text) override {
        whole += text;
        return ok();
    }

    Result<void> write(std::string_view bytes) override {
        if (pieces.size() == healthy_) {
            return Error(ErrorKind::Unavailable, "the client is gone");
        }
        pieces.emplace_back(bytes);
        return ok();
    }

    Result<void> finish() override {
        finished = true;
        return ok();
    }

    std::string whole;
    std::vector<std::string> pieces;
    bool finished = false;

  private:
    std::size_t healthy_;
};

Result<void> reply_with_numbers(http::ResponseWriter& response, int count) {
    ArrayReply reply(response);
    for (int number = 0; number < count; ++number) {
        reply.begin_element() += std::to_string(number);
    }
    return reply.finish();
}

TEST(ArrayReply, SendsAShortArrayAtOnce) {
    for (const auto& [count, text] :
         std::map<int, std::string>{{0, "[]\n"}, {1, "[0]\n"}, {3, "[0,1,2]\n"}}) {
        Pieces response(0);
        ASSERT_TRUE(reply_with_numbers(response, count).ok());
        EXPECT_EQ(response.whole, text);
        EXPECT_FALSE(response.finished);
    }
}

TEST(ArrayReply, SendsALongOneInPieces) {
    constexpr int count = 100'000;
    Pieces response(100);
    ASSERT_TRUE(reply_with_numbers(response, count).ok());
    EXPECT_TRUE(response.finished);
    EXPECT_EQ(response.status, 200U);
    EXPECT_EQ(response.headers.get("Content-Type"), "application/json");
    EXPECT_GT(response.pieces.size(), 5U);
    std::string text;
    for (const std::string& piece : response.pieces) {
        EXPECT_FALSE(piece.empty());
        text += piece;
    }
    const auto array = json::parse(text);
    ASSERT_TRUE(array.ok()) << array.error().message();
    ASSERT_EQ(array->as_array().size(), std::size_t(count));
    for (int number = 0; number < count; ++number) {
        ASSERT_EQ(array->as_array()[static_cast<std::size_t>(number)], number);
    }
}

TEST(ArrayReply, EndsWhenTheClientIsGone) {
    Pieces response(2);
    const auto sent = reply_with_numbers(response, 100'000);
    ASSERT_FALSE(sent.ok());
    EXPECT_EQ(sent.error().message(), "the client is gone");
    EXPECT_EQ(response.pieces.size(), 2U);
    EXPECT_FALSE(response.finished);
}

} // namespace
} // namespace berth::api
