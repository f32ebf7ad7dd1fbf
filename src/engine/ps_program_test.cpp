// SPDX-License-Identifier: Apache-2.0
// What ps prints, with columns of any kind; the machine's own ps where it has one.
#include "engine/ps_program.h"

#include <gmock/gmock.h>

#include <unistd.h>

namespace berth::engine {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PsProgram, KeepsTheLinesOfTheProcessesAskedFor) {
    const auto top = parse_ps_output(
        "    PID COMMAND         COMMAND\n      1 init            /sbin/init  -x\n"
        "     17 sh              sh -c   a b\n    170 sleep           sleep 1\n",
        {17});
    ASSERT_TRUE(top.ok());
    EXPECT_THAT(top->titles, ElementsAre("PID", "COMMAND", "COMMAND"));
    EXPECT_THAT(top->processes, ElementsAre(ElementsAre("17", "sh", "sh -c a b")));
}

TEST(PsProgram, LinesOfThreadsBelongToTheProcessBefore) {
    const auto top = parse_ps_output("PID LWP\n1 -\n- 1\n17 -\n- 17\n- 18\n", {17});
    ASSERT_TRUE(top.ok());
    EXPECT_THAT(
        top->processes,
        ElementsAre(ElementsAre("17", "-"), ElementsAre("-", "17"), ElementsAre("-", "18")));
}

TEST(PsProgram, WantsTheNumberOfTheProcess) {
    EXPECT_EQ(
        parse_ps_output("COMMAND\nsh\n", {1}).error().message(),
        "Couldn't find PID field in ps output");
    EXPECT_EQ(
        ask_ps({1}, "-o pid,comm -o uid=PID").error().message(),
        "specifying \"uid=PID\" is not allowed");
}

TEST(PsProgram, AsksTheMachinesOwn) {
    const auto top = ask_ps({getpid()}, "-eo pid,ppid,comm");
    ASSERT_TRUE(top.ok()) << top.error().message();
    if (!top->has_value()) {
        GTEST_SKIP() << "there is no ps here";
    }
    ASSERT_EQ((*top)->processes.size(), 1U);
    EXPECT_EQ((*top)->processes[0][0], std::to_string(getpid()));
    EXPECT_EQ((*top)->processes[0][1], std::to_string(getppid()));
    const auto wrong = ask_ps({getpid()}, "--no-such-option");
    ASSERT_FALSE(wrong.ok());
    EXPECT_THAT(wrong.error().message(), HasSubstr("option"));
}

} // namespace berth::engine
