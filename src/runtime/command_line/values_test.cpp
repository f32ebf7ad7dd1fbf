// SPDX-License-Identifier: Apache-2.0
// What flags' values mean.
#include "base/file.h"
#include "runtime/command_line/command_table.h"
#include "runtime/command_line/duration.h"
#include "runtime/command_line/event_stats.h"
#include "runtime/command_line/process_flags.h"
#include "runtime/command_line/signals.h"
#include "runtime/command_line/table_text.h"
#include "runtime/command_line/update_flags.h"

#include <gtest/gtest.h>

#include <csignal>

namespace berth::runtime::command_line {

namespace {

Flags parsed(std::string_view command, const std::vector<std::string>& arguments) {
    const Command* found = find_command(command);
    return *Flags::parse(arguments, found->flags, found->order);
}

} // namespace

TEST(RuntimeSignals, AreNamesWithAndWithoutSigAndNumbers) {
    EXPECT_EQ(parse_signal("KILL").value(), SIGKILL);
    EXPECT_EQ(parse_signal("SIGTERM").value(), SIGTERM);
    EXPECT_EQ(parse_signal("sigusr1").value(), SIGUSR1);
    EXPECT_EQ(parse_signal("15").value(), 15);
    EXPECT_EQ(parse_signal("0").value(), 0);
    EXPECT_EQ(parse_signal("64").value(), 64);
    EXPECT_EQ(parse_signal("RTMIN+3").value(), 37);
    EXPECT_EQ(parse_signal("SIGRTMAX-1").value(), 63);
}

TEST(RuntimeSignals, RefusesWhatIsNone) {
    for (const char* text :
         {"", "FOO", "SIG", "65", "-9", "RTMIN-1", "RTMIN+31", "RTMAX+1", "9x"}) {
        auto signal = parse_signal(text);
        ASSERT_FALSE(signal.ok()) << text;
        EXPECT_EQ(signal.error().message(), "unknown signal \"" + std::string(text) + "\"");
    }
}

TEST(RuntimeDurations, AreGos) {
    using std::chrono_literals::operator""s;
    using std::chrono_literals::operator""min;
    using std::chrono_literals::operator""ms;
    EXPECT_EQ(parse_duration("5s").value(), 5s);
    EXPECT_EQ(parse_duration("1m30s").value(), 90s);
    EXPECT_EQ(parse_duration("1.5h").value(), 90min);
    EXPECT_EQ(parse_duration("100ms").value(), 100ms);
    for (const char* text : {"", "5", "s", "-1s", "5 s", "5x", "99999999999h"}) {
        EXPECT_FALSE(parse_duration(text).ok()) << text;
    }
}

TEST(RuntimeMemorySizes, ArePowersOf1024) {
    EXPECT_EQ(parse_memory_size("4096").value(), 4096);
    EXPECT_EQ(parse_memory_size("32m").value(), 32 << 20);
    EXPECT_EQ(parse_memory_size("32MB").value(), 32 << 20);
    EXPECT_EQ(parse_memory_size("32MiB").value(), 32 << 20);
    EXPECT_EQ(parse_memory_size("1.5g").value(), 3 * (std::int64_t{1} << 29));
    EXPECT_EQ(parse_memory_size("10b").value(), 10);
    for (const char* text : {"", "m", "1x", "-5", "1.2.3", "9999999p", "1kk"}) {
        EXPECT_FALSE(parse_memory_size(text).ok()) << text;
    }
}

TEST(RuntimeUpdateFlags, ChangeOnlyWhatTheyName) {
    auto resources = resources_from_flags(
        parsed("update", {"--memory", "32m", "--cpu-quota=-1", "--pids-limit", "7", "id"}));
    ASSERT_TRUE(resources.ok()) << resources.error().message();
    EXPECT_EQ(resources->memory->limit, 32 << 20);
    EXPECT_FALSE(resources->memory->swap.has_value());
    EXPECT_EQ(resources->cpu->quota, -1);
    EXPECT_FALSE(resources->cpu->period.has_value());
    EXPECT_EQ(resources->pids->limit, 7);
    EXPECT_FALSE(resources->block_io.has_value());
}

TEST(RuntimeUpdateFlags, TakesSwapAlongWhenMemoryIsUnlimited) {
    auto resources = resources_from_flags(parsed("update", {"--memory=-1", "id"}));
    ASSERT_TRUE(resources.ok());
    EXPECT_EQ(resources->memory->swap, -1);
}

TEST(RuntimeUpdateFlags, NamesTheFlagOfAWrongValue) {
    auto resources = resources_from_flags(parsed("update", {"--cpu-share", "many", "id"}));
    ASSERT_FALSE(resources.ok());
    EXPECT_TRUE(resources.error().message().starts_with("invalid value for cpu-share"));
}

TEST(RuntimeSubCgroups, HaveControllersInFront) {
    EXPECT_EQ(parse_sub_cgroups({"a/b"})->at(""), "a/b");
    auto several = parse_sub_cgroups({"memory,cpu:a", "pids:b"});
    ASSERT_TRUE(several.ok());
    EXPECT_EQ(several->at("cpu"), "a");
    EXPECT_EQ(several->at("pids"), "b");
    EXPECT_FALSE(parse_sub_cgroups({"a", "b"}).ok());
    EXPECT_FALSE(parse_sub_cgroups({":a"}).ok());
    EXPECT_FALSE(parse_sub_cgroups({"cpu:a", "cpu:b"}).ok());
}

TEST(RuntimeStatistics, PressureHasRuncsNames) {
    json::Object object = pressure_object("some avg10=1.25 avg60=0.00 avg300=0.00 total=77\n"
                                          "full avg10=0.50 avg60=0.00 avg300=0.00 total=8\n");
    EXPECT_EQ(
        json::serialize(json::Value(object["some"])),
        R"({"avg10":1.25E0,"avg60":0E0,"avg300":0E0,"total":77})");
    EXPECT_EQ(object["full"].at("total").as_uint64(), 8U);
    EXPECT_TRUE(pressure_object("").empty());
}

TEST(RuntimeStatistics, RdmaHasLibcontainersNames) {
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(
        replace_file(folder->path() + "/rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n").ok());
    ASSERT_TRUE(replace_file(folder->path() + "/rdma.current", "").ok());
    EXPECT_EQ(
        json::serialize(json::Value(rdma_object(folder->path()))),
        R"({"rdma_limit":[{"device":"mlx4_0","hca_handles":2,"hca_objects":4294967295}]})");
    EXPECT_TRUE(rdma_object("").empty());
}

TEST(RuntimeNumberLists, HaveRanges) {
    EXPECT_EQ(*parse_number_list("0-2,5"), (std::vector<std::uint16_t>{0, 1, 2, 5}));
    EXPECT_TRUE(parse_number_list("")->empty());
    EXPECT_FALSE(parse_number_list("0-").ok());
}

TEST(RuntimeExecFlags, ChangeTheContainersProcess) {
    oci::Process process;
    process.args = {"init"};
    process.env = {"A=1"};
    process.user.gid = 7;
    process.capabilities.emplace();
    auto changed = changed_process(
        process,
        parsed(
            "exec",
            {"-t",
             "-e",
             "B=2",
             "--cwd",
             "/tmp",
             "-u",
             "5",
             "-g",
             "3",
             "-g",
             "4",
             "--cap",
             "CAP_KILL",
             "--no-new-privs",
             "id",
             "ls",
             "-l"}));
    ASSERT_TRUE(changed.ok()) << changed.error().message();
    EXPECT_EQ(changed->args, (std::vector<std::string>{"ls", "-l"}));
    EXPECT_EQ(changed->env, (std::vector<std::string>{"A=1", "B=2"}));
    EXPECT_EQ(changed->cwd, "/tmp");
    EXPECT_EQ(changed->user.uid, 5U);
    EXPECT_EQ(changed->user.gid, 7U); // kept without a group
    EXPECT_EQ(changed->user.additional_gids, (std::vector<std::uint32_t>{3, 4}));
    EXPECT_EQ(changed->capabilities->effective, std::vector<std::string>{"CAP_KILL"});
    EXPECT_TRUE(changed->capabilities->ambient.empty());
    EXPECT_TRUE(changed->no_new_privileges);
    EXPECT_TRUE(changed->terminal);
}

TEST(RuntimeExecFlags, TakesNumbersOfUsersOnly) {
    EXPECT_EQ(parse_numeric_user("1:2")->gid, 2U);
    for (const char* text : {"root", "1:", "1:2:3", "-1", "4294967296", " 1", "1x"}) {
        EXPECT_FALSE(parse_numeric_user(text).ok()) << text;
    }
}

TEST(RuntimeTables, AlignAsGosTabwriter) {
    EXPECT_EQ(
        table_text({{"ID", "PID", "OWNER"}, {"a-long-container", "1", "root"}}),
        "ID                 PID         OWNER\n"
        "a-long-container   1           root\n");
}

} // namespace berth::runtime::command_line
