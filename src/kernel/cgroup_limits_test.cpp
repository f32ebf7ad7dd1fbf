// SPDX-License-Identifier: Apache-2.0
// Every limit: its file has it afterwards, or the error names what this machine lacks. The same
// tests run on version 1, hybrid and version 2.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_files.h"

#include <gtest/gtest.h>

#include <unistd.h>

namespace berth::kernel {

namespace {

class CgroupLimitsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0 || !cgroup_layout().ok()) {
            GTEST_SKIP() << "control groups need root";
        }
        path_ = "/berth-test-limits-" + std::to_string(::getpid());
    }

    void TearDown() override {
        if (!path_.empty()) {
            auto group = Cgroup::open(path_);
            EXPECT_TRUE(!group.ok() || group->remove().ok());
        }
    }

    static bool version2() { return (*cgroup_layout())->mode == CgroupMode::Version2; }

    static bool has_controller(const std::string& name) {
        const CgroupLayout& layout = **cgroup_layout();
        return version2() ? read_file(layout.unified + "/cgroup.controllers")->find(name) !=
                                std::string::npos
                          : layout.controllers.contains(name);
    }

    Result<Cgroup> set(const CgroupLimits& limits) {
        Cgroup group = TRY(Cgroup::create(path_, limits));
        TRY(group.set_limits(limits));
        return group;
    }

    std::string error_of(const CgroupLimits& limits) {
        auto group = set(limits);
        return group.ok() ? "no error" : group.error().message();
    }

    static std::string text(const Cgroup& group, const std::string& v1, const std::string& v2) {
        const std::string& file = version2() ? v2 : v1;
        const std::string key = version2() ? "" : v1.substr(0, v1.find('.'));
        return std::string(
            trim(read_file(group.directories().at(key) + "/" + file).value_or("absent")));
    }

    std::string path_;
};

TEST_F(CgroupLimitsTest, BurstGoesUpAndDownWithTheQuota) {
    CgroupLimits limits;
    limits.cpu_quota = 50000;
    limits.cpu_period = 100000;
    limits.cpu_burst = 40000;
    auto group = set(limits);
    ASSERT_TRUE(group.ok()) << group.error().message();
    EXPECT_EQ(text(*group, "cpu.cfs_burst_us", "cpu.max.burst"), "40000");
    limits.cpu_quota = 20000;
    limits.cpu_burst = 10000;
    auto lower = group->set_limits(limits);
    EXPECT_TRUE(lower.ok()) << lower.error().message();
    EXPECT_EQ(text(*group, "cpu.cfs_burst_us", "cpu.max.burst"), "10000");
}

TEST_F(CgroupLimitsTest, IdleAndSharesTakeTurns) {
    CgroupLimits limits;
    limits.cpu_idle = 1;
    auto group = set(limits);
    ASSERT_TRUE(group.ok()) << group.error().message();
    EXPECT_EQ(text(*group, "cpu.idle", "cpu.idle"), "1");
    limits.cpu_idle = 0;
    limits.cpu_shares = 2048;
    auto busy = group->set_limits(limits);
    ASSERT_TRUE(busy.ok()) << busy.error().message();
    EXPECT_EQ(text(*group, "cpu.idle", "cpu.idle"), "0");
    EXPECT_EQ(text(*group, "cpu.shares", "cpu.weight"), version2() ? "174" : "2048");
    limits.cpu_idle = 2;
    EXPECT_EQ(error_of(limits), "cpu idle must be 0 or 1");
}

TEST_F(CgroupLimitsTest, WhatTheKernelRefusesIsAMistakeOfWhoAsked) {
    CgroupLimits limits;
    limits.pids = std::int64_t(1) << 62;
    auto group = set(limits);
    ASSERT_FALSE(group.ok());
    EXPECT_EQ(group.error().kind(), ErrorKind::InvalidArgument) << group.error().message();
    EXPECT_TRUE(group.error().message().ends_with("/pids.max: invalid argument"))
        << group.error().message();
}

// The curve of runc 1.3.2 and crun 1.23, which keeps the least, the default and the most.
TEST(CgroupWeights, FollowTheCurveThatRuncAndCrunHave) {
    const std::pair<std::uint64_t, std::uint64_t> known[] = {
        {1, 1}, {2, 1}, {512, 59}, {1024, 100}, {2048, 174}, {262143, 10000}, {262144, 10000}};
    for (const auto& [shares, weight] : known) {
        EXPECT_EQ(cgroup_files::weight_of_shares(shares), weight) << shares;
    }
}

TEST_F(CgroupLimitsTest, NoLimitOfMemoryTakesTheSwapLimitAlong) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_and_swap = 128 << 20;
    limits.memory_reservation = 32 << 20;
    auto group = set(limits);
    ASSERT_TRUE(group.ok()) << group.error().message();
    EXPECT_EQ(text(*group, "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    EXPECT_EQ(
        text(*group, "memory.memsw.limit_in_bytes", "memory.swap.max"),
        version2() ? "67108864" : "134217728");
    CgroupLimits none;
    none.memory = -1;
    auto lifted = group->set_limits(none);
    ASSERT_TRUE(lifted.ok()) << lifted.error().message();
    std::string swap = text(*group, "memory.memsw.limit_in_bytes", "memory.swap.max");
    EXPECT_TRUE(version2() ? swap == "max" : swap.size() > 15) << swap;
}

