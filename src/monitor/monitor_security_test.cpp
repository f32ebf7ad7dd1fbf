// SPDX-License-Identifier: Apache-2.0
// Who may speak to a monitor, and what is left of one that is killed at any moment.
#include "kernel/cgroup.h"
#include "kernel/process.h"
#include "monitor/monitor_test_support.h"

#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <filesystem>

namespace berth::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Lines of /proc/net/unix for the sockets that a process has open.
std::vector<std::string> unix_sockets_of(pid_t pid) {
    std::vector<std::string> inodes;
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::error_code error;
        const std::string target = std::filesystem::read_symlink(entry.path(), error);
        if (target.starts_with("socket:[")) {
            inodes.push_back(" " + target.substr(8, target.size() - 9));
        }
    }
    std::vector<std::string> lines;
    std::string text = read_file("/proc/net/unix", 64U << 20).value();
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t end = std::min(text.find('\n', start), text.size());
        const std::string line = text.substr(start, end - start) + " ";
        start = end + 1;
        for (const std::string& inode : inodes) {
            if (line.find(inode + " ") != std::string::npos) {
                lines.push_back(line);
            }
        }
    }
    return lines;
}

TEST_F(MonitorTest, Cve2020_15257_NoAbstractSocket) {
    const auto client = run(options({"sleep", "100"}));
    const std::vector<std::string> sockets = unix_sockets_of(client->monitor_pid());
    EXPECT_FALSE(sockets.empty());
    int listening = 0;
    for (const std::string& line : sockets) {
        EXPECT_THAT(line, Not(HasSubstr(" @"))) << "an abstract name";
        listening += line.find(path("monitor.sock")) != std::string::npos ? 1 : 0;
    }
    EXPECT_GE(listening, 1);

    struct stat status {};

    ASSERT_EQ(stat(path("monitor.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
}

TEST_F(MonitorTest, Cve2020_15257_AnotherUsersConnectionIsClosed) {
    // Even where the socket's mode would let it in: the peer's credentials count.
    const auto client = run(options({"sleep", "100"}));
    const std::string socket_path = path("monitor.sock");
    ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
    ASSERT_EQ(chmod(socket_path.c_str(), 0666), 0);
    const pid_t stranger = fork();
    if (stranger == 0) {
        char byte = 0;
        if (setresuid(65534, 65534, 65534) != 0) {
            _exit(1);
        }
        auto connection = kernel::connect_unix(socket_path, SOCK_STREAM);
        _exit(connection.ok() && read(connection->get(), &byte, 1) == 0 ? 0 : 2);
    }
    int wait_status = 0;
    ASSERT_EQ(waitpid(stranger, &wait_status, 0), stranger);
    EXPECT_EQ(wait_status, 0);
    EXPECT_EQ(client->status().value().phase, ContainerPhase::Running);
    ASSERT_TRUE(client->signal("", SIGKILL).ok());
    EXPECT_EQ(told_.wait_exit().code, 137);
}

TEST_F(MonitorTest, AMonitorThatIsKilledAtAnyMomentLeavesNothing) {
    using Clock = std::chrono::steady_clock;
    constexpr int moments = 40;
    constexpr std::chrono::microseconds step{300};
    int refused = 0;
    for (int i = 0; i < moments; ++i) {
        const auto client = launch(options({"sleep", "100"}));
        const auto end = Clock::now() + i * step;
        while (Clock::now() < end) {
        }
        ASSERT_EQ(::kill(client->monitor_pid(), SIGKILL), 0);
        const auto started = client->start();
        refused += started.ok() ? 0 : 1;
        const auto removed = remove_abandoned(path("runtime"), id_);
        EXPECT_TRUE(removed.ok()) << removed.error().message();
        EXPECT_FALSE(exists(path("runtime/" + id_))) << i;
        const auto group = kernel::Cgroup::open(cgroup_parent() + "/" + id_);
        EXPECT_TRUE(group.ok() && !group->exists()) << i;
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
        }
    }
    EXPECT_EQ(refused, moments);
}

} // namespace
} // namespace berth::monitor
