// SPDX-License-Identifier: Apache-2.0
// process.scheduler, ioPriority, execCPUAffinity, capabilities, labels, rlimits; linux.personality
// and memoryPolicy: seen from inside.
#include "base/strings.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <sched.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;

class ContainerTraits : public ContainerTest {
  protected:
    // The message of a creation that must fail.
    std::string failure(ErrorKind kind = ErrorKind::InvalidArgument) {
        auto container = create();
        if (container.ok()) {
            EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
            wait_for_exit(container->pid());
            return "created";
        }
        EXPECT_EQ(container.error().kind(), kind) << container.error().message();
        return container.error().message();
    }
};

// A field of /proc/<pid>/stat, counted from one; the name may have blanks.
std::string stat_field(std::string_view line, std::size_t number) {
    std::optional<Cut> parts = cut_last(line, ")");
    std::vector<std::string_view> fields = words(parts ? parts->after : "");
    return number >= 3 && fields.size() > number - 3 ? std::string(fields[number - 3]) : "";
}

constexpr std::size_t nice_field = 19;
constexpr std::size_t priority_field = 40;
constexpr std::size_t policy_field = 41;

TEST_F(ContainerTraits, HasItsSchedulingPolicyAndNiceness) {
    config_.process->scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 5};
    const std::string batch = run_shell("cat /proc/1/stat").output;
    EXPECT_EQ(stat_field(batch, policy_field), std::to_string(SCHED_BATCH));
    EXPECT_EQ(stat_field(batch, nice_field), "5");
    config_.process->scheduler = oci::Scheduler{.policy = "SCHED_IDLE"};
    EXPECT_EQ(
        stat_field(run_shell("cat /proc/1/stat").output, policy_field), std::to_string(SCHED_IDLE));
}

TEST_F(ContainerTraits, ItsChildrenForgetAHigherPriorityWhenToldSo) {
    config_.process->scheduler =
        oci::Scheduler{.policy = "SCHED_OTHER", .nice = -5, .flags = {"SCHED_FLAG_RESET_ON_FORK"}};
    const std::string output =
        run_shell("cat /proc/1/stat; sleep 100 & cat /proc/$!/stat; kill $!").output;
    std::vector<std::string_view> lines = split(output, '\n');
    ASSERT_GE(lines.size(), 2U) << output;
    EXPECT_EQ(stat_field(lines[0], nice_field), "-5");
    EXPECT_EQ(stat_field(lines[1], nice_field), "0");
}

TEST_F(ContainerTraits, RealTimePoliciesReachTheKernelOrAreRefusedByName) {
    constexpr int deadline_policy = 6;
    const std::vector<std::pair<int, oci::Scheduler>> cases{
        {SCHED_FIFO, {.policy = "SCHED_FIFO", .priority = 7}},
        {SCHED_RR, {.policy = "SCHED_RR", .priority = 7}},
        {deadline_policy,
         {.policy = "SCHED_DEADLINE",
          .flags = {"SCHED_FLAG_RECLAIM"},
          .runtime = 1'000'000,
          .deadline = 100'000'000,
          .period = 100'000'000}}};
    for (const auto& [number, scheduler] : cases) {
        config_.process->scheduler = scheduler;
        config_.process->args = {"cat", "/proc/1/stat"}; // no fork: SCHED_DEADLINE may not
        auto container = create();
        if (!container.ok()) { // a group without real-time budget
            EXPECT_THAT(container.error().message(), HasSubstr("process.scheduler: sched_setattr"));
            continue;
        }
        const std::string output = finish(*container).output;
        EXPECT_EQ(stat_field(output, policy_field), std::to_string(number));
        if (number != deadline_policy) {
            EXPECT_EQ(stat_field(output, priority_field), "7");
        }
    }
}

