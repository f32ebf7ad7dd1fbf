// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::cli {
namespace {

using testing::ElementsAre;

struct Sample {
    explicit Sample(Flags::Interspersed interspersed = Flags::Interspersed::Yes)
        : flags(interspersed) {
        flags.boolean("rm", 0, remove, "Remove");
        flags.boolean("interactive", 'i', interactive, "Keep STDIN open");
        flags.boolean("tty", 't', tty, "Allocate");
        flags.text("name", 0, name, "Name");
        flags.list("publish", 'p', publish, "Publish");
        flags.number("time", 0, time, "Seconds");
    }

    Flags flags;
    bool remove = false;
    bool interactive = false;
    bool tty = false;
    std::string name;
    std::vector<std::string> publish;
    std::optional<std::int64_t> time;
};

TEST(Flags, TakesEveryFormOfAFlag) {
    Sample sample;
    auto arguments = sample.flags.parse(
        {"-it", "--name=web", "-p", "80:80", "-p81:81", "image", "--rm=false", "--time", "5"});
    ASSERT_TRUE(arguments.ok());
    EXPECT_THAT(*arguments, ElementsAre("image"));
    EXPECT_TRUE(sample.interactive && sample.tty);
    EXPECT_FALSE(sample.remove);
    EXPECT_EQ(sample.name, "web");
    EXPECT_THAT(sample.publish, ElementsAre("80:80", "81:81"));
    EXPECT_EQ(sample.time, 5);
    EXPECT_TRUE(sample.flags.given("rm"));
}

TEST(Flags, StopsAtTheFirstArgumentWhereTheCommandFollows) {
    Sample sample(Flags::Interspersed::No);
    auto arguments = sample.flags.parse({"--rm", "image", "ls", "-it", "--name", "x"});
    ASSERT_TRUE(arguments.ok());
    EXPECT_THAT(*arguments, ElementsAre("image", "ls", "-it", "--name", "x"));
    EXPECT_TRUE(sample.remove);
    EXPECT_FALSE(sample.tty);
}

TEST(Flags, DoubleDashEndsFlags) {
    Sample sample;
    EXPECT_THAT(*sample.flags.parse({"--rm", "--", "-it"}), ElementsAre("-it"));
}

struct BadCase {
    std::vector<std::string> arguments;
    std::string message;
};

class FlagErrorTest : public testing::TestWithParam<BadCase> {};

TEST_P(FlagErrorTest, SaysWhatDockerSays) {
    Sample sample;
    auto arguments = sample.flags.parse(GetParam().arguments);
    ASSERT_FALSE(arguments.ok());
    EXPECT_EQ(arguments.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Flags,
    FlagErrorTest,
    testing::Values(
        BadCase{{"--foo"}, "unknown flag: --foo"},
        BadCase{{"-ix"}, "unknown shorthand flag: 'x' in -ix"},
        BadCase{{"--name"}, "flag needs an argument: --name"},
        BadCase{{"-p"}, "flag needs an argument: 'p' in -p"},
        BadCase{
            {"--rm=maybe"},
            "invalid argument \"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \"maybe\": "
            "invalid syntax"},
        BadCase{
            {"--time", "soon"},
            "invalid argument \"soon\" for \"--time\" flag: strconv.ParseInt: parsing \"soon\": "
            "invalid syntax"}));

TEST(Flags, HelpIsAskedForInBothForms) {
    for (const char* form : {"--help", "-h"}) {
        Sample sample;
        ASSERT_TRUE(sample.flags.parse({form}).ok());
        EXPECT_TRUE(sample.flags.help_requested());
    }
}

} // namespace
} // namespace berth::cli
