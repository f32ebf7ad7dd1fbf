// SPDX-License-Identifier: Apache-2.0
// The container's log: what is written is read, across rotation, filters and torn tails.
#include "base/file.h"
#include "io/log_file.h"
#include "io/log_format.h"
#include "io/log_watch.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

class LogFileTest : public testing::Test {
  protected:
    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::string path_ = directory_.path() + "/log";
    std::int64_t now_ = 0;

    LogWriter open_writer(std::uint64_t max_file_size = 0, std::uint32_t max_files = 5) {
        return LogWriter::open(
                   {.directory = path_, .max_file_size = max_file_size, .max_files = max_files})
            .value();
    }

    // Each append happens one second after the one before: 1, 2, 3…
    void append(LogWriter& writer, Stream stream, std::string_view bytes) {
        ASSERT_TRUE(writer.append(stream, Timestamp::from_seconds(++now_), bytes).ok());
    }

    LogReader open_reader(LogReader::Options options = {}) {
        options.directory = path_;
        return LogReader::open(std::move(options)).value();
    }

    // "o1:text" for a piece of stdout of second 1, "e…" for stderr, "+" when it continues a line.
    static std::string drain(LogReader& reader) {
        std::string text;
        while (true) {
            const auto chunk = reader.next().value();
            if (!chunk) {
                return text;
            }
            text += chunk->stream == Stream::Stderr ? 'e' : 'o';
            text += std::to_string(chunk->time.seconds());
            text += chunk->continues_line ? "+" : ":";
            text += chunk->bytes;
            text += '|';
        }
    }

    std::string read_log(LogReader::Options options = {}) {
        LogReader reader = open_reader(std::move(options));
        return drain(reader);
    }
};

TEST_F(LogFileTest, GivesBackWhatWasWrittenInOrder) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "one\ntwo\n");
    append(writer, Stream::Stderr, "oops\n");
    append(writer, Stream::Stdout, "par");
    append(writer, Stream::Stdout, "tial\nthree\n");
    EXPECT_EQ(read_log(), "o1:one\ntwo\n|e2:oops\n|o3:par|o4+tial\n|o4:three\n|");
}

TEST_F(LogFileTest, AnAbsentDirectoryIsAnEmptyLog) {
    EXPECT_EQ(read_log(), "");
    EXPECT_EQ(read_log({.tail = 3}), "");
    EXPECT_EQ(log_size(path_).value(), 0U);
}

TEST_F(LogFileTest, SplitsLinesOnDemand) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "one\ntwo\nthr");
    append(writer, Stream::Stdout, "ee\n");
    EXPECT_EQ(read_log({.split_lines = true}), "o1:one\n|o1:two\n|o1:thr|o2+ee\n|");
}

TEST_F(LogFileTest, TailCountsLinesOfBothStreamsFromTheEnd) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "a\nb\nc\n");
    append(writer, Stream::Stderr, "d\n");
    append(writer, Stream::Stdout, "e");
    EXPECT_EQ(read_log({.tail = 0}), "");
    EXPECT_EQ(read_log({.tail = 1}), "o3:e|");
    EXPECT_EQ(read_log({.tail = 2}), "e2:d\n|o3:e|");
    EXPECT_EQ(read_log({.tail = 4}), "o1:b\nc\n|e2:d\n|o3:e|");
    EXPECT_EQ(read_log({.tail = 5}), "o1:a\nb\nc\n|e2:d\n|o3:e|");
    EXPECT_EQ(read_log({.tail = 50}), "o1:a\nb\nc\n|e2:d\n|o3:e|");
    EXPECT_EQ(read_log({.tail = 2, .want_stderr = false}), "o3:e|");
}

TEST_F(LogFileTest, TailLeavesOutTheRestOfALineThatBeganBeforeIt) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "long ");
    append(writer, Stream::Stderr, "err\n");
    append(writer, Stream::Stdout, "line\n");
    EXPECT_EQ(read_log({.tail = 1}), "e2:err\n|");
}

TEST_F(LogFileTest, SinceAndUntilChooseLinesByTheTimeTheyBegan) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "one\nlong ");
    append(writer, Stream::Stdout, "line\ntwo\n");
    append(writer, Stream::Stdout, "three\n");
    append(writer, Stream::Stdout, "four\n");
    EXPECT_EQ(read_log({.since = Timestamp::from_seconds(2)}), "o2:two\n|o3:three\n|o4:four\n|");
    LogReader reader = open_reader({.until = Timestamp::from_seconds(3)});
    EXPECT_EQ(drain(reader), "o1:one\nlong |o2+line\n|o2:two\n|o3:three\n|");
    EXPECT_TRUE(reader.ended());
}

