// SPDX-License-Identifier: Apache-2.0
#include "runtime/command_line/command_table.h"
#include "runtime/command_line/flags.h"

#include <gtest/gtest.h>

#include <set>

namespace berth::runtime::command_line {

namespace {

constexpr FlagSpec specs[] = {
    {"force", "f", FlagKind::Switch, {}},
    {"memory", "", FlagKind::Value, {}},
    {"env", "e", FlagKind::Value, {}},
    {"preserve-fds", "", FlagKind::Number, {}}};

using Strings = std::vector<std::string>;

} // namespace

TEST(RuntimeFlags, TakesOneOrTwoDashesAndBothWaysOfGivingAValue) {
    auto flags = Flags::parse({"-force", "--memory=1m", "-e", "A=1", "-e=B=2", "id"}, specs);
    ASSERT_TRUE(flags.ok());
    EXPECT_TRUE(flags->is_set("force"));
    EXPECT_EQ(flags->value("memory"), "1m");
    EXPECT_EQ(flags->values("env"), (Strings{"A=1", "B=2"}));
    EXPECT_EQ(flags->rest(), Strings{"id"});
}

TEST(RuntimeFlags, FindsKnownFlagsBehindTheArguments) {
    auto flags = Flags::parse({"id", "-9", "--force", "--memory", "-1"}, specs);
    ASSERT_TRUE(flags.ok()) << flags.error().message();
    EXPECT_TRUE(flags->is_set("force"));
    EXPECT_EQ(flags->value("memory"), "-1");
    EXPECT_EQ(flags->rest(), (Strings{"id", "-9"}));
}

TEST(RuntimeFlags, StopsAtTheFirstArgumentWhereTheOrderSaysSo) {
    auto flags = Flags::parse({"-f", "id", "ls", "--force"}, specs, FlagOrder::First);
    ASSERT_TRUE(flags.ok());
    EXPECT_EQ(flags->rest(), (Strings{"id", "ls", "--force"}));
}

TEST(RuntimeFlags, LeavesEverythingBehindTwoDashesAlone) {
    auto flags = Flags::parse({"--", "--force"}, specs);
    ASSERT_TRUE(flags.ok());
    EXPECT_FALSE(flags->is_set("force"));
    EXPECT_EQ(flags->rest(), Strings{"--force"});
}

TEST(RuntimeFlags, UnderstandsSwitchesWithAValue) {
    auto flags = Flags::parse({"--force=false"}, specs);
    ASSERT_TRUE(flags.ok());
    EXPECT_FALSE(flags->is_set("force"));
    EXPECT_TRUE(flags->is_given("force"));
    auto bad = Flags::parse({"--force=maybe"}, specs);
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().message(), "invalid boolean value \"maybe\" for -force: parse error");
}

TEST(RuntimeFlags, RefusesUnknownOnesMissingValuesAndWrongNumbers) {
    auto unknown = Flags::parse({"--frce", "id"}, specs);
    ASSERT_FALSE(unknown.ok());
    EXPECT_EQ(unknown.error().message(), "flag provided but not defined: -frce");
    auto missing = Flags::parse({"--memory"}, specs);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().message(), "flag needs an argument: -memory");
    auto number = Flags::parse({"--preserve-fds", "x"}, specs);
    ASSERT_FALSE(number.ok());
    EXPECT_EQ(number.error().message(), "invalid value \"x\" for flag -preserve-fds: parse error");
}

TEST(RuntimeCommandTable, CountsArgumentsInRuncsWords) {
    const Command* create = find_command("create");
    ASSERT_NE(create, nullptr);
    auto none = check_arguments(*create, *Flags::parse({}, create->flags));
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().message(), "berth-runtime: \"create\" requires exactly 1 argument(s)");
    const Command* kill = find_command("kill");
    EXPECT_TRUE(check_arguments(*kill, *Flags::parse({"a", "TERM"}, kill->flags)).ok());
    EXPECT_FALSE(check_arguments(*kill, *Flags::parse({"a", "TERM", "x"}, kill->flags)).ok());
}

TEST(RuntimeCommandTable, NamesEachFlagOnceAndExplainsThoseThatDoSomething) {
    for (const Command& command : commands()) {
        std::set<std::string_view> names;
        for (const FlagSpec& flag : command.flags) {
            EXPECT_TRUE(names.insert(flag.name).second) << command.name << " " << flag.name;
            EXPECT_TRUE(flag.short_name.empty() || names.insert(flag.short_name).second)
                << command.name << " " << flag.short_name;
            const bool absent = command.name == "checkpoint" || command.name == "restore";
            EXPECT_TRUE(absent || !flag.help.empty()) << command.name << " " << flag.name;
            EXPECT_NE(command_help(command).find("--" + std::string(flag.name)), std::string::npos);
        }
        EXPECT_NE(program_help().find(command.name), std::string::npos);
    }
}

} // namespace berth::runtime::command_line
