// SPDX-License-Identifier: Apache-2.0
// Monitors that are started before there is a container for them.
#include "kernel/cgroup.h"
#include "kernel/socket.h"
#include "monitor/channel.h"
#include "monitor/monitor_test_support.h"
#include "monitor/spare_monitors.h"

#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>

namespace berth::monitor {
namespace {

using testing::HasSubstr;

class SpareMonitorsTest : public MonitorTest {
  protected:
    // Starts what is to be started later.
    void run_jobs() {
        for (const auto& job : std::exchange(jobs_, {})) {
            job();
        }
    }

    std::string group() const { return cgroup_parent() + "/" + id_; }

    bool has_group() const {
        const auto opened = kernel::Cgroup::open(group());
        return opened.ok() && !opened->directories().empty();
    }

    // A spare monitor that has made the group.
    std::optional<StartedMonitor> take_expecting() {
        run_jobs();
        std::optional<StartedMonitor> spare = spares_.take();
        expect(*spare, group());
        // The group's directories appear one by one, the last of them unseen: the next message is
        // read when all are there.
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!has_group() && std::chrono::steady_clock::now() < end) {
            std::this_thread::yield();
        }
        EXPECT_TRUE(has_group());
        return spare;
    }

    std::vector<std::function<void()>> jobs_;
    SpareMonitors spares_{
        {.program = monitor_program(),
         .count = 1,
         .later = [this](auto, std::function<void()> job) { jobs_.push_back(std::move(job)); }}};
};

TEST_F(SpareMonitorsTest, ASpareMonitorServesAContainerLikeAnyOther) {
    run_jobs();
    ASSERT_TRUE(jobs_.empty()); // there is one
    LaunchOptions launch_options = options({"sh", "-c", "echo out; exit 7"});
    launch_options.spare = spares_.take();
    const auto client = run(std::move(launch_options));
    const std::string shown =
        read_file("/proc/" + std::to_string(client->monitor_pid()) + "/cmdline").value();
    EXPECT_EQ(told_.wait_exit().code, 7);
    EXPECT_THAT(logged(), HasSubstr("out\n"));
    // Its command line is that of any other, with spaces behind.
    EXPECT_THAT(shown, HasSubstr(std::string("--id\0", 5) + id_ + std::string(1, '\0')));
    const std::string end("--listener-fd\0004\0", 16);
    ASSERT_NE(shown.find(end), std::string::npos) << shown;
    EXPECT_EQ(
        shown.substr(shown.find(end) + end.size()).find_first_not_of(std::string(" \0", 2)),
        std::string::npos);
    ASSERT_TRUE(client->release().ok());
    EXPECT_FALSE(exists(path("monitor.sock")));
    EXPECT_EQ(jobs_.size(), 1U); // for the next container
    EXPECT_FALSE(spares_.take().has_value());
}

TEST_F(SpareMonitorsTest, WithoutASpareOneAMonitorIsStarted) {
    LaunchOptions launch_options = options({"sh", "-c", "exit 3"});
    launch_options.spare = spares_.take();
    const auto client = run(std::move(launch_options));
    EXPECT_EQ(told_.wait_exit().code, 3);
}

TEST_F(SpareMonitorsTest, DescriptorsGetTheNumbersThatTheContainerNames) {
    run_jobs();
    LaunchOptions launch_options =
        options({"sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/uts"});
    auto config = oci::parse_runtime_config(*read_file(path("config.json"))).value();
    std::string expected;
    // As many as would land on each other's numbers if they were placed one after the other.
    int number = first_inherited_fd;
    for (const auto& names : {std::pair("network", "net"), std::pair("uts", "uts")}) {
        const char* const type = names.first;
        const char* const file = names.second;
        for (int i = 0; i < 3; ++i) {
            UniqueFd fd(
                ::open((std::string("/proc/self/ns/") + file).c_str(), O_RDONLY | O_CLOEXEC));
            ASSERT_TRUE(fd);
            launch_options.fds.push_back({std::move(fd), number++});
        }
        std::erase_if(
            config.linux_.namespaces, [&](const auto& item) { return item.type == type; });
        config.linux_.namespaces.push_back({type, "/proc/self/fd/" + std::to_string(number - 1)});
        char target[64]{};
        ASSERT_GT(
            ::readlink((std::string("/proc/self/ns/") + file).c_str(), target, sizeof target - 1),
            0);
        expected += std::string(target) + "\n";
    }
    config.hostname.clear();
    ASSERT_TRUE(
        replace_file(path("config.json"), oci::runtime_config_text(config), 0600, Sync::No).ok());
    launch_options.spare = spares_.take();
    const auto client = run(std::move(launch_options));
    EXPECT_EQ(told_.wait_exit().code, 0);
    EXPECT_EQ(logged(), expected);
}

TEST_F(SpareMonitorsTest, ASpareMonitorGoesWithItsEngine) {
    run_jobs();
    std::optional<StartedMonitor> spare = spares_.take();
    ASSERT_TRUE(spare.has_value());
    EXPECT_EQ(::kill(spare->child.pid(), 0), 0);
    spare->control.reset();
    const auto ended = spare->child.wait();
    ASSERT_TRUE(ended.ok());
    EXPECT_EQ(ended->code, 0);
    EXPECT_EQ(ended->signal, 0);
}

TEST_F(SpareMonitorsTest, TheGroupIsMadeAheadAndIsTheContainers) {
    LaunchOptions launch_options = options({"sh", "-c", "cat /proc/self/cgroup; exit 7"});
    auto config = oci::parse_runtime_config(*read_file(path("config.json"))).value();
    std::erase_if(config.linux_.namespaces, [](const auto& item) { return item.type == "cgroup"; });
    ASSERT_TRUE(
        replace_file(path("config.json"), oci::runtime_config_text(config), 0600, Sync::No).ok());
    launch_options.spare = take_expecting();
    const auto client = run(std::move(launch_options));
    EXPECT_EQ(told_.wait_exit().code, 7);
    EXPECT_THAT(logged(), HasSubstr(":" + group() + "\n"));
    ASSERT_TRUE(client->release().ok());
    EXPECT_FALSE(has_group());
}

TEST_F(SpareMonitorsTest, TheGroupGoesWithTheEngine) {
    std::optional<StartedMonitor> spare = take_expecting();
    spare->control.reset();
    const auto ended = spare->child.wait();
    ASSERT_TRUE(ended.ok());
    EXPECT_EQ(ended->code, 0);
    EXPECT_FALSE(has_group());
}

TEST_F(SpareMonitorsTest, TheGroupGoesWithAContainerThatCannotBe) {
    LaunchOptions launch_options = options({"true"});
    ASSERT_TRUE(replace_file(path("config.json"), "{}", 0600, Sync::No).ok());
    launch_options.spare = take_expecting();
    const auto client = launch(std::move(launch_options));
    EXPECT_FALSE(client->start().ok());
    EXPECT_FALSE(has_group());
}

TEST_F(SpareMonitorsTest, APathThatCannotBeIsTheContainersMatter) {
    run_jobs();
    LaunchOptions launch_options = options({"sh", "-c", "exit 5"});
    launch_options.spare = spares_.take();
    expect(*launch_options.spare, "/../elsewhere");
    const auto client = run(std::move(launch_options));
    EXPECT_EQ(told_.wait_exit().code, 5);
}

TEST_F(SpareMonitorsTest, AnEngineFromBeforeDoesNotRing) {
    StartedMonitor spare = spawn_monitor(monitor_program(), {std::string(spare_flag)}, {}).value();
    const std::string id(64, 'a');
    const MonitorOptions wanted{
        .id = id,
        .bundle = path("none"),
        .runtime_root = path("runtime"),
        .socket_path = path("monitor.sock"),
        .exit_path = path("exit.json"),
        .control_fd = monitor_control_fd,
        .listener_fd = listener_fd};
    const UniqueFd listener = kernel::listen_unix(path("monitor.sock"), 0600, SOCK_STREAM).value();
    const int descriptor = listener.get();
    const Launch launch{.arguments = to_arguments(wanted)};
    ASSERT_TRUE(send_whole(spare.control, encode(launch, 0, 1), {{descriptor}}).ok());
    // It says why there is no container.
    ASSERT_TRUE(send_whole(spare.control, encode(AwaitCreated{}, 1), {}).ok());
    pollfd readable{.fd = spare.control.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&readable, 1, 10'000), 1);
    spare.control.reset();
    EXPECT_TRUE(spare.child.wait().ok());
}

} // namespace
} // namespace berth::monitor