TEST_F(LogFileTest, RotationKeepsTheNewestFilesAndTheReaderGoesThroughAll) {
    LogWriter writer = open_writer(100, 3);
    for (int i = 0; i < 20; ++i) {
        append(writer, Stream::Stdout, "0123456789\n"); // 31 bytes: three in a file
    }
    EXPECT_EQ(log_file_numbers(path_), (std::vector<std::uint64_t>{5, 6, 7}));
    EXPECT_LE(log_size(path_).value(), 300U);
    LogReader reader = open_reader();
    EXPECT_TRUE(drain(reader).starts_with("o13:"));
    EXPECT_EQ(read_log({.tail = 1}), "o20:0123456789\n|");
    EXPECT_TRUE(read_log({.tail = 7}).starts_with("o14:"));
    EXPECT_TRUE(read_log({.since = Timestamp::from_seconds(17)}).starts_with("o17:"));
}

TEST_F(LogFileTest, AFollowerSeesWhatIsAddedAcrossRotation) {
    LogWriter writer = open_writer(100, 3);
    append(writer, Stream::Stdout, "0123456789\n");
    LogReader reader = open_reader();
    EXPECT_EQ(drain(reader), "o1:0123456789\n|");
    for (int i = 0; i < 4; ++i) {
        append(writer, Stream::Stdout, "0123456789\n");
    }
    EXPECT_EQ(drain(reader), "o2:0123456789\n|o3:0123456789\n|o4:0123456789\n|o5:0123456789\n|");
}

TEST_F(LogFileTest, ABookmarkIsWhereAnotherReaderGoesOn) {
    LogWriter writer = open_writer(100, 9);
    for (const char* text : {"one\ntwo\nthr", "ee\n", "four\nfive\n", "six", "\nseven\neight\n"}) {
        append(writer, Stream::Stdout, text);
        append(writer, Stream::Stderr, std::string("error\n") + text);
    }
    ASSERT_GT(log_file_numbers(path_).size(), 2U);
    for (const bool split : {false, true}) {
        const std::string whole = read_log({.split_lines = split});
        LogReader reader = open_reader({.split_lines = split});
        std::size_t at = 0;
        do {
            LogReader::Options options{.split_lines = split};
            options.bookmark = reader.bookmark();
            EXPECT_EQ(read_log(options), whole.substr(at)) << options.bookmark;
            at = whole.find('|', at) + 1;
        } while (reader.next().value());
    }
}

TEST_F(LogFileTest, ABookmarkOfAFileThatIsGoneGoesOnWithTheOldestThatIsLeft) {
    LogWriter writer = open_writer(40, 2);
    append(writer, Stream::Stdout, "0123456789\n");
    LogReader reader = open_reader();
    ASSERT_TRUE(reader.next().value());
    const std::string bookmark = reader.bookmark();
    for (int i = 0; i < 4; ++i) {
        append(writer, Stream::Stdout, "0123456789\n"); // one in a file
    }
    LogReader::Options options;
    options.bookmark = bookmark;
    EXPECT_EQ(read_log(options), "o4:0123456789\n|o5:0123456789\n|");
}

TEST_F(LogFileTest, TheEndIsABookmarkToo) {
    LogReader::Options options;
    options.bookmark = log_end;
    EXPECT_EQ(read_log(options), "");
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "one\ntw");
    LogReader reader = open_reader(options);
    EXPECT_EQ(drain(reader), "");
    append(writer, Stream::Stdout, "o\n");
    EXPECT_EQ(drain(reader), "o2+o\n|");
    // One whose next record would begin at 0 again, if one counted so far.
    for (const char* wrong : {"r.1.2", "r.1.2.x", "j.1.2.3.4", "1", "r.1.18446744073709551600.0"}) {
        options.directory = path_;
        options.bookmark = wrong;
        EXPECT_EQ(LogReader::open(options).error().kind(), ErrorKind::InvalidArgument) << wrong;
    }
}

