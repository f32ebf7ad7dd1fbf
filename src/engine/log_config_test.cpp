// SPDX-License-Identifier: Apache-2.0
// Options of logging drivers, tags, and what is compressed when.
#include "base/file.h"
#include "engine/log_compression.h"
#include "engine/log_config.h"
#include "engine/log_driver.h"
#include "engine/log_info.h"
#include "io/log_file.h"
#include "io/log_format.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

std::string refusal(const std::string& type, StringMap options) {
    LogConfig log{.type = type, .config = std::move(options)};
    const auto done = complete_log_config(log, DaemonConfig());
    return done.ok() ? "" : done.error().message();
}

LogInfo web() {
    return {
        .options = {},
        .id = "0123456789abcdef",
        .name = "web",
        .entrypoint = "sh",
        .arguments = {"-c", "true"},
        .image_id = "sha256:abcdef",
        .image_name = "nginx:1",
        .created = {},
        .environment = {"A=1", "AB=2", "C=x=y"},
        .labels = {{"role", "front"}, {"zone1", "z"}}};
}

TEST(LogConfig, TakesTheDaemonsOptionsWhereTheDriverIsTheSame) {
    DaemonConfig daemon;
    daemon.log_driver = "json-file";
    daemon.log_options = {{"max-size", "1m"}, {"cache-disabled", "true"}};
    LogConfig same{.type = "", .config = {{"max-file", "2"}}};
    ASSERT_TRUE(complete_log_config(same, daemon).ok());
    EXPECT_EQ(same.type, "json-file");
    EXPECT_EQ(
        same.config,
        (StringMap{{"cache-disabled", "true"}, {"max-file", "2"}, {"max-size", "1m"}}));
    LogConfig other{.type = "local", .config = {}};
    ASSERT_TRUE(complete_log_config(other, daemon).ok());
    EXPECT_EQ(other.config, (StringMap{{"cache-disabled", "true"}}));
}

TEST(LogConfig, CountsSizesAsTheDriverDoes) {
    const auto size = [](const std::string& type, const std::string& text) {
        const LogConfig log{.type = type, .config = {{"max-size", text}}};
        return log_output_options(log, "c", "/d").max_file_size;
    };
    EXPECT_EQ(size("json-file", "10m"), 10'000'000U);
    EXPECT_EQ(size("json-file", "1.5kb"), 1500U);
    EXPECT_EQ(size("local", "10m"), 10U << 20);
    EXPECT_EQ(log_output_options({.type = "json-file", .config = {}}, "c", "/d").max_file_size, 0U);
    EXPECT_NE(refusal("json-file", {{"max-size", "x"}}), "");
    EXPECT_NE(refusal("json-file", {{"max-size", "0"}}), "");
    EXPECT_NE(refusal("json-file", {{"max-size", "1mm"}}), "");
}

TEST(LogConfig, ARemoteDriverWaitsUnlessItMayNot) {
    const StringMap address = {{"gelf-address", "udp://localhost:1"}};
    LogConfig log{.type = "gelf", .config = address};
    EXPECT_EQ(log_output_options(log, "c", "/d").backlog, io::LogBacklog::Wait);
    log.config.emplace("mode", "non-blocking");
    log.config.emplace("max-buffer-size", "1g");
    const io::LogOptions options = log_output_options(log, "c", "/d");
    EXPECT_EQ(options.backlog, io::LogBacklog::DropOldest);
    EXPECT_GE(options.max_file_size * options.max_files, 1ULL << 30U);
}

TEST(LogConfig, ExpandsTags) {
    EXPECT_EQ(expand_log_tag("{{.ID}}", web()).value(), "0123456789ab");
    EXPECT_EQ(
        expand_log_tag("{{ .Name }}/{{.ImageName}}-{{upper .Name}}{{ .Name | title }}", web())
            .value(),
        "web/nginx:1-WEBWeb");
    EXPECT_EQ(
        expand_log_tag("{{index .ContainerLabels \"role\"}} {{- .Command}}", web()).value(),
        "frontsh -c true");
    EXPECT_FALSE(expand_log_tag("{{.Nothing}}", web()).ok());
    EXPECT_FALSE(expand_log_tag("{{.ID", web()).ok());
    EXPECT_FALSE(expand_log_tag("{{}}", web()).ok());
    EXPECT_FALSE(expand_log_tag("{{|}}", web()).ok());
}

TEST(LogConfig, ChoosesLabelsAndVariables) {
    LogInfo info = web();
    info.options = {
        {"labels", "role,none"},
        {"labels-regex", "^zone\\d$"},
        {"env", "C"},
        {"env-regex", "^A.$"}};
    EXPECT_EQ(
        log_attributes(info).value(),
        (StringMap{{"AB", "2"}, {"C", "x=y"}, {"role", "front"}, {"zone1", "z"}}));
    EXPECT_EQ(log_details(info, "json-file"), "AB=2,C=x%3Dy,role=front,zone1=z");
    EXPECT_EQ(log_details(info, "gelf"), "");
}

class LogCompressionTest : public testing::Test {
  protected:
    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    io::LogOptions log_{
        .directory = directory_.path() + "/log", .max_file_size = 4096, .max_files = 100};

    void write_lines(int first, int last) {
        const auto writer = io::LogOutput::open(log_).value();
        for (int i = first; i <= last; ++i) {
            ASSERT_TRUE(
                writer->append(io::Stream::Stdout, Timestamp::now(), std::to_string(i) + "\n")
                    .ok());
        }
    }

    std::string read_all() {
        auto reader = io::LogReader::open({.directory = log_.directory,
                                           .decompress =
                                               [this](UniqueFd compressed) {
                                                   return decompress_log(
                                                       log_.directory, std::move(compressed));
                                               }})
                          .value();
        std::string text;
        while (const auto chunk = reader.next().value()) {
            text += chunk->bytes;
        }
        return text;
    }
};

TEST_F(LogCompressionTest, CompressesWhatWasRotatedAndIsQuiet) {
    write_lines(1, 1000);
    const std::string before = read_all();
    const std::size_t count = io::log_file_numbers(log_.directory).size();
    ASSERT_GT(count, 3U);
    EXPECT_TRUE(compress_rotated_logs(log_, std::chrono::hours(1), {}).value());
    EXPECT_FALSE(exists(io::compressed_log_path(log_.directory, 1)));
    EXPECT_FALSE(compress_rotated_logs(log_, std::chrono::milliseconds(0), {}).value());
    for (std::uint64_t number = 1; number <= count; ++number) {
        const bool is_written = number == count;
        EXPECT_EQ(exists(io::log_file_path(log_.directory, number)), is_written) << number;
        EXPECT_EQ(exists(io::compressed_log_path(log_.directory, number)), !is_written) << number;
    }
    EXPECT_EQ(read_all(), before);
    write_lines(1001, 1010);
    EXPECT_TRUE(read_all().ends_with("1009\n1010\n"));
}

} // namespace
} // namespace berth::engine
