// SPDX-License-Identifier: Apache-2.0
// Real groups below /berth-test-<pid>, and layouts of other machines as text.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"
#include "kernel/namespace.h"
#include "kernel/process.h"

#include <gtest/gtest.h>

#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

class CgroupTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0 || !cgroup_layout().ok()) {
            GTEST_SKIP() << "control groups need root";
        }
        parent_ = "/berth-test-kernel-" + std::to_string(::getpid());
    }

    void TearDown() override {
        auto parent = Cgroup::open(parent_);
        if (parent.ok()) {
            EXPECT_TRUE(parent->kill(SIGKILL).ok());
            EXPECT_TRUE(parent->remove().ok());
        }
    }

    Cgroup make(const CgroupLimits& limits = {}) {
        auto group = Cgroup::create(parent_ + "/g", limits);
        EXPECT_TRUE(group.ok()) << group.error().message();
        EXPECT_TRUE(group->set_limits(limits).ok());
        return std::move(*group);
    }

    std::string file(const Cgroup& group, const std::string& v1, const std::string& v2) {
        std::string controller = v1.substr(0, v1.find('.'));
        auto found = group.directories().find(controller);
        bool version1 = found != group.directories().end();
        std::string path =
            version1 ? found->second + "/" + v1 : group.directories().at("") + "/" + v2;
        return std::string(trim(read_file(path).value_or("absent: " + path)));
    }

    // A process in the group that sleeps.
    Child sleeper(const Cgroup& group) {
        auto joins = group.open_joins();
        auto unified = group.open_unified();
        auto cloned = clone_process(0, *unified);
        EXPECT_TRUE(cloned.ok());
        if (cloned->pid == 0) {
            if (!Cgroup::join(*joins).ok()) {
                ::_exit(1);
            }
            while (true) {
                ::pause();
            }
        }
        auto child = Child::adopt(cloned->pid, std::move(cloned->pidfd));
        // It has joined once it is listed in the last group.
        for (const auto& [controller, directory] : group.directories()) {
            while (trim(read_file(directory + "/cgroup.procs").value_or("")).empty()) {
                ::sched_yield();
            }
        }
        return std::move(*child);
    }

    std::string parent_;
};

TEST_F(CgroupTest, LimitsAreInTheKernelsFiles) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_and_swap = 128 << 20;
    limits.cpu_shares = 512;
    limits.cpu_quota = 50000;
    limits.cpu_period = 100000;
    limits.cpuset_cpus = "0";
    limits.pids = 17;
    Cgroup group = make(limits);
    EXPECT_EQ(file(group, "memory.limit_in_bytes", "memory.max"), "67108864");
    EXPECT_EQ(file(group, "pids.max", "pids.max"), "17");
    EXPECT_EQ(file(group, "cpuset.cpus", "cpuset.cpus"), "0");
    EXPECT_EQ(
        cgroup_layout().value()->mode == CgroupMode::Version2
            ? file(group, "-", "cpu.max")
            : file(group, "cpu.cfs_quota_us", "") + " " + file(group, "cpu.cfs_period_us", ""),
        "50000 100000");
}

TEST_F(CgroupTest, LimitsCanBeChangedUpAndDown) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_and_swap = 64 << 20;
    Cgroup group = make(limits);
    limits.memory = 256 << 20;
    limits.memory_and_swap = 512 << 20;
    ASSERT_TRUE(group.set_limits(limits).ok());
    limits.memory = 32 << 20;
    limits.memory_and_swap = 48 << 20;
    ASSERT_TRUE(group.set_limits(limits).ok());
    EXPECT_EQ(file(group, "memory.limit_in_bytes", "memory.max"), "33554432");
    limits.memory = -1;
    limits.memory_and_swap = -1;
    auto unlimited = group.set_limits(limits);
    EXPECT_TRUE(unlimited.ok()) << unlimited.error().message();
}

TEST_F(CgroupTest, AnUpdateMovesProcessesIntoAControllerThatIsNew) {
    Cgroup group = make();
    Child child = sleeper(group);
    CgroupLimits limits;
    limits.cpu_quota = 20000;
    ASSERT_TRUE(group.set_limits(limits).ok());
    std::string own = read_file("/proc/" + std::to_string(child.pid()) + "/cgroup").value_or("");
    EXPECT_NE(
        own.find(":cpu:" + parent_ + "/g\n") == std::string::npos ? own.find("0::" + parent_ + "/g")
                                                                  : 0,
        std::string::npos)
        << own;
}

TEST_F(CgroupTest, FreezesAndThaws) {
    Cgroup group = make();
    Child child = sleeper(group);
    ASSERT_TRUE(group.freeze().ok());
    EXPECT_TRUE(group.frozen());
    ASSERT_TRUE(group.thaw().ok());
    EXPECT_FALSE(group.frozen());
}

TEST_F(CgroupTest, KillReachesAllAndRemoveWaitsForThem) {
    Cgroup group = make();
    std::vector<Child> children;
    for (int i = 0; i < 5; ++i) {
        children.push_back(sleeper(group));
    }
    EXPECT_EQ(group.processes()->size(), 5U);
    ASSERT_TRUE(group.kill(SIGKILL).ok());
    ASSERT_TRUE(group.remove().ok());
    EXPECT_FALSE(group.exists());
    for (Child& child : children) {
        EXPECT_EQ(child.wait()->signal, SIGKILL);
    }
    EXPECT_TRUE(group.remove().ok());
}

