// SPDX-License-Identifier: Apache-2.0
// Who is sent to ask, and gets no answer.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/server_answer.h"
#include "kernel/server_question.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include <sys/stat.h>

namespace berth::kernel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ServerQuestion : public testing::Test {
  protected:
    // A program that tells its pid and goes on.
    ServerQuestions sent(const std::string& then, milliseconds patience) {
        const std::string path = folder_.path() + "/program";
        EXPECT_TRUE(replace_file(
                        path,
                        "#!/bin/sh\necho $$ $* > " + folder_.path() + "/told.new; mv " +
                            folder_.path() + "/told.new " + folder_.path() + "/told; " + then +
                            "\n",
                        0755,
                        Sync::No)
                        .ok());
        return {.program = path, .patience = patience};
    }

    std::string told() const {
        const std::string text = read_file(folder_.path() + "/told", 4096).value_or("");
        return std::string(trim(text));
    }

    // Nobody of that pid is there, not even as a zombie.
    bool is_gone() const {
        const auto pid = parse_number<pid_t>(split(told_, ' ').front());
        return pid.ok() && ::kill(*pid, 0) != 0 && errno == ESRCH;
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
    std::string told_;
};

TEST_F(ServerQuestion, HasTheAnswersOfTheKernel) {
    const auto fine = reach_server_within(sent("exit 0", seconds(30)), "/some/where", {});
    EXPECT_TRUE(fine.ok());
    EXPECT_TRUE(told().ends_with(" --reach-server /some/where")) << told();
    const auto stale = reach_server_within(sent("exit 116", seconds(30)), "/", {});
    ASSERT_FALSE(stale.ok());
    EXPECT_EQ(stale.error().error_number(), ESTALE);
}

TEST_F(ServerQuestion, EndsWhenItsTimeIsOver) {
    const auto asked = reach_server_within(sent("exec sleep 1000", milliseconds(500)), "/", {});
    ASSERT_FALSE(asked.ok());
    EXPECT_EQ(asked.error().kind(), ErrorKind::DeadlineExceeded);
    told_ = told();
    EXPECT_TRUE(told_.empty() || is_gone());
}

TEST_F(ServerQuestion, EndsWhenItIsCalledOff) {
    std::stop_source stop;
    const ServerQuestions questions = sent("exec sleep 1000", seconds(60));
    std::jthread caller([&] {
        while (told().empty()) {
            std::this_thread::yield();
        }
        stop.request_stop();
    });
    const auto asked = reach_server_within(questions, "/", stop.get_token());
    ASSERT_FALSE(asked.ok());
    EXPECT_EQ(asked.error().kind(), ErrorKind::Cancelled);
    told_ = told();
    EXPECT_TRUE(is_gone()) << told_;
    EXPECT_FALSE(reach_server_within(questions, "/", stop.get_token()).ok());
}

TEST_F(ServerQuestion, IsAnsweredForTheOneWhoWasSent) {
    std::array<const char*, 2> words{"--reach-server", "/"};
    EXPECT_EQ(answer_server_question(words), 0);
    words[1] = "/not/there";
    EXPECT_EQ(answer_server_question(words), ENOENT);
    words[0] = "--id";
    EXPECT_EQ(answer_server_question(words), std::nullopt);
    EXPECT_EQ(answer_server_question({}), std::nullopt);
}

} // namespace
} // namespace berth::kernel
