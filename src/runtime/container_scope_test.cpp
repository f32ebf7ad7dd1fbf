// SPDX-License-Identifier: Apache-2.0
// Which processes and ids belong to a container: its groups, signals to all of it, user namespaces.
#include "base/strings.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;

class ContainerScope : public ContainerTest {
  protected:
    // Another process that runs until it gets a signal.
    static Result<Process> start_sleeper(Container& container, const oci::Process& like) {
        oci::Process process = like;
        process.args = {"sleep", "1000"};
        return container.exec({.process = std::move(process)});
    }

    static bool ends(const Process& process) {
        pollfd ended{process.pidfd.get(), POLLIN, 0};
        return ::poll(&ended, 1, 10'000) == 1;
    }

    static std::string groups_of(pid_t pid) {
        return read_file("/proc/" + std::to_string(pid) + "/cgroup").value_or("");
    }
};

TEST_F(ContainerScope, AnExecIsInAllGroupsOfTheContainer) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    auto process = start_sleeper(*container, *config_.process);
    ASSERT_TRUE(process.ok()) << process.error().message();
    EXPECT_THAT(groups_of(process->pid), HasSubstr(cgroup_parent_ + "/c"));
    EXPECT_EQ(groups_of(process->pid), groups_of(container->pid()));
    std::vector<pid_t> members = *container->processes();
    EXPECT_THAT(members, ::testing::UnorderedElementsAre(container->pid(), process->pid));
    // Init does not end before those of its pid namespace are reaped, and that one is our child.
    EXPECT_TRUE(container->kill_all(SIGKILL).ok());
    EXPECT_EQ(wait_for_exit(process->pid), 128 + SIGKILL);
    EXPECT_EQ(wait_for_exit(container->pid()), 128 + SIGKILL);
    EXPECT_TRUE(container->destroy().ok());
}

TEST_F(ContainerScope, KillAllReachesEveryProcess) {
    // Init does not care for SIGTERM: the kernel drops what the first process has no handler for.
    config_.process->args = {"sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 1000"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    std::vector<Process> processes;
    for (int i = 0; i < 5; ++i) {
        auto started = start_sleeper(*container, *config_.process);
        ASSERT_TRUE(started.ok()) << started.error().message();
        processes.push_back(std::move(*started));
    }
    ASSERT_TRUE(container->kill_all(SIGTERM).ok());
    for (const Process& process : processes) {
        ASSERT_TRUE(ends(process));
        EXPECT_EQ(wait_for_exit(process.pid), 128 + SIGTERM);
    }
    ASSERT_TRUE(container->kill_all(SIGKILL).ok());
    EXPECT_EQ(wait_for_exit(container->pid()), 128 + SIGKILL);
    EXPECT_TRUE(container->processes()->empty());
    EXPECT_TRUE(container->destroy().ok());
}

TEST_F(ContainerScope, KillAllReachesProcessesInASharedPidNamespace) {
    // No pid namespace: nothing else would end what init leaves behind.
    std::erase_if(
        config_.linux_.namespaces, [](const oci::Namespace& entry) { return entry.type == "pid"; });
    config_.process->args = {"sh", "-c", "sleep 1000 & exit 0"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    EXPECT_EQ(wait_for_exit(container->pid()), 0);
    EXPECT_EQ(container->processes()->size(), 1U);
    EXPECT_TRUE(container->destroy().ok());
    EXPECT_FALSE(container->cgroup().exists());
}

TEST_F(ContainerScope, AUserNamespaceHasTheIdsThatItIsGiven) {
    use_user_namespace();
    config_.process->args = {
        "sh",
        "-c",
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; echo x > /dev/null && echo null; "
        "head -c1 /dev/zero | wc -c; touch /made; stat -c %u:%g /made /proc/1; "
        "grep CapEff /proc/self/status"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    Outcome outcome = finish(*container);
    std::vector<std::string> seen;
    for (std::string_view word : words(outcome.output)) {
        seen.emplace_back(word);
    }
    EXPECT_THAT(
        seen,
        ::testing::ElementsAre(
            "0",
            "100000",
            "65536",
            "0",
            "100000",
            "65536",
            "0",
            "null",
            "1",
            "0:0",
            "0:0",
            "CapEff:",
            "00000000a80425fb"));

    struct stat status {};

    ASSERT_EQ(::stat((root_path() + "/made").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 100000U); // on the host
}

TEST_F(ContainerScope, ExecsJoinTheUserNamespace) {
    use_user_namespace();
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());

    struct stat status {};

    ASSERT_EQ(::stat(("/proc/" + std::to_string(container->pid())).c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 100000U);
    EXPECT_EQ(
        exec(
            *container,
            {"sh",
             "-c",
             // Until init has executed its program nobody may look into it.
             "until readlink /proc/1/ns/user > /dev/null; do :; done; "
             "[ $(readlink /proc/self/ns/user) = $(readlink /proc/1/ns/user) ] && echo same; id "
             "-u; "
             "echo x > /dev/null && echo null"})
            .output,
        "same\n0\nnull\n");
    oci::Process process = *config_.process;
    process.user = {.uid = 1000, .gid = 1001};
    process.args = {"sh", "-c", "id -u; echo x > /dev/null && echo null"};
    EXPECT_EQ(exec_process(*container, process).output, "1000\nnull\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

} // namespace

} // namespace berth::runtime
