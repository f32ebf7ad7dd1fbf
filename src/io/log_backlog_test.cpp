// SPDX-License-Identifier: Apache-2.0
// Files that somebody has still to read: the cursor, waiting, compressed files, places to go on at.
#include "base/file.h"
#include "io/log_cursor.h"
#include "io/log_file.h"
#include "io/log_format.h"
#include "io/log_lines.h"

#include <gtest/gtest.h>

#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace berth::io {
namespace {

class LogBacklogTest : public testing::Test {
  protected:
    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::string path_ = directory_.path() + "/log";
    std::int64_t now_ = 0;

    LogWriter open_writer(std::uint32_t files, LogBacklog backlog) {
        return LogWriter::open({.directory = path_,
                                .max_file_size = record_size * 2,
                                .max_files = files,
                                .backlog = backlog})
            .value();
    }

    void append(LogWriter& writer) {
        ASSERT_TRUE(
            writer.append(Stream::Stdout, Timestamp::from_seconds(++now_), "0123456789\n").ok());
    }

    std::vector<std::uint64_t> numbers() { return log_file_numbers(path_); }

    static std::string drain(LogReader& reader) {
        std::string text;
        while (const auto chunk = reader.next().value()) {
            text += std::to_string(chunk->time.seconds()) + " ";
        }
        return text;
    }

    static constexpr std::size_t record_size = 20 + 11;
};

TEST_F(LogBacklogTest, DropsTheOldestWithoutAsking) {
    LogWriter writer = open_writer(2, LogBacklog::DropOldest);
    for (int i = 0; i < 7; ++i) {
        EXPECT_TRUE(writer.has_room(11));
        append(writer);
    }
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{3, 4}));
}

TEST_F(LogBacklogTest, HasNoRoomUntilTheOldestFileWasRead) {
    LogWriter writer = open_writer(2, LogBacklog::Wait);
    for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(writer.has_room(11));
        append(writer);
    }
    EXPECT_FALSE(writer.has_room(11));
    // What comes all the same is kept with the rest.
    append(writer);
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 2}));
    ASSERT_TRUE(save_log_cursor(path_, {.position = {.file = 1, .offset = record_size}}).ok());
    EXPECT_FALSE(writer.has_room(11));
    ASSERT_TRUE(save_log_cursor(path_, {.position = {.file = 1, .offset = 2 * record_size}}).ok());
    EXPECT_TRUE(writer.has_room(11));
    append(writer);
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{2, 3}));
    // A writer that comes later keeps what is still to be read, too.
    LogWriter second = open_writer(1, LogBacklog::Wait);
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{2, 3}));
}

TEST_F(LogBacklogTest, OneFileIsGivenUpOnceItWasReadToItsEnd) {
    LogWriter writer = open_writer(1, LogBacklog::Wait);
    append(writer);
    append(writer);
    EXPECT_FALSE(writer.has_room(11));
    LogReader reader = LogReader::open({.directory = path_}).value();
    EXPECT_EQ(drain(reader), "1 2 ");
    ASSERT_TRUE(save_log_cursor(path_, {.position = reader.position()}).ok());
    EXPECT_TRUE(writer.has_room(11));
    append(writer);
    EXPECT_EQ(drain(reader), "3 ");
}

TEST_F(LogBacklogTest, AReaderGoesOnWhereAnotherStopped) {
    LogWriter writer = open_writer(9, LogBacklog::Wait);
    for (int i = 0; i < 5; ++i) {
        append(writer);
    }
    LogReader first = LogReader::open({.directory = path_}).value();
    EXPECT_EQ(first.next().value()->time.seconds(), 1);
    for (const char* rest : {"2 3 4 5 ", "3 4 5 ", "4 5 ", "5 ", ""}) {
        LogReader second = LogReader::open({.directory = path_, .from = first.position()}).value();
        EXPECT_EQ(drain(second), rest);
        (void)first.next();
    }
    // Its file has gone: what comes after it is read.
    remove_log_file(path_, 1);
    LogReader late =
        LogReader::open({.directory = path_, .from = LogPosition{.file = 1, .offset = 31}}).value();
    EXPECT_EQ(drain(late), "3 4 5 ");
}

TEST_F(LogBacklogTest, ReadsFilesThatWereCompressedMeanwhile) {
    LogWriter writer = open_writer(9, LogBacklog::DropOldest);
    for (int i = 0; i < 5; ++i) {
        append(writer);
    }
    for (const std::uint64_t number : {1U, 2U}) {
        // The seam takes the bytes as they are: compression is the engine's part.
        ASSERT_EQ(
            std::rename(
                log_file_path(path_, number).c_str(), compressed_log_path(path_, number).c_str()),
            0);
    }
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 2, 3}));
    const Decompress as_it_is = [](UniqueFd fd) { return Result<UniqueFd>(std::move(fd)); };
    LogReader all = LogReader::open({.directory = path_, .decompress = as_it_is}).value();
    EXPECT_EQ(drain(all), "1 2 3 4 5 ");
    LogReader tail =
        LogReader::open({.directory = path_, .tail = 3, .decompress = as_it_is}).value();
    EXPECT_EQ(drain(tail), "3 4 5 ");
    LogReader without = LogReader::open({.directory = path_}).value();
    EXPECT_EQ(drain(without), "5 ");
    // The number that was compressed is not written again.
    ASSERT_EQ(
        std::rename(log_file_path(path_, 3).c_str(), compressed_log_path(path_, 3).c_str()), 0);
    LogWriter second = open_writer(9, LogBacklog::DropOldest);
    append(second);
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST_F(LogBacklogTest, ACursorSurvivesAndADamagedOneIsNone) {
    ASSERT_TRUE(make_directories(path_).ok());
    EXPECT_EQ(load_log_cursor(path_), std::nullopt);
    LogCursor cursor{.position = {.file = 7, .offset = 1ULL << 40U, .skip = 3}};
    cursor.pieces[1] = {.time = {123}, .ordinal = 4, .text = std::string("a\0b", 3)};
    ASSERT_TRUE(save_log_cursor(path_, cursor).ok());
    EXPECT_EQ(load_log_cursor(path_), cursor);
    std::string bytes = read_file(path_ + "/cursor").value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        ASSERT_TRUE(replace_file(path_ + "/cursor", damaged, 0600, Sync::No).ok());
        EXPECT_EQ(load_log_cursor(path_), std::nullopt) << i;
        ASSERT_TRUE(replace_file(path_ + "/cursor", bytes.substr(0, i), 0600, Sync::No).ok());
        EXPECT_EQ(load_log_cursor(path_), std::nullopt) << i;
    }
}

TEST(LogLines, GoesOnWithAPieceThatWasKept) {
    std::string seen;
    const LogLines::Handler note = [&seen](const LogLine& line) {
        seen += std::to_string(line.time.nanoseconds) + ":" + std::to_string(line.text.size()) +
                (line.is_last ? "" : "-") + std::to_string(line.ordinal) + " ";
    };
    LogLines first;
    first.add(Stream::Stdout, {1}, std::string(log_line_limit + 5, 'x'), note);
    first.add(Stream::Stderr, {2}, "ab\ncd", note);
    EXPECT_EQ(seen, "1:16384-1 2:20 ");
    LogLines second;
    second.restore(first.pieces());
    seen.clear();
    second.add(Stream::Stdout, {3}, "y\nz\n", note);
    second.finish(Stream::Stderr, note);
    EXPECT_EQ(seen, "1:62 3:10 2:2-1 ");
}

} // namespace
} // namespace berth::io
