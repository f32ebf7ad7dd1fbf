// SPDX-License-Identifier: Apache-2.0
// Log records become frames, or raw bytes, with their times in front of lines.
#include "api/log_stream.h"

#include <gtest/gtest.h>

namespace berth::api {

namespace {

using engine::LogStream;

std::string format(const LogFormat& how, const std::vector<engine::LogRecord>& records) {
    std::string out;
    for (const auto& record : records) {
        append_log_record(out, record, how);
    }
    return out;
}

} // namespace

TEST(LogRecords, WritesAFrameForEachRecord) {
    const std::string out = format(
        {}, {{Timestamp(), LogStream::Output, "ab\n"}, {Timestamp(), LogStream::Error, "c\n"}});
    EXPECT_EQ(out, std::string("\1\0\0\0\0\0\0\3ab\n\2\0\0\0\0\0\0\2c\n", 21));
}

TEST(LogRecords, WritesAFrameForEachLineOfARecord) {
    const std::string out = format({}, {{Timestamp(), LogStream::Output, "ab\n\ncd"}});
    EXPECT_EQ(out, std::string("\1\0\0\0\0\0\0\3ab\n\1\0\0\0\0\0\0\1\n\1\0\0\0\0\0\0\2cd", 30));
}

TEST(LogRecords, WritesAFrameWithABookmarkBehindEach) {
    const std::string out = format(
        {.bookmarks = true},
        {{.time = {}, .stream = LogStream::Output, .bytes = "", .bookmark = "r1"},
         {.time = {}, .stream = LogStream::Output, .bytes = "ab\n", .bookmark = "r2"}});
    EXPECT_EQ(out, std::string("\4\0\0\0\0\0\0\2r1\1\0\0\0\0\0\0\3ab\n\4\0\0\0\0\0\0\2r2", 31));
}

TEST(LogRecords, WritesRawBytesForATerminal) {
    EXPECT_EQ(
        format({.multiplexed = false}, {{Timestamp(), LogStream::Output, "ab\r\n"}}), "ab\r\n");
}

TEST(LogRecords, StampsLinesButNotTheirContinuation) {
    const Timestamp time = Timestamp::from_seconds(1);
    const std::string out = format(
        {.timestamps = true, .multiplexed = false},
        {{time, LogStream::Output, "be"},
         {time, LogStream::Error, "e\n"},
         {time, LogStream::Output, "gin\n", true},
         {time, LogStream::Output, "next\n"}});
    EXPECT_EQ(
        out,
        "1970-01-01T00:00:01.000000000Z be"
        "1970-01-01T00:00:01.000000000Z e\n"
        "gin\n"
        "1970-01-01T00:00:01.000000000Z next\n");
}

} // namespace berth::api
