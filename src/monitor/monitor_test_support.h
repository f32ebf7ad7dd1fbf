// SPDX-License-Identifier: Apache-2.0
// A bundle with busybox, and clients that keep what they were told. Needs root.
#pragma once

#include "base/file.h"
#include "base/random.h"
#include "io/log_file.h"
#include "kernel/socket.h"
#include "monitor/client.h"
#include "runtime/defaults.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::monitor {

// What a client was told, for threads that wait for it.
class Told {
  public:
    MonitorHandlers handlers() {
        return {
            .on_exit = [this](const Exited& exit) { change([&] { exits_[exit.exec_id] = exit; }); },
            .on_detach = [this](const std::string& id) { change([&] { detached_ = id + "!"; }); },
            .on_lost = [this] { change([&] { lost_ = true; }); }};
    }

    // exec_id empty: init. The code is -1 when it was not told in time.
    Exited wait_exit(const std::string& exec_id = "") {
        Exited exit{.code = -1};
        wait([&] { return exits_.contains(exec_id); });
        const std::lock_guard lock(mutex_);
        return exits_.contains(exec_id) ? exits_[exec_id] : exit;
    }

    bool wait_lost() {
        return wait([&] { return lost_; });
    }

    bool wait_detached() {
        return wait([&] { return !detached_.empty(); });
    }

  private:
    template <class Change>
    void change(Change what) {
        const std::lock_guard lock(mutex_);
        what();
        changed_.notify_all();
    }

    template <class Condition>
    bool wait(Condition condition) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), condition);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Exited> exits_;
    std::string detached_;
    bool lost_ = false;
};

class MonitorTest : public testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        // Monitors whose launcher was killed come here and not to init.
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        const std::string rootfs = path("rootfs");
        for (const char* name : {"/bin", "/proc", "/sys", "/dev", "/tmp", "/etc"}) {
            ASSERT_TRUE(make_directories(rootfs + name).ok());
        }
        const std::string busybox = read_file("/bin/busybox").value();
        ASSERT_TRUE(replace_file(rootfs + "/bin/busybox", busybox, 0755, Sync::No).ok());
        for (const char* name : {"sh", "cat", "sleep", "stty", "dd", "head", "kill", "echo"}) {
            ASSERT_EQ(symlink("busybox", (rootfs + "/bin/" + name).c_str()), 0);
        }
    }

    void TearDown() override {
        thread_.reset();
        (void)remove_abandoned(path("runtime"), id_);
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        for (const char* mode :
             {"",
              "memory",
              "pids",
              "cpu",
              "cpuacct",
              "cpuset",
              "devices",
              "freezer",
              "blkio",
              "systemd",
              "unified"}) {
            const std::string group = std::string("/sys/fs/cgroup/") + mode + cgroup_parent();
            (void)rmdir(group.c_str());
        }
    }

    static std::string cgroup_parent() { return "/berth-test-" + std::to_string(getpid()); }

    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

    static oci::Process process(std::vector<std::string> args, bool terminal = false) {
        oci::Process process;
        process.args = std::move(args);
        process.cwd = "/";
        process.env = {"PATH=/bin"};
        process.terminal = terminal;
        return process;
    }

    LaunchOptions options(std::vector<std::string> args, bool terminal = false) {
        auto config = runtime::default_config({.root_path = path("rootfs"),
                                               .hostname = "test",
                                               .cgroups_path = cgroup_parent() + "/" + id_})
                          .value();
        oci::Process wanted = process(std::move(args), terminal);
        wanted.capabilities = config.process ? config.process->capabilities : std::nullopt;
        config.process = std::move(wanted);
        const std::string text = oci::runtime_config_text(config);
        EXPECT_TRUE(replace_file(path("config.json"), text, 0600, Sync::No).ok());
        return {
            .program = monitor_program(),
            .id = id_,
            .bundle = directory_.path(),
            .runtime_root = path("runtime"),
            .socket_path = path("monitor.sock"),
            .exit_path = path("exit.json"),
            .log = io::LogOptions{.directory = path("log")},
            .terminal = terminal};
    }

    // Built beside the test.
    static std::string monitor_program() {
        std::array<char, 4096> target{};
        const ssize_t size = readlink("/proc/self/exe", target.data(), target.size());
        std::string path(target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        return path.substr(0, path.rfind('/')) + "/berth-monitor";
    }

    std::shared_ptr<MonitorClient> launch(LaunchOptions launch_options) {
        auto client =
            MonitorClient::launch(thread_->loop(), std::move(launch_options), told_.handlers());
        EXPECT_TRUE(client.ok()) << client.error().message();
        return std::move(client).value();
    }

    std::shared_ptr<MonitorClient> run(LaunchOptions launch_options) {
        auto client = launch(std::move(launch_options));
        const auto started = client->start();
        EXPECT_TRUE(started.ok()) << started.error().message();
        return client;
    }

    // The test's end of a connection that is attached.
    static UniqueFd attach(MonitorClient& client, AttachRequest request) {
        kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
        request.connection = std::move(pair.first);
        const auto attached = client.attach(request);
        EXPECT_TRUE(attached.ok()) << attached.error().message();
        return std::move(pair.second);
    }

    // Reads until the text has come or the connection ended.
    static std::string read_until(const UniqueFd& fd, std::string_view text) {
        std::string all;
        std::array<char, 4096> bytes;
        while (text.empty() || all.find(text) == std::string::npos) {
            const ssize_t count = read(fd.get(), bytes.data(), bytes.size());
            if (count <= 0) {
                break;
            }
            all.append(bytes.data(), static_cast<std::size_t>(count));
        }
        return all;
    }

    std::string logged() const {
        auto reader = io::LogReader::open({.directory = path("log")}).value();
        std::string all;
        while (const auto chunk = reader.next().value()) {
            all += chunk->bytes;
        }
        return all;
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::string id_ = "t" + random_hex(4);
    Told told_;
    std::unique_ptr<io::EventLoopThread> thread_ = io::EventLoopThread::start().value();
};

} // namespace berth::monitor
