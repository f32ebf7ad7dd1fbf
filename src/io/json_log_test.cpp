// SPDX-License-Identifier: Apache-2.0
// Docker's json-file: the bytes that are written, rotation, and reading it back.
#include "base/file.h"
#include "io/json_log_files.h"
#include "io/json_log_format.h"
#include "io/json_log_reader.h"
#include "io/log_lines.h"
#include "io/log_output.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::io {
namespace {

class JsonLogTest : public testing::Test {
  protected:
    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::string file_ = directory_.path() + "/c-json.log";
    std::int64_t now_ = 0;

    std::unique_ptr<LogOutput> open_writer(std::uint64_t size = 0, std::uint32_t files = 1) {
        return LogOutput::open({.directory = directory_.path() + "/log",
                                .max_file_size = size,
                                .max_files = files,
                                .form = LogForm::Json,
                                .json_file = file_})
            .value();
    }

    void append(LogOutput& writer, Stream stream, std::string_view bytes) {
        ASSERT_TRUE(writer.append(stream, Timestamp::from_seconds(++now_), bytes).ok());
    }

    std::unique_ptr<JsonLogReader> open_reader(LogReadOptions options = {}) {
        options.directory = directory_.path() + "/log";
        return JsonLogReader::open(std::move(options), file_).value();
    }

    // As in log_file_test.cpp: "o1:text", "+" where it continues a line.
    static std::string drain(LogSource& reader) {
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

    std::string read_log(LogReadOptions options = {}) {
        const auto reader = open_reader(std::move(options));
        return drain(*reader);
    }

    std::string bytes(std::size_t number = 0) {
        return read_file(json_log_path(file_, number)).value();
    }
};

TEST_F(JsonLogTest, WritesDockersBytes) {
    ASSERT_TRUE(make_directories(directory_.path() + "/log").ok());
    ASSERT_TRUE(
        replace_file(directory_.path() + "/log/attributes.json", R"({"a":"b"})", 0600, Sync::No)
            .ok());
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, "a <b> & \"c\" \\ \t\r\x01 \xc3\xa9 \xff \xe2\x80\xa8\n\n");
    append(*writer, Stream::Stderr, "oops\n");
    EXPECT_EQ(
        bytes(),
        R"({"log":"a \u003cb\u003e \u0026 \"c\" \\ \u0009\r\u0001 )"
        "\xc3\xa9"
        R"( \ufffd \u2028\n","stream":"stdout","attrs":{"a":"b"},"time":"1970-01-01T00:00:01Z"})"
        "\n"
        R"({"log":"\n","stream":"stdout","attrs":{"a":"b"},"time":"1970-01-01T00:00:01Z"})"
        "\n"
        R"({"log":"oops\n","stream":"stderr","attrs":{"a":"b"},"time":"1970-01-01T00:00:02Z"})"
        "\n");
}

TEST_F(JsonLogTest, KeepsTheBeginningOfALineUntilItsEnd) {
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, "be");
    EXPECT_EQ(bytes(), "");
    append(*writer, Stream::Stdout, "gin\nend");
    ASSERT_TRUE(writer->finish(Stream::Stdout).ok());
    EXPECT_EQ(
        bytes(),
        R"({"log":"begin\n","stream":"stdout","time":"1970-01-01T00:00:01Z"})"
        "\n"
        R"({"log":"end","stream":"stdout","time":"1970-01-01T00:00:02Z"})"
        "\n");
}