TEST_F(LogFileTest, AFollowerThatFellBehindGoesOnWithTheOldestFileThereIs) {
    LogWriter writer = open_writer(40, 2);
    append(writer, Stream::Stdout, "0123456789\n");
    LogReader reader = open_reader();
    EXPECT_EQ(drain(reader), "o1:0123456789\n|");
    for (int i = 0; i < 8; ++i) {
        append(writer, Stream::Stdout, "0123456789\n"); // one in a file
    }
    EXPECT_EQ(drain(reader), "o8:0123456789\n|o9:0123456789\n|");
}

TEST_F(LogFileTest, ATornTailIsNotReadAndTheNextWriterCutsItOff) {
    std::string whole;
    {
        LogWriter writer = open_writer();
        append(writer, Stream::Stdout, "first\n");
        append(writer, Stream::Stdout, "second\n");
        whole = read_file(log_file_path(path_, 1)).value();
    }
    const std::size_t first_size = log_header_size + 6 + log_footer_size;
    for (std::size_t size = first_size; size < whole.size(); ++size) {
        ASSERT_TRUE(replace_file(log_file_path(path_, 1), whole.substr(0, size)).ok());
        EXPECT_EQ(read_log(), "o1:first\n|");
        EXPECT_EQ(read_log({.tail = 1}), "o1:first\n|");
        LogWriter writer = open_writer();
        now_ = 2;
        append(writer, Stream::Stdout, "third\n");
        EXPECT_EQ(read_log(), "o1:first\n|o3:third\n|");
        EXPECT_EQ(read_log({.tail = 2}), "o1:first\n|o3:third\n|");
    }
}

TEST_F(LogFileTest, ZerosAfterAPowerCutAreNotRead) {
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "first\n");
    ASSERT_EQ(truncate(log_file_path(path_, 1).c_str(), 1000), 0);
    EXPECT_EQ(read_log(), "o1:first\n|");
    EXPECT_EQ(read_log({.tail = 1}), "o1:first\n|");
}

TEST_F(LogFileTest, DamageCostsTheRestOfItsFileOnly) {
    LogWriter writer = open_writer(100, 3);
    for (int i = 0; i < 5; ++i) {
        append(writer, Stream::Stdout, "0123456789\n");
    }
    const UniqueFd file = open_file(log_file_path(path_, 1), O_WRONLY).value();
    ASSERT_EQ(pwrite(file.get(), "damage", 6, 31), 6);
    EXPECT_EQ(read_log(), "o1:0123456789\n|o4:0123456789\n|o5:0123456789\n|");
}

TEST_F(LogFileTest, AWriterThatOpensAgainAppends) {
    {
        LogWriter writer = open_writer();
        append(writer, Stream::Stdout, "before");
    }
    LogWriter writer = open_writer();
    append(writer, Stream::Stdout, "after\n");
    EXPECT_EQ(read_log(), "o1:before|o2:after\n|");
}

TEST_F(LogFileTest, BytesBeyondTheRecordLimitBecomeSeveralRecords) {
    LogWriter writer = open_writer();
    const std::string big(log_record_limit * 2 + 5, 'x');
    append(writer, Stream::Stdout, big);
    LogReader reader = open_reader();
    std::size_t total = 0;
    while (const auto chunk = reader.next().value()) {
        EXPECT_LE(chunk->bytes.size(), log_record_limit);
        EXPECT_EQ(chunk->continues_line, total > 0);
        total += chunk->bytes.size();
    }
    EXPECT_EQ(total, big.size());
}

TEST_F(LogFileTest, ManySmallRecordsAreFoundBackwardsThroughTheWindow) {
    LogWriter writer = open_writer();
    for (int i = 0; i < 20000; ++i) {
        append(writer, Stream::Stdout, "line\n");
    }
    EXPECT_TRUE(read_log({.tail = 15000}).starts_with("o5001:line\n|o5002:"));
}

TEST_F(LogFileTest, AWatchTellsOfNewRecords) {
    const auto loop = EventLoop::create().value();
    auto watch = LogWatch::create(*loop).value();
    LogWriter writer = open_writer();
    int calls = 0;
    auto subscription = watch
                            ->subscribe(
                                path_,
                                [&] {
                                    ++calls;
                                    loop->stop();
                                })
                            .value();
    append(writer, Stream::Stdout, "new\n");
    loop->run();
    EXPECT_EQ(calls, 1);
    subscription.reset();
    append(writer, Stream::Stdout, "newer\n");
    loop->run_once(std::chrono::milliseconds(0));
    EXPECT_EQ(calls, 1);
}

} // namespace
} // namespace berth::io