TEST_F(ContainerTraits, NamesABadScheduler) {
    auto with = [&](oci::Scheduler scheduler) {
        config_.process->scheduler = std::move(scheduler);
        return failure();
    };
    EXPECT_EQ(
        with({.policy = "SCHED_BEST"}), "process.scheduler.policy: unknown value \"SCHED_BEST\"");
    EXPECT_THAT(with({.policy = "SCHED_OTHER", .nice = 20}), HasSubstr("process.scheduler.nice"));
    EXPECT_THAT(
        with({.policy = "SCHED_OTHER", .priority = 1}), HasSubstr("process.scheduler.priority"));
    EXPECT_THAT(
        with({.policy = "SCHED_OTHER", .flags = {"SCHED_FLAG_RECLAIM", "x"}}),
        HasSubstr("process.scheduler.flags[1]: unknown value \"x\""));
    EXPECT_THAT(with({.policy = "SCHED_RR", .runtime = 1}), HasSubstr("SCHED_DEADLINE"));
}

TEST_F(ContainerTraits, HasItsIoPriority) {
    config_.process->io_priority = oci::IoPriority{"IOPRIO_CLASS_BE", 6};
    EXPECT_EQ(run_shell("busybox ionice -p 1").output, "best-effort: prio 6\n");
    config_.process->io_priority = oci::IoPriority{"IOPRIO_CLASS_IDLE", 0};
    EXPECT_THAT(run_shell("busybox ionice -p 1").output, HasSubstr("idle"));
    config_.process->io_priority = oci::IoPriority{"IOPRIO_CLASS_NONE", 0};
    EXPECT_THAT(failure(), HasSubstr("process.ioPriority.class"));
    config_.process->io_priority = oci::IoPriority{"IOPRIO_CLASS_BE", 8};
    EXPECT_THAT(failure(), HasSubstr("process.ioPriority.priority"));
}

TEST_F(ContainerTraits, ExecHasPolicyPriorityAndCpusOfItsOwn) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    oci::Process process = *config_.process;
    process.scheduler = oci::Scheduler{.policy = "SCHED_BATCH"};
    process.io_priority = oci::IoPriority{"IOPRIO_CLASS_IDLE", 0};
    process.exec_cpu_affinity = oci::ExecCpuAffinity{"0", "0"};
    process.args = {
        "sh",
        "-c",
        "cat /proc/$$/stat; busybox ionice -p $$; grep Cpus_allowed_list /proc/self/status"};
    Outcome outcome = exec_process(*container, process);
    EXPECT_EQ(
        stat_field(split(outcome.output, '\n')[0], policy_field), std::to_string(SCHED_BATCH));
    EXPECT_THAT(outcome.output, HasSubstr("idle"));
    EXPECT_THAT(outcome.output, HasSubstr("Cpus_allowed_list:\t0\n"));
    process.exec_cpu_affinity = oci::ExecCpuAffinity{"0-", ""};
    EXPECT_THAT(
        exec_process(*container, process).output, HasSubstr("process.execCPUAffinity.initial"));
    process.exec_cpu_affinity = oci::ExecCpuAffinity{"", "8000"};
    EXPECT_THAT(
        exec_process(*container, process).output, HasSubstr("process.execCPUAffinity.final"));
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerTraits, LeavesUnknownCapabilitiesOut) {
    config_.process->capabilities = oci::Capabilities{
        .bounding = {"CAP_CHOWN", "CAP_OF_THE_FUTURE"},
        .effective = {"CAP_CHOWN"},
        .inheritable = {},
        .permitted = {"CAP_CHOWN", "CAP_OF_THE_FUTURE"},
        .ambient = {}};
    config_.linux_.seccomp.reset();
    EXPECT_EQ(
        run_shell("grep -E 'Cap(Prm|Bnd)' /proc/self/status").output,
        "CapPrm:\t0000000000000001\nCapBnd:\t0000000000000001\n");
}

TEST_F(ContainerTraits, NamesTheSecurityModuleThatIsNotThere) {
    if (!exists("/sys/fs/selinux/enforce")) {
        config_.process->selinux_label = "system_u:system_r:container_t:s0";
        EXPECT_THAT(failure(ErrorKind::Unavailable), HasSubstr("process.selinuxLabel"));
        config_.process->selinux_label.clear();
        config_.linux_.mount_label = "system_u:object_r:container_file_t:s0";
        EXPECT_THAT(failure(ErrorKind::Unavailable), HasSubstr("SELinux is not enabled"));
        config_.linux_.mount_label.clear();
    }
    if (!exists("/sys/module/apparmor")) {
        config_.process->apparmor_profile = "docker-default";
        EXPECT_THAT(failure(ErrorKind::Unavailable), HasSubstr("process.apparmorProfile"));
    }
}

