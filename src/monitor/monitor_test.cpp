// SPDX-License-Identifier: Apache-2.0
// Containers under a monitor, with namespaces and cgroups of their own.
#include "kernel/process.h"
#include "monitor/monitor_test_support.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

namespace berth::monitor {
namespace {

using testing::HasSubstr;

TEST_F(MonitorTest, TellsAndRecordsTheExitCodeAndLogsTheOutput) {
    const auto client = run(options({"sh", "-c", "echo out; echo err >&2; exit 7"}));
    const Exited exit = told_.wait_exit();
    EXPECT_EQ(exit.code, 7);
    EXPECT_EQ(exit.signal, 0);
    EXPECT_FALSE(exit.oom_killed);
    const auto record = read_exit_record(path("exit.json")).value();
    ASSERT_TRUE(record.has_value());
    EXPECT_EQ(record->code, 7);
    EXPECT_THAT(logged(), HasSubstr("out\n"));
    EXPECT_THAT(logged(), HasSubstr("err\n"));
    ASSERT_TRUE(client->release().ok());
    EXPECT_FALSE(exists(path("monitor.sock")));
    EXPECT_FALSE(exists(path("runtime/" + id_)));
    EXPECT_TRUE(told_.wait_lost());
}

// So that init's end need not wait until the kernel has taken the mounts apart.
TEST_F(MonitorTest, HoldsTheMountNamespaceUntilTheExitIsTold) {
    LaunchOptions launch_options = options({"sleep", "100"});
    const auto client = launch(std::move(launch_options));
    const pid_t pid = client->start().value();
    const auto link_of = [](const std::string& place) {
        std::array<char, 64> target{};
        const ssize_t size = ::readlink(place.c_str(), target.data(), target.size());
        return std::string(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    };
    const std::string mounts = link_of("/proc/" + std::to_string(pid) + "/ns/mnt");
    ASSERT_THAT(mounts, HasSubstr("mnt:["));
    const std::string monitor = "/proc/" + std::to_string(client->monitor_pid()) + "/fd";
    const auto holds = [&] {
        const auto names = list_directory(monitor);
        return names.ok() && std::ranges::any_of(*names, [&](const std::string& name) {
                   return link_of(monitor + "/" + name) == mounts;
               });
    };
    // Behind the answer to the start.
    for (int i = 0; i < 500 && !holds(); ++i) {
        (void)poll(nullptr, 0, 10);
    }
    EXPECT_TRUE(holds());
    ASSERT_TRUE(client->kill_all(SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
    ASSERT_TRUE(client->release().ok());
    EXPECT_FALSE(holds());
}

TEST_F(MonitorTest, AReleaseDoesNotWaitForEver) {
    const auto client = run(options({"sleep", "100"}));
    ASSERT_TRUE(client->kill_all(SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
    ASSERT_EQ(::kill(client->monitor_pid(), SIGSTOP), 0);
    ASSERT_EQ(::waitpid(client->monitor_pid(), nullptr, WUNTRACED), client->monitor_pid());
    const auto released = client->release(std::chrono::milliseconds(50));
    ASSERT_EQ(::kill(client->monitor_pid(), SIGCONT), 0);
    ASSERT_FALSE(released.ok());
    EXPECT_EQ(released.error().kind(), ErrorKind::DeadlineExceeded);
    EXPECT_TRUE(told_.wait_lost()); // it was asked all the same
}

TEST_F(MonitorTest, ASignalIsToldAs128PlusItsNumber) {
    const auto client = run(options({"sleep", "100"}));
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    const Exited exit = told_.wait_exit();
    EXPECT_EQ(exit.code, 137);
    EXPECT_EQ(exit.signal, SIGKILL);
}

TEST_F(MonitorTest, ProgramsStartWithoutTheMonitorsSignalMaskAndDispositions) {
    const auto client = run(options({"cat", "/proc/self/status"}));
    EXPECT_EQ(told_.wait_exit().code, 0);
    EXPECT_THAT(logged(), HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
}

TEST_F(MonitorTest, AProgramThatIsNotThereFailsInTheRuntimesWords) {
    const auto client = launch(options({"nothing-like-it"}));
    const auto created = client->wait_created();
    const auto started = client->start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error().kind(), ErrorKind::NotFound);
    EXPECT_THAT(started.error().message(), HasSubstr("executable file not found in $PATH"));
    EXPECT_FALSE(created.ok());
    EXPECT_FALSE(exists(path("runtime/" + id_)));
}

TEST_F(MonitorTest, AContainerThatIsNotStartedGoesWithItsClient) {
    auto client = launch(options({"sleep", "100"}));
    const pid_t pid = client->wait_created().value();
    EXPECT_EQ(::kill(pid, 0), 0);
    client.reset();
    // Its parent may have gone before it: then it is this process's to reap.
    bool gone = false;
    for (int i = 0; i < 500 && !gone; ++i) {
        gone = ::kill(pid, 0) != 0 || waitpid(pid, nullptr, WNOHANG) == pid;
        (void)poll(nullptr, 0, 10);
    }
    EXPECT_TRUE(gone);
}

TEST_F(MonitorTest, AnAttachedClientGetsAllOutputAndThenTheEnd) {
    const auto client = launch(options({"sh", "-c", "echo one; echo two >&2"}));
    const UniqueFd session = attach(*client, {});
    ASSERT_TRUE(client->start().ok());
    std::string out;
    std::string err;
    io::StreamDemultiplexer demultiplexer;
    const std::string bytes = read_until(session, "");
    ASSERT_TRUE(demultiplexer
                    .feed(
                        bytes,
                        [&](io::Stream stream, std::string_view part) {
                            (stream == io::Stream::Stderr ? err : out) += part;
                            return ok();
                        })
                    .ok());
    EXPECT_EQ(out, "one\n");
    EXPECT_EQ(err, "two\n");
}

TEST_F(MonitorTest, InputReachesTheProcessAndItsEndDoes) {
    LaunchOptions launch_options = options({"cat"});
    launch_options.open_stdin = true;
    launch_options.stdin_once = true;
    const auto client = run(std::move(launch_options));
    const UniqueFd session =
        attach(*client, {.want_stdin = true, .multiplexed = false, .leftover = "left over, "});
    ASSERT_TRUE(write_all(session, "typed\n").ok());
    shutdown(session.get(), SHUT_WR);
    EXPECT_EQ(read_until(session, ""), "left over, typed\n");
    EXPECT_EQ(told_.wait_exit().code, 0);
}

TEST_F(MonitorTest, SeveralClientsSeeTheSame) {
    LaunchOptions launch_options = options({"cat"});
    launch_options.open_stdin = true;
    const auto client = run(std::move(launch_options));
    const UniqueFd first = attach(*client, {.want_stdin = true, .multiplexed = false});
    const UniqueFd second = attach(*client, {.multiplexed = false});
    ASSERT_TRUE(write_all(first, "hello\n").ok());
    EXPECT_EQ(read_until(first, "\n"), "hello\n");
    EXPECT_EQ(read_until(second, "\n"), "hello\n");
    ASSERT_TRUE(client->kill_all(SIGKILL).ok());
    EXPECT_EQ(read_until(second, ""), "");
}

TEST_F(MonitorTest, ATerminalHasTheSizeThatWasSetAndCanBeLeft) {
    LaunchOptions launch_options = options({"sh"}, true);
    launch_options.open_stdin = true;
    const auto client = run(std::move(launch_options));
    UniqueFd session = attach(*client, {.want_stdin = true, .detach_keys = "ctrl-p,ctrl-q"});
    ASSERT_TRUE(client->resize("", {.rows = 33, .columns = 77}).ok());
    ASSERT_TRUE(write_all(session, "stty size; tty=1\n").ok());
    EXPECT_THAT(read_until(session, "33 77"), HasSubstr("33 77"));
    ASSERT_TRUE(write_all(session, "\x10\x11").ok());
    EXPECT_TRUE(told_.wait_detached());
    (void)read_until(session, "");
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Running);
    session = attach(*client, {.want_stdin = true});
    ASSERT_TRUE(write_all(session, "exit 5\n").ok());
    EXPECT_EQ(told_.wait_exit().code, 5);
}

TEST_F(MonitorTest, ExecsRunBesideInitAndTellTheirExit) {
    const auto client = run(options({"sleep", "100"}));
    kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
    ExecRequest request{
        .exec_id = "e1",
        .process = oci::process_text(process({"sh", "-c", "echo from exec; exit 3"})),
        .attach = AttachRequest{.connection = std::move(pair.first), .multiplexed = false}};
    EXPECT_GT(client->exec(request).value(), 0);
    EXPECT_EQ(read_until(pair.second, ""), "from exec\n");
    EXPECT_EQ(told_.wait_exit("e1").code, 3);
    EXPECT_EQ(logged(), "") << "output of execs is not the container's";
}

TEST_F(MonitorTest, AnExecWithATerminalAndInput) {
    const auto client = run(options({"sleep", "100"}));
    kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
    ExecRequest request{
        .exec_id = "e1",
        .process = oci::process_text(process({"sh"}, true)),
        .terminal = true,
        .open_stdin = true,
        .attach = AttachRequest{.connection = std::move(pair.first), .want_stdin = true}};
    ASSERT_TRUE(client->exec(request).ok());
    ASSERT_TRUE(client->resize("e1", {.rows = 11, .columns = 22}).ok());
    ASSERT_TRUE(write_all(pair.second, "stty size\nexit 4\n").ok());
    EXPECT_THAT(read_until(pair.second, ""), HasSubstr("11 22"));
    EXPECT_EQ(told_.wait_exit("e1").code, 4);
}

TEST_F(MonitorTest, AnExecThatCannotBeRunFailsAndTheConnectionStays) {
    const auto client = run(options({"sleep", "100"}));
    kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
    ExecRequest request{
        .exec_id = "e1",
        .process = oci::process_text(process({"nothing-like-it"})),
        .attach = AttachRequest{.connection = std::move(pair.first)}};
    const auto failed = client->exec(request);
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().kind(), ErrorKind::NotFound);
    ASSERT_TRUE(write_all(request.attach->connection, "still here").ok());
    EXPECT_EQ(read_until(pair.second, "here"), "still here");
}

TEST_F(MonitorTest, ManyExecsOneAfterTheOther) {
    const auto client = run(options({"sleep", "100"}));
    for (int i = 0; i < 30; ++i) {
        ExecRequest request{
            .exec_id = "e" + std::to_string(i),
            .process = oci::process_text(process({"sh", "-c", "exit " + std::to_string(i)}))};
        ASSERT_TRUE(client->exec(request).ok());
        EXPECT_EQ(told_.wait_exit(request.exec_id).code, i);
    }
}

TEST_F(MonitorTest, ExecsEndWithTheContainer) {
    const auto client = run(options({"sleep", "100"}));
    ExecRequest request{.exec_id = "e1", .process = oci::process_text(process({"sleep", "100"}))};
    ASSERT_TRUE(client->exec(request).ok());
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
    EXPECT_EQ(told_.wait_exit("e1").code, 137);
}

TEST_F(MonitorTest, PauseAndResumeShowInTheStatus) {
    const auto client = run(options({"sleep", "100"}));
    ASSERT_TRUE(client->pause().ok());
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Paused);
    ASSERT_TRUE(client->resume().ok());
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Running);
    ASSERT_TRUE(client->kill_all(SIGTERM).ok());
}

TEST_F(MonitorTest, AClientThatReadsLateGetsEverything) {
    const auto client =
        launch(options({"sh", "-c", "dd if=/dev/zero bs=65536 count=64 2>/dev/null; echo end"}));
    const UniqueFd session = attach(*client, {.multiplexed = false});
    ASSERT_TRUE(client->start().ok());
    (void)poll(nullptr, 0, 200); // the container is held back meanwhile
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Running);
    EXPECT_EQ(read_until(session, "").size(), 64 * std::size_t{65536} + 4);
    EXPECT_EQ(told_.wait_exit().code, 0);
}

// The launcher is killed: container, session and log go on, and another client takes over.
TEST_F(MonitorTest, ContainerAndSessionSurviveTheKilledLauncher) {
    LaunchOptions launch_options =
        options({"sh", "-c", "while read -r line; do echo got $line; done; exit 9"});
    launch_options.open_stdin = true;
    launch_options.stdin_once = true;
    kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
    thread_.reset();
    Pipe ready = Pipe::create().value();
    const pid_t launcher = fork();
    if (launcher == 0) {
        pair.second.reset();
        thread_ = io::EventLoopThread::start().value();
        const auto client = launch(std::move(launch_options));
        AttachRequest request{
            .connection = std::move(pair.first), .want_stdin = true, .multiplexed = false};
        const bool fine = client->attach(request).ok() && client->start().ok();
        (void)!write(ready.write_end.get(), fine ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    pair.first.reset();
    char answer = 'n';
    ASSERT_EQ(read(ready.read_end.get(), &answer, 1), 1);
    ASSERT_EQ(answer, 'y');
    ::kill(launcher, SIGKILL);
    ASSERT_EQ(waitpid(launcher, nullptr, 0), launcher);

    ASSERT_TRUE(write_all(pair.second, "alone\n").ok());
    EXPECT_EQ(read_until(pair.second, "\n"), "got alone\n");
    thread_ = io::EventLoopThread::start().value();
    const auto client =
        MonitorClient::connect(thread_->loop(), path("monitor.sock"), told_.handlers());
    ASSERT_TRUE(client.ok()) << client.error().message();
    const StatusReply status = (*client)->status().value();
    EXPECT_EQ(status.phase, ContainerPhase::Running);
    EXPECT_EQ(status.id, id_);
    EXPECT_EQ(::kill(status.pid, 0), 0);
    shutdown(pair.second.get(), SHUT_WR);
    EXPECT_EQ(told_.wait_exit().code, 9);
    EXPECT_EQ(logged(), "got alone\n");
}

TEST_F(MonitorTest, WithoutAnyEngineTheExitIsRecordedAndTheMonitorGoes) {
    auto client = run(options({"sh", "-c", "sleep 0.2; echo late; exit 6"}));
    const pid_t monitor = client->monitor_pid();
    ExecRequest request{
        .exec_id = "e1", .process = oci::process_text(process({"sh", "-c", "exit 8"}))};
    ASSERT_TRUE(client->exec(request).ok());
    client.reset();
    for (int i = 0; i < 500 && ::kill(monitor, 0) == 0; ++i) {
        (void)poll(nullptr, 0, 10);
    }
    EXPECT_NE(::kill(monitor, 0), 0);
    EXPECT_EQ(read_exit_record(path("exit.json")).value()->code, 6);
    EXPECT_EQ(logged(), "late\n");
    EXPECT_EQ(
        MonitorClient::connect(thread_->loop(), path("monitor.sock"), {}).error().kind(),
        ErrorKind::NotFound);
}

TEST_F(MonitorTest, ExitsOfExecsAreKeptForTheNextEngine) {
    auto client = run(options({"sleep", "100"}));
    ExecRequest request{
        .exec_id = "e1", .process = oci::process_text(process({"sh", "-c", "sleep 0.1; exit 8"}))};
    ASSERT_TRUE(client->exec(request).ok());
    client.reset();
    (void)poll(nullptr, 0, 500);
    client =
        MonitorClient::connect(thread_->loop(), path("monitor.sock"), told_.handlers()).value();
    const StatusReply status = client->status().value();
    ASSERT_EQ(status.execs.size(), 1U);
    EXPECT_FALSE(status.execs[0].running);
    EXPECT_EQ(told_.wait_exit("e1").code, 8);
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
}

TEST_F(MonitorTest, AKilledMonitorTakesItsContainerAlong) {
    const auto client = run(options({"sleep", "100"}));
    const pid_t init = client->status().value().pid;
    const kernel::Child monitor = kernel::Child::adopt(client->monitor_pid()).value();
    ASSERT_EQ(::kill(client->monitor_pid(), SIGKILL), 0);
    EXPECT_TRUE(told_.wait_lost());
    // Its connection is closed before it has passed its children on.
    pollfd end{.fd = monitor.pidfd().get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&end, 1, -1), 1);
    EXPECT_EQ(client->status().error().kind(), ErrorKind::Unavailable);
    EXPECT_FALSE(read_exit_record(path("exit.json")).value().has_value());
    ASSERT_TRUE(remove_abandoned(path("runtime"), id_).ok());
    EXPECT_FALSE(exists(path("runtime/" + id_)));
    // Init is this process's now, as the reaper of orphans.
    EXPECT_EQ(waitpid(init, nullptr, 0), init);
}

TEST_F(MonitorTest, SignalsThatAreMeantForTheEngineDoNotReachTheContainer) {
    const auto client = run(options({"sleep", "100"}));
    for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGPIPE}) {
        ASSERT_EQ(::kill(client->monitor_pid(), number), 0);
    }
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Running);
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
}

// Of a static program; with a sanitizer it is dynamic and has a shadow memory.
#ifndef __SANITIZE_ADDRESS__
TEST_F(MonitorTest, AQuietMonitorKeepsWithinItsBudgetOfMemory) {
    const auto client = run(options({"sleep", "100"}));
    ExecRequest request{.exec_id = "e1", .process = oci::process_text(process({"sh", "-c", ":"}))};
    ASSERT_TRUE(client->exec(request).ok());
    EXPECT_EQ(told_.wait_exit("e1").code, 0);
    const std::string rollup = "/proc/" + std::to_string(client->monitor_pid()) + "/smaps_rollup";
    long kibibytes = 0;
    for (int i = 0; i < 500; ++i) {
        const std::string text = read_file(rollup).value();
        kibibytes = std::atol(text.c_str() + text.find("Pss:") + 4);
        if (kibibytes <= 307) {
            break;
        }
        (void)poll(nullptr, 0, 10);
    }
    EXPECT_LE(kibibytes, 307) << "0.3 MiB";
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
}
#endif

} // namespace
} // namespace berth::monitor
