// SPDX-License-Identifier: Apache-2.0
// Sources and sinks: ends, limits, descriptors.
#include "base/file.h"
#include "codec/stream.h"

#include <gtest/gtest.h>

#include <array>

namespace berth {

namespace {

// One byte a call, as a slow network gives them.
class TricklingSource final : public ByteSource {
  public:
    explicit TricklingSource(std::string bytes)
        : inner_(std::move(bytes)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        return inner_.read(buffer.first(std::min<std::size_t>(1, buffer.size())));
    }

  private:
    StringSource inner_;
};

} // namespace

TEST(Stream, ReadFullJoinsShortReads) {
    TricklingSource source("abcdef");
    std::array<char, 4> buffer{};
    EXPECT_EQ(*read_full(source, buffer), 4U);
    EXPECT_EQ(std::string(buffer.data(), 4), "abcd");
    EXPECT_EQ(*read_full(source, buffer), 2U);
    EXPECT_EQ(*read_full(source, buffer), 0U);
}

TEST(Stream, ReadToEndStopsAtItsLimit) {
    StringSource fits("12345");
    EXPECT_EQ(*read_to_end(fits, 5), "12345");
    StringSource longer("123456");
    auto result = read_to_end(longer, 5);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind(), ErrorKind::ResourceExhausted);
}

TEST(Stream, LimitedSourceLeavesTheRest) {
    StringSource source("abcdef");
    LimitedSource limited(source, 4);
    EXPECT_EQ(*read_to_end(limited, 100), "abcd");
    EXPECT_EQ(*read_to_end(source, 100), "ef");
}

TEST(Stream, CopiesBetweenDescriptors) {
    auto pipe = Pipe::create();
    ASSERT_TRUE(pipe.ok());
    const std::string bytes(40'000, 'x');
    {
        FdSink sink(std::move(pipe->write_end));
        ASSERT_TRUE(sink.write(bytes).ok());
    }
    FdSource source(std::move(pipe->read_end));
    StringSink copied;
    EXPECT_EQ(*copy(source, copied), bytes.size());
    EXPECT_EQ(copied.bytes(), bytes);
}

TEST(Stream, ReportsTheKernelsError) {
    FdSource source(FdRef::unowned(-1));
    std::array<char, 1> buffer{};
    auto result = source.read(buffer);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().error_number(), EBADF);
}

} // namespace berth