TEST_F(ContainerTraits, NamesABadLimit) {
    config_.process->rlimits = {
        {.type = "RLIMIT_NOFILE", .hard = 9, .soft = 9}, {.type = "RLIMIT_X"}};
    EXPECT_EQ(failure(), "process.rlimits[1].type: wrong rlimit value: RLIMIT_X");
    config_.process->rlimits[1] = config_.process->rlimits[0];
    EXPECT_EQ(failure(), "process.rlimits[1].type: RLIMIT_NOFILE is listed twice");
    config_.process->rlimits.clear();
    config_.process->user.umask = 01000;
    EXPECT_THAT(failure(), HasSubstr("process.user.umask"));
}

TEST_F(ContainerTraits, HasItsPersonality) {
    config_.linux_.personality = oci::Personality{"LINUX32", {}};
    EXPECT_EQ(run_shell("busybox uname -m").output, "i686\n");
    config_.linux_.personality = oci::Personality{"LINUX", {}};
    EXPECT_NE(run_shell("busybox uname -m").output, "i686\n");
    config_.linux_.personality = oci::Personality{"BSD", {}};
    EXPECT_THAT(failure(), HasSubstr("linux.personality.domain"));
    config_.linux_.personality = oci::Personality{"LINUX", {"x"}};
    EXPECT_THAT(failure(), HasSubstr("linux.personality.flags[0]"));
}

TEST_F(ContainerTraits, HasItsMemoryPolicy) {
    if (!exists("/proc/self/numa_maps")) {
        config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "0", {}};
        EXPECT_THAT(failure(ErrorKind::Unavailable), HasSubstr("linux.memoryPolicy"));
        return;
    }
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "0", {"MPOL_F_STATIC_NODES"}};
    EXPECT_THAT(run_shell("head -n 1 /proc/self/numa_maps").output, HasSubstr("bind=static:0"));
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_INTERLEAVE", "0", {}};
    EXPECT_THAT(run_shell("head -n 1 /proc/self/numa_maps").output, HasSubstr("interleave:0"));
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_LOCAL", "", {}};
    EXPECT_THAT(run_shell("head -n 1 /proc/self/numa_maps").output, HasSubstr("local"));
}

TEST_F(ContainerTraits, NamesABadMemoryPolicy) {
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_NEAR", "0", {}};
    EXPECT_THAT(failure(), HasSubstr("linux.memoryPolicy.mode"));
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "x", {}};
    EXPECT_THAT(failure(), HasSubstr("linux.memoryPolicy.nodes"));
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "0", {"x"}};
    EXPECT_THAT(failure(), HasSubstr("linux.memoryPolicy.flags[0]"));
    config_.linux_.memory_policy = oci::MemoryPolicy{"MPOL_BIND", "63", {}}; // no such node
    EXPECT_THAT(failure(ErrorKind::Internal), HasSubstr("linux.memoryPolicy: set_mempolicy"));
}

TEST_F(ContainerTraits, NamesResctrlWhereItIsNotThere) {
    config_.linux_.intel_rdt = oci::IntelRdt{.clos_id = "a/b"};
    EXPECT_THAT(failure(), HasSubstr("linux.intelRdt.closID"));
    config_.linux_.intel_rdt = oci::IntelRdt{.mem_bw_schema = "L3:0=f"};
    EXPECT_THAT(failure(), HasSubstr("linux.intelRdt.memBwSchema"));
    config_.linux_.intel_rdt = oci::IntelRdt{.schemata = {"L3:0=f", "MB:0=10\nL3:0=1"}};
    EXPECT_THAT(failure(), HasSubstr("linux.intelRdt.schemata[1]"));
    if (!exists("/sys/fs/resctrl/schemata")) {
        config_.linux_.intel_rdt = oci::IntelRdt{.l3_cache_schema = "L3:0=f"};
        EXPECT_THAT(failure(ErrorKind::Unavailable), HasSubstr("resctrl"));
    }
}

} // namespace

} // namespace berth::runtime