TEST_F(JsonLogTest, CutsLongLinesWhereDockerDoes) {
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, std::string(log_line_limit, 'x') + "\n");
    append(*writer, Stream::Stdout, std::string(log_line_limit + 2, 'y') + "\nz\n");
    const std::string whole = R"(","stream":"stdout","time":"1970-01-01T00:00:01Z"})";
    const std::string second = R"(","stream":"stdout","time":"1970-01-01T00:00:02Z"})";
    EXPECT_EQ(
        bytes(),
        R"({"log":")" + std::string(log_line_limit, 'x') + whole + "\n" + R"({"log":"\n)" + whole +
            "\n" + R"({"log":")" + std::string(log_line_limit, 'y') + second + "\n" +
            R"({"log":"yy\n)" + second + "\n" + R"({"log":"z\n)" + second + "\n");
    EXPECT_EQ(
        read_log({.split_lines = true}),
        "o1:" + std::string(log_line_limit, 'x') + "|o1+\n|o2:" + std::string(log_line_limit, 'y') +
            "|o2+yy\n|o2:z\n|");
}

TEST_F(JsonLogTest, ReadsBackWhatWasWritten) {
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, "one\ntwo\n");
    append(*writer, Stream::Stderr, "a \"b\" \\ \t \x01 <\n");
    append(*writer, Stream::Stdout, "three\n");
    EXPECT_EQ(read_log(), "o1:one\ntwo\n|e2:a \"b\" \\ \t \x01 <\n|o3:three\n|");
    EXPECT_EQ(read_log({.tail = 2}), "e2:a \"b\" \\ \t \x01 <\n|o3:three\n|");
    EXPECT_EQ(read_log({.tail = 0}), "");
    EXPECT_EQ(read_log({.tail = 99}), read_log());
    EXPECT_EQ(read_log({.since = Timestamp::from_seconds(3)}), "o3:three\n|");
    EXPECT_EQ(read_log({.until = Timestamp::from_seconds(1)}), "o1:one\ntwo\n|");
    EXPECT_EQ(read_log({.want_stdout = false}), "e2:a \"b\" \\ \t \x01 <\n|");
}

TEST_F(JsonLogTest, RotatesBySizeAndKeepsSoManyFiles) {
    const auto writer = open_writer(100, 3);
    for (int i = 0; i < 8; ++i) {
        append(*writer, Stream::Stdout, "line " + std::to_string(i) + "\n");
    }
    // Two lines of 64 bytes fill a file: Docker looks at the size before it writes.
    EXPECT_EQ(
        read_log({.split_lines = true}),
        "o3:line 2\n|o4:line 3\n|o5:line 4\n|o6:line 5\n|o7:line 6\n|o8:line 7\n|");
    EXPECT_FALSE(exists(json_log_path(file_, 3)));
    EXPECT_EQ(read_log({.tail = 3, .split_lines = true}), "o6:line 5\n|o7:line 6\n|o8:line 7\n|");
}

TEST_F(JsonLogTest, FollowsThroughRotations) {
    const auto writer = open_writer(100, 3);
    append(*writer, Stream::Stdout, "line 0\n");
    const auto reader = open_reader({.split_lines = true});
    EXPECT_EQ(drain(*reader), "o1:line 0\n|");
    for (int i = 1; i < 5; ++i) {
        append(*writer, Stream::Stdout, "line " + std::to_string(i) + "\n");
    }
    EXPECT_EQ(drain(*reader), "o2:line 1\n|o3:line 2\n|o4:line 3\n|o5:line 4\n|");
    append(*writer, Stream::Stdout, "last\n");
    EXPECT_EQ(drain(*reader), "o6:last\n|");
}

