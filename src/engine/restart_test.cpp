// SPDX-License-Identifier: Apache-2.0
// An engine that is killed, and the next one: containers go on, exits are found, leftovers go.
#include "base/file.h"
#include "engine/engine_test_support.h"

#include <gtest/gtest.h>

#include <csignal>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr const char* restart_root = "/tmp/berth-restart-test";

// Runs the body with an engine in a process of its own, which dies by SIGKILL at its end.
void with_killed_engine(TestEngine& test, const std::function<void(Engine&)>& body) {
    const pid_t child = fork();
    if (child == 0) {
        auto engine = test.open();
        if (engine) {
            body(*engine);
        }
        if (!engine || testing::Test::HasFailure()) {
            _exit(1);
        }
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// Waits until /proc shows the file in the container's root, or its absence: what the program does
// while no engine is there.
void wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
        poll(nullptr, 0, 5); // /proc has no event for it
    }
    EXPECT_TRUE(condition());
}

TEST(EngineRestart, FindsRunningContainersAndTheirExitCodes) {
    EXPECT_TRUE(run_isolated([] {
        TestEngine test(restart_root);
        const std::string gate = test.root + "/gate";
        ASSERT_TRUE(make_directories(gate).ok());
        with_killed_engine(test, [&gate](Engine& engine) {
            CreateRequest request = shell_request(
                "echo before; while ! test -e /gate/open; do sleep 0.01; done; echo after; exit 9",
                "survivor");
            request.host_config.binds = {gate + ":/gate"};
            engine.containers().create(std::move(request)).value();
            ASSERT_TRUE(engine.containers().start("survivor").ok());
        });
        auto engine = test.open();
        ASSERT_NE(engine, nullptr);
        auto shown = engine->containers().inspect("survivor").value();
        EXPECT_EQ(shown.state.status, ContainerStatus::Running);
        EXPECT_NE(shown.state.pid, 0);
        ASSERT_TRUE(replace_file(gate + "/open", "", 0644, Sync::No).ok());
        auto ended = engine->containers().wait({}, "survivor", WaitCondition::NotRunning);
        EXPECT_EQ(ended.value().exit_code, 9);
        EXPECT_EQ(log_text(*engine, "survivor"), "before\nafter\n");
    }));
}

TEST(EngineRestart, FindsExitsOfContainersThatEndedMeanwhile) {
    EXPECT_TRUE(run_isolated([] {
        TestEngine test(restart_root);
        const std::string gate = test.root + "/gate";
        ASSERT_TRUE(make_directories(gate).ok());
        with_killed_engine(test, [&gate](Engine& engine) {
            CreateRequest request = shell_request(
                "while ! test -e /gate/open; do sleep 0.01; done; touch /gate/ended; exit 6",
                "ended");
            request.host_config.binds = {gate + ":/gate"};
            engine.containers().create(std::move(request)).value();
            ASSERT_TRUE(engine.containers().start("ended").ok());
        });
        ASSERT_TRUE(replace_file(gate + "/open", "", 0644, Sync::No).ok());
        wait_for([&gate] { return exists(gate + "/ended"); });
        auto engine = test.open();
        ASSERT_NE(engine, nullptr);
        auto ended = engine->containers().wait({}, "ended", WaitCondition::NotRunning);
        EXPECT_EQ(ended.value().exit_code, 6);
        ASSERT_TRUE(engine->containers().remove("ended", {}).ok());
    }));
}

TEST(EngineRestart, EndsContainersWhoseMonitorWasKilledAndRestartsByPolicy) {
    EXPECT_TRUE(run_isolated([] {
        TestEngine test(restart_root);
        with_killed_engine(test, [](Engine& engine) {
            engine.containers().create(shell_request("sleep 1000", "plain")).value();
            CreateRequest request = shell_request("sleep 1000", "always");
            request.host_config.restart_policy.name = "always";
            engine.containers().create(std::move(request)).value();
            ASSERT_TRUE(engine.containers().start("plain").ok());
            ASSERT_TRUE(engine.containers().start("always").ok());
        });
        kill(-1, SIGKILL); // everything else in this pid namespace: monitors and containers
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        auto engine = test.open();
        ASSERT_NE(engine, nullptr);
        EXPECT_EQ(engine->containers().inspect("plain").value().state.exit_code, 137);
        wait_for([&engine] {
            return engine->containers().inspect("always").value().state.status ==
                   ContainerStatus::Running;
        });
        ASSERT_TRUE(engine->containers().start("plain").ok());
        engine->shutdown();
        EXPECT_EQ(
            engine->containers().inspect("always").value().state.status, ContainerStatus::Exited);
    }));
}

TEST(EngineRestart, SweepsWhatNoRowNames) {
    EXPECT_TRUE(run_isolated([] {
        TestEngine test(restart_root);
        { auto engine = test.open(); }
        const std::string orphan =
            test.options().config.data_root + "/containers/" + std::string(64, 'a');
        ASSERT_TRUE(make_directories(orphan).ok());
        auto engine = test.open();
        ASSERT_NE(engine, nullptr);
        wait_for([&orphan] { return !exists(orphan); });
    }));
}

TEST(EngineRestart, ASecondEngineOnTheSameRootIsRefused) {
    EXPECT_TRUE(run_isolated([] {
        TestEngine test(restart_root);
        auto engine = test.open();
        auto second = Engine::open(test.options());
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(second.error().kind(), ErrorKind::Conflict);
    }));
}

} // namespace
} // namespace berth::engine