TEST_F(CgroupLimitsTest, SwapNeedsMemoryAndIsNotLess) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_and_swap = 32 << 20;
    EXPECT_EQ(error_of(limits), "memory and swap together are less than memory");
    limits.memory = -1;
    EXPECT_EQ(error_of(limits), "a swap limit needs a memory limit");
}

TEST_F(CgroupLimitsTest, WhatOnlyVersion1HasIsNamed) {
    struct Case {
        std::string file;
        void (*set)(CgroupLimits&);
    };

    const Case cases[] = {
        {"memory.swappiness", [](CgroupLimits& l) { l.swappiness = 10; }},
        {"memory.oom_control", [](CgroupLimits& l) { l.disable_oom_killer = true; }},
        {"memory.use_hierarchy", [](CgroupLimits& l) { l.memory_hierarchy = false; }},
        {"memory.kmem.limit_in_bytes", [](CgroupLimits& l) { l.memory_kernel = 1 << 20; }},
        {"memory.kmem.tcp.limit_in_bytes", [](CgroupLimits& l) { l.memory_kernel_tcp = 1 << 20; }},
        {"cpu.rt_runtime_us", [](CgroupLimits& l) { l.cpu_realtime_runtime = 1000; }},
        {"blkio.leaf_weight", [](CgroupLimits& l) { l.block_leaf_weight = 100; }},
        {"net_cls", [](CgroupLimits& l) { l.network_class = 0x100001; }},
        {"net_prio", [](CgroupLimits& l) { l.network_priorities["lo"] = 3; }}};
    for (const Case& wanted : cases) {
        CgroupLimits limits;
        wanted.set(limits);
        auto group = set(limits);
        if (version2()) {
            ASSERT_FALSE(group.ok()) << wanted.file;
        }
        if (!group.ok()) {
            EXPECT_NE(group.error().message().find(wanted.file), std::string::npos)
                << group.error().message();
        } else {
            EXPECT_TRUE(group->remove().ok());
        }
    }
}

TEST_F(CgroupLimitsTest, BlockWeightsHaveARange) {
    CgroupLimits limits;
    limits.block_weight = 5;
    EXPECT_EQ(error_of(limits), "a block I/O weight must be 10 to 1000");
    limits.block_weight.reset();
    limits.block_weight_devices = {{8, 0, 2000}};
    EXPECT_EQ(error_of(limits), "the block I/O weight of device 8:0 must be 10 to 1000");
}

TEST_F(CgroupLimitsTest, AMissingDeviceOrPageSizeIsAnErrorThatNamesTheFile) {
    CgroupLimits limits;
    limits.rdma = {{"mlx5_9", 3, 4}};
    EXPECT_NE(error_of(limits).find("rdma"), std::string::npos) << error_of(limits);
    limits = {};
    limits.huge_pages["3MB"] = 1;
    EXPECT_NE(error_of(limits).find("hugetlb"), std::string::npos) << error_of(limits);
    limits = {};
    limits.read_bps = {{4094, 7, 1000}};
    EXPECT_NE(
        error_of(limits).find(version2() ? "io.max" : "blkio.throttle.read_bps_device"),
        std::string::npos)
        << error_of(limits);
}

TEST_F(CgroupLimitsTest, HugePagesAreLimitedWhereTheKernelHasThem) {
    if (!has_controller("hugetlb")) {
        GTEST_SKIP() << "no hugetlb controller";
    }
    CgroupLimits limits;
    limits.huge_pages["2MB"] = 4 << 20;
    auto group = set(limits);
    ASSERT_TRUE(group.ok()) << group.error().message();
    EXPECT_EQ(text(*group, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
    EXPECT_EQ(text(*group, "hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max"), "4194304");
}

TEST_F(CgroupLimitsTest, UnifiedTakesAnyFileOfVersion2) {
    CgroupLimits limits;
    limits.unified = {{"memory.high", "33554432"}, {"memory.oom.group", "1"}, {"pids.max", "33"}};
    auto group = set(limits);
    if (!version2()) {
        ASSERT_FALSE(group.ok());
        EXPECT_EQ(
            group.error().message(), "unified resources need a machine with cgroup version 2");
        return;
    }
    ASSERT_TRUE(group.ok()) << group.error().message();
    EXPECT_EQ(text(*group, "", "memory.high"), "33554432");
    EXPECT_EQ(text(*group, "", "memory.oom.group"), "1");
    EXPECT_EQ(text(*group, "", "pids.max"), "33");
    limits.unified = {{"nothing.max", "1"}};
    EXPECT_NE(error_of(limits).find("\"nothing.max\" can't be set"), std::string::npos);
    limits.unified = {{"../pids.max", "1"}};
    EXPECT_NE(error_of(limits).find("must be a file name"), std::string::npos);
}

} // namespace

} // namespace berth::kernel