TEST_F(JsonLogTest, AFollowerThatFellBehindGoesOnWithTheOldestFileThereIs) {
    const auto writer = open_writer(100, 3);
    append(*writer, Stream::Stdout, "line 0\n");
    const auto reader = open_reader({.split_lines = true});
    EXPECT_EQ(drain(*reader), "o1:line 0\n|");
    // All of one time, and more than is kept.
    append(*writer, Stream::Stdout, "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    EXPECT_EQ(drain(*reader), "o2:1\n|o2:4\n|o2:5\n|o2:6\n|o2:7\n|o2:8\n|o2:9\n|");
}

TEST_F(JsonLogTest, AFollowerFindsItsFileAgainThatWasCompressed) {
    const auto writer = open_writer(60, 5);
    append(*writer, Stream::Stdout, "one\n");
    LogReadOptions options{.split_lines = true};
    options.decompress = [](UniqueFd fd) { return Result<UniqueFd>(std::move(fd)); };
    const auto reader = open_reader(options);
    EXPECT_EQ(drain(*reader), "o1:one\n|");
    append(*writer, Stream::Stdout, "two\n");
    append(*writer, Stream::Stdout, "three\n");
    // As compression does it: another file, of the same time, before the plain one goes.
    const std::string plain = json_log_path(file_, 2);

    struct stat status {};

    ASSERT_EQ(stat(plain.c_str(), &status), 0);
    ASSERT_TRUE(replace_file(plain + compressed_log_suffix, bytes(2), 0640, Sync::No).ok());
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, (plain + compressed_log_suffix).c_str(), times.data(), 0), 0);
    ASSERT_EQ(unlink(plain.c_str()), 0);
    EXPECT_EQ(drain(*reader), "o2:two\n|o3:three\n|");
}

TEST_F(JsonLogTest, ABookmarkIsWhereAnotherReaderGoesOn) {
    const auto writer = open_writer(200, 9);
    for (const char* text : {"one\ntwo\n", "three\n", "four\nfive\n", "six\n", "seven\neight\n"}) {
        append(*writer, Stream::Stdout, text);
        append(*writer, Stream::Stderr, std::string("error\n") + text);
    }
    ASSERT_TRUE(exists(json_log_path(file_, 2)));
    LogReadOptions options{.split_lines = true};
    options.decompress = [](UniqueFd fd) { return Result<UniqueFd>(std::move(fd)); };
    const std::string whole = read_log(options);
    std::vector<std::string> bookmarks;
    const auto reader = open_reader(options);
    do {
        bookmarks.push_back(reader->bookmark());
    } while (reader->next().value());
    for (const bool compressed : {false, true}) {
        std::size_t at = 0;
        for (const std::string& bookmark : bookmarks) {
            options.bookmark = bookmark;
            EXPECT_EQ(read_log(options), whole.substr(at)) << bookmark;
            at = whole.find('|', at) + 1;
        }
        // As compression does it: another file, and the plain one goes.
        const std::string plain = json_log_path(file_, 2);
        if (!compressed) {
            ASSERT_TRUE(replace_file(plain + compressed_log_suffix, bytes(2), 0640, Sync::No).ok());
            ASSERT_EQ(unlink(plain.c_str()), 0);
        }
    }
    options.bookmark = "r.1.2.3";
    options.directory = directory_.path() + "/log";
    EXPECT_EQ(JsonLogReader::open(options, file_).error().kind(), ErrorKind::InvalidArgument);
}

TEST_F(JsonLogTest, TheEndIsABookmarkToo) {
    LogReadOptions options;
    options.bookmark = log_end;
    EXPECT_EQ(read_log(options), "");
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, "one\n");
    const auto reader = open_reader(options);
    EXPECT_EQ(drain(*reader), "");
    append(*writer, Stream::Stdout, "two\n");
    EXPECT_EQ(drain(*reader), "o2:two\n|");
}

TEST_F(JsonLogTest, OneFileBeginsAnewWhenItIsFull) {
    const auto writer = open_writer(100, 1);
    const auto reader = open_reader({.split_lines = true});
    for (int i = 0; i < 3; ++i) {
        append(*writer, Stream::Stdout, "line " + std::to_string(i) + "\n");
    }
    EXPECT_EQ(read_log(), "o3:line 2\n|");
    EXPECT_FALSE(exists(json_log_path(file_, 1)));
    // Who had it open reads it to its end.
    EXPECT_EQ(drain(*reader), "o1:line 0\n|o2:line 1\n|o3:line 2\n|");
}