TEST_F(CgroupTest, RemoveTakesSubGroupsAlong) {
    Cgroup group = make();
    for (const auto& [controller, directory] : group.directories()) {
        ASSERT_TRUE(make_directories(directory + "/below/deeper").ok());
    }
    ASSERT_TRUE(group.remove().ok());
    EXPECT_FALSE(group.exists());
}

TEST_F(CgroupTest, StatsCount) {
    Cgroup group = make();
    Child child = sleeper(group);
    auto stats = group.stats();
    ASSERT_TRUE(stats.ok());
    EXPECT_GT(stats->memory_limit, 0U);
    EXPECT_EQ(stats->pids_current, 1U);
    EXPECT_EQ(stats->oom_kills, 0U);
}

TEST_F(CgroupTest, DeviceRulesDecideWhatOpens) {
    Cgroup group = make();
    auto try_open = [&](const char* path, int mode = O_RDONLY) {
        auto joins = group.open_joins();
        auto unified = group.open_unified();
        auto cloned = clone_process(0, *unified);
        if (cloned->pid == 0) {
            bool joined = Cgroup::join(*joins).ok();
            UniqueFd file(::open(path, mode | O_CLOEXEC | O_NONBLOCK));
            ::_exit(!joined ? 99 : file ? 0 : errno);
        }
        return Child::adopt(cloned->pid, std::move(cloned->pidfd))->wait()->code;
    };
    std::vector<CgroupDeviceRule> rules{
        {.allow = false, .type = 'a', .read = true, .write = true, .mknod = true},
        {.allow = true, .type = 'c', .major = 1, .minor = 5, .read = true}};
    auto set = group.set_device_rules(rules);
    ASSERT_TRUE(set.ok()) << set.error().message();
    EXPECT_EQ(try_open("/dev/zero"), 0);
    EXPECT_EQ(try_open("/dev/null"), EPERM);
    rules.push_back({.allow = true, .type = 'c', .major = 1, .minor = 3, .read = true});
    rules.push_back({.allow = false, .type = 'c', .major = 1, .minor = 5, .read = true});
    ASSERT_TRUE(group.set_device_rules(rules).ok());
    EXPECT_EQ(try_open("/dev/zero"), EPERM);
    EXPECT_EQ(try_open("/dev/null"), 0);
    EXPECT_EQ(try_open("/dev/null", O_RDWR), EPERM); // the rule does not cover all of it
    // Any minor number, a part refused again, and numbers that no device has.
    ASSERT_TRUE(
        group
            .set_device_rules(
                {{.allow = false, .type = 'a', .read = true, .write = true, .mknod = true},
                 {.allow = true, .type = 'c', .major = 1, .read = true, .write = true},
                 {.allow = false, .type = 'c', .major = 1, .minor = 5, .write = true},
                 {.allow = false, .type = 'c', .major = 1 + (1 << 12), .minor = 3, .read = true},
                 {.allow = false, .type = 'b', .major = 1, .minor = 3, .read = true}})
            .ok());
    EXPECT_EQ(try_open("/dev/null", O_RDWR), 0);
    EXPECT_EQ(try_open("/dev/zero"), 0);
    EXPECT_EQ(try_open("/dev/zero", O_WRONLY), EPERM);
    EXPECT_EQ(try_open("/dev/zero", O_RDWR), EPERM);
    EXPECT_EQ(try_open("/dev/tty0"), EPERM);
    ASSERT_TRUE(group
                    .set_device_rules(
                        {{.allow = true, .type = 'a', .read = true, .write = true, .mknod = true}})
                    .ok());
    EXPECT_EQ(try_open("/dev/zero"), 0);
}

TEST_F(CgroupTest, RefusesPathsThatLeaveTheHierarchy) {
    EXPECT_FALSE(Cgroup::create("/", {}).ok());
    EXPECT_FALSE(Cgroup::create("/a/../..", {}).ok());
    EXPECT_FALSE(Cgroup::create("", {}).ok());
}

TEST_F(CgroupTest, AGroupWithProcessesIsTaken) {
    Cgroup group = make();
    Child child = sleeper(group);
    if (group.directories().contains("")) {
        EXPECT_EQ(Cgroup::create(parent_ + "/g", {}).error().kind(), ErrorKind::Conflict);
    }
}

TEST(CgroupLayout, TellsVersionsApart) {
    auto pure = parse_cgroup_layout(
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/user.slice\n");
    ASSERT_TRUE(pure.ok());
    EXPECT_EQ(pure->mode, CgroupMode::Version2);
    EXPECT_EQ(pure->unified, "/sys/fs/cgroup");
    EXPECT_EQ(pure->own_paths.at(""), "/user.slice");
    auto old = parse_cgroup_layout(
        "1 2 0:1 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "1 2 0:2 / /cg/with\\040space rw - cgroup cgroup rw,memory\n"
        "1 2 0:3 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n",
        "4:cpu,cpuacct:/a\n3:memory:/b\n");
    ASSERT_TRUE(old.ok());
    EXPECT_EQ(old->mode, CgroupMode::Version1);
    EXPECT_EQ(old->controllers.at("cpuacct"), "/cg/cpu,cpuacct");
    EXPECT_EQ(old->controllers.at("memory"), "/cg/with space");
    EXPECT_EQ(old->controllers.size(), 3U);
    EXPECT_EQ(old->named_systemd, "/cg/systemd");
    EXPECT_EQ(old->own_paths.at("cpu"), "/a");
    EXPECT_FALSE(parse_cgroup_layout("1 2 0:1 / / rw - ext4 /dev/x rw\n", "").ok());
}

} // namespace

} // namespace berth::kernel