TEST_F(JsonLogTest, DoesNotRotateWhileSomebodyWorksOnTheNames) {
    const auto writer = open_writer(60, 2);
    append(*writer, Stream::Stdout, "one\n");
    {
        const auto lock = try_lock_json_log(directory_.path() + "/log");
        ASSERT_TRUE(lock.has_value());
        append(*writer, Stream::Stdout, "two\n");
        EXPECT_FALSE(exists(json_log_path(file_, 1)));
    }
    append(*writer, Stream::Stdout, "three\n");
    EXPECT_TRUE(exists(json_log_path(file_, 1)));
    EXPECT_EQ(read_log(), "o1:one\ntwo\n|o3:three\n|");
}

TEST_F(JsonLogTest, PassesOverDamageAndCutsATornLineOff) {
    append(*open_writer(), Stream::Stdout, "one\n");
    {
        const UniqueFd file = open_file(file_, O_WRONLY | O_APPEND).value();
        ASSERT_TRUE(write_all(file, "no json\n{\"log\":\"tor").ok());
    }
    EXPECT_EQ(read_log(), "o1:one\n|");
    append(*open_writer(), Stream::Stdout, "two\n");
    EXPECT_EQ(read_log(), "o1:one\ntwo\n|");
}

TEST_F(JsonLogTest, AFollowerStartsOverWhenSomebodyEmptiesTheFile) {
    const auto writer = open_writer();
    append(*writer, Stream::Stdout, "one\n");
    const auto reader = open_reader();
    EXPECT_EQ(drain(*reader), "o1:one\n|");
    ASSERT_EQ(truncate(file_.c_str(), 0), 0);
    EXPECT_EQ(drain(*reader), "");
    append(*writer, Stream::Stdout, "two\n");
    EXPECT_EQ(drain(*reader), "o2:two\n|");
}

TEST_F(JsonLogTest, ReadsLinesThatOthersWrote) {
    JsonLogParser parser;
    std::string text = "before";
    const auto line = parser.parse(
        R"( {"time":"2026-01-02T03:04:05.5+01:00", "extra":[{"a":"}"},2], "stream":"stderr",)"
        R"("log":"\u00e9\ud83d\ude00\/\n"})",
        text);
    ASSERT_TRUE(line.has_value());
    EXPECT_EQ(line->text, "\xc3\xa9\xf0\x9f\x98\x80/\n");
    EXPECT_EQ(line->stream, Stream::Stderr);
    EXPECT_EQ(format_rfc3339(line->time), "2026-01-02T02:04:05.5Z");
    for (const char* broken :
         {"",
          "{}",
          "{",
          R"({"log":"a"})",
          R"({"log":"a","time":"x"})",
          R"({"log":"\u00g0","time")",
          R"({"log":"a","time":"2026-01-02T03:04:05Z"} x)",
          R"({"a":]]]]})"}) {
        std::string broken_text = "before";
        EXPECT_FALSE(parser.parse(broken, broken_text).has_value()) << broken;
        EXPECT_EQ(broken_text, "before");
    }
    // The same tail behind other texts, and a tail that names the text again.
    const std::string tail = R"(,"stream":"stderr","time":"2026-01-02T03:04:05Z"})";
    for (const char* word : {"a", "b", "c"}) {
        std::string said;
        const auto short_line = parser.parse(R"({"log":")" + std::string(word) + "\"" + tail, said);
        ASSERT_TRUE(short_line.has_value());
        EXPECT_EQ(said, word);
        EXPECT_EQ(short_line->stream, Stream::Stderr);
        EXPECT_EQ(short_line->time.seconds(), 1767323045);
    }
    std::string last;
    ASSERT_TRUE(parser.parse(R"({"log":"a","log":"z")" + tail, last).has_value());
    EXPECT_EQ(last, "z");
    last.clear();
    ASSERT_TRUE(parser.parse(R"({"log":"b","log":"y")" + tail, last).has_value());
    EXPECT_EQ(last, "y");
}

} // namespace
} // namespace berth::io
