// SPDX-License-Identifier: Apache-2.0
// What a process in a container is and sees: identity, rights, limits, files, terminal.
#include "kernel/namespace.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ContainerProcess : public ContainerTest {};

// What came until the other side was closed, which a read tells as an error. In as many pieces as
// the line discipline makes of it.
std::string read_terminal(const UniqueFd& terminal) {
    std::string text;
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    while ((got = ::read(terminal.get(), buffer.data(), buffer.size())) > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
}

// Not by a pattern: that would open the directory.
constexpr const char* list_descriptors =
    "for i in 3 4 5 6 7 8 9 10 11 12; do [ -e /proc/self/fd/$i ] && echo $i; done; echo end";

TEST_F(ContainerProcess, HasDockersFourteenCapabilitiesAndNoInheritableOnes) {
    Outcome outcome = run_shell("grep Cap /proc/self/status");
    EXPECT_EQ(
        outcome.output,
        "CapInh:\t0000000000000000\n"
        "CapPrm:\t00000000a80425fb\n"
        "CapEff:\t00000000a80425fb\n"
        "CapBnd:\t00000000a80425fb\n"
        "CapAmb:\t0000000000000000\n");
}

TEST_F(ContainerProcess, HasNoCapabilitiesWhenNoneAreNamed) {
    config_.process->capabilities.reset();
    config_.linux_.seccomp.reset();
    EXPECT_THAT(
        run_shell("grep -E 'Cap(Eff|Bnd)' /proc/self/status").output,
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n");
}

TEST_F(ContainerProcess, KeepsAmbientCapabilitiesAsAnotherUser) {
    config_.process->user = {.uid = 1000, .gid = 1001};
    config_.process->capabilities->ambient = {"CAP_NET_BIND_SERVICE"};
    config_.process->capabilities->inheritable = {"CAP_NET_BIND_SERVICE"};
    EXPECT_EQ(
        run_shell("grep -E 'Cap(Eff|Amb)' /proc/self/status").output,
        "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

TEST_F(ContainerProcess, RunsUnderSeccompAndNoNewPrivileges) {
    Outcome plain = run_shell("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status");
    EXPECT_EQ(plain.output, "NoNewPrivs:\t0\nSeccomp:\t2\n");
    config_.process->no_new_privileges = true;
    Outcome hardened = run_shell("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status");
    EXPECT_EQ(hardened.output, "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(ContainerProcess, HasTheGroupsItIsGivenAndNoOthers) {
    config_.process->user = {.uid = 1000, .gid = 1001, .umask = 0027, .additional_gids = {5, 7}};
    EXPECT_EQ(
        run_shell("id -u; id -g; grep Groups /proc/self/status; umask").output,
        "1000\n1001\nGroups:\t5 7 \n0027\n");
    config_.process->user = {};
    EXPECT_EQ(run_shell("grep Groups /proc/self/status").output, "Groups:\t \n");
}

TEST_F(ContainerProcess, ItsNullStreamIsTheContainersOwn) {
    // Ours would be a file of the host's /dev.
    EXPECT_EQ(
        run_shell("[ $(stat -Lc %d /proc/self/fd/0) = $(stat -c %d /dev/null) ] && echo same")
            .output,
        "same\n");
}

TEST_F(ContainerProcess, StartsInItsDirectoryWhichIsMade) {
    config_.process->cwd = "/a/b";
    EXPECT_EQ(run_shell("pwd").output, "/a/b\n");

    struct stat status {};

    EXPECT_EQ(::stat((root_path() + "/a/b").c_str(), &status), 0);
}

TEST_F(ContainerProcess, GetsHomeFromPasswd) {
    EXPECT_EQ(run_shell("echo $HOME").output, "/root\n");
    config_.process->user = {.uid = 1000, .gid = 1001};
    EXPECT_EQ(run_shell("echo $HOME").output, "/home/worker\n");
    config_.process->user = {.uid = 4321};
    EXPECT_EQ(run_shell("echo $HOME").output, "/\n");
    config_.process->env.emplace_back("HOME=/given");
    EXPECT_EQ(run_shell("echo $HOME").output, "/given\n");
}

TEST_F(ContainerProcess, HasItsLimits) {
    config_.process->rlimits = {{.type = "RLIMIT_NOFILE", .hard = 77, .soft = 55}};
    config_.process->oom_score_adj = 321;
    EXPECT_EQ(
        run_shell("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj").output, "55\n77\n321\n");
    config_.process->rlimits = {{.type = "RLIMIT_NONSENSE"}};
    EXPECT_FALSE(create().ok());
}

TEST_F(ContainerProcess, HasNamesAndNamespacesOfItsOwn) {
    config_.domainname = "testdomain";
    Outcome outcome = run_shell(
        "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; echo $$; ls /sys/class/net;"
        "for n in pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$n; done");
    EXPECT_THAT(outcome.output, ::testing::StartsWith("testhost\ntestdomain\n1\nlo\n"));
    for (const char* name : {"pid", "net", "ipc", "uts", "mnt", "cgroup"}) {
        std::string own(64, '\0');
        ssize_t size =
            ::readlink(("/proc/self/ns/" + std::string(name)).c_str(), own.data(), own.size());
        own.resize(static_cast<std::size_t>(size));
        EXPECT_THAT(outcome.output, Not(HasSubstr(own)));
    }
}

TEST_F(ContainerProcess, SeesOnlyItsOwnGroups) {
    Outcome outcome = run_shell("cat /proc/self/cgroup; ls /sys/fs/cgroup");
    EXPECT_THAT(outcome.output, Not(HasSubstr(cgroup_parent_)));
    EXPECT_THAT(outcome.output, HasSubstr("memory"));
}

TEST_F(ContainerProcess, JoinsANetworkNamespaceByDescriptor) {
    // As the engine hands a prepared one over.
    auto made = kernel::clone_process(CLONE_NEWNET, UniqueFd());
    ASSERT_TRUE(made.ok());
    if (made->pid == 0) {
        ::pause();
        ::_exit(0);
    }
    auto netns =
        kernel::open_namespace("/proc/" + std::to_string(made->pid) + "/ns/net", CLONE_NEWNET);
    ASSERT_TRUE(netns.ok());
    std::string wanted(64, '\0');
    wanted.resize(static_cast<std::size_t>(::readlink(
        ("/proc/" + std::to_string(made->pid) + "/ns/net").c_str(), wanted.data(), wanted.size())));
    for (oci::Namespace& entry : config_.linux_.namespaces) {
        if (entry.type == "network") {
            entry.path = "/proc/self/fd/" + std::to_string(netns->get());
        }
    }
    EXPECT_EQ(run_shell("readlink /proc/self/ns/net").output, wanted + "\n");
    // We are where we were.
    std::string own(64, '\0');
    own.resize(static_cast<std::size_t>(::readlink("/proc/self/ns/net", own.data(), own.size())));
    EXPECT_NE(own, wanted);
    ::kill(made->pid, SIGKILL);
    wait_for_exit(made->pid);
}

TEST_F(ContainerProcess, RefusesAFileThatIsNoNamespace) {
    config_.linux_.namespaces[1].path = "/etc/passwd";
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(container.error().kind(), ErrorKind::InvalidArgument);
}

TEST_F(ContainerProcess, HasATerminalOfItsOwnDevpts) {
    config_.process->terminal = true;
    config_.process->console_size = {.height = 11, .width = 22};
    config_.process->args = {
        "sh", "-c", "tty; stty size; ls -l /dev/console; [ -t 2 ] && echo err"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    UniqueFd terminal = container->take_terminal();
    ASSERT_TRUE(terminal);
    ASSERT_TRUE(container->start().ok());
    wait_for_exit(container->pid());
    const std::string text = read_terminal(terminal);
    EXPECT_THAT(text, HasSubstr("/dev/pts/0\r\n11 22\r\n"));
    EXPECT_THAT(text, HasSubstr("136,   0"));
    EXPECT_THAT(text, HasSubstr("err\r\n"));
    EXPECT_TRUE(container->destroy().ok());
}

TEST_F(ContainerProcess, ExecGetsATerminalToo) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    ExecOptions options;
    options.process = *config_.process;
    options.process.terminal = true;
    options.process.args = {"tty"};
    auto process = container->exec(std::move(options));
    ASSERT_TRUE(process.ok()) << process.error().message();
    wait_for_exit(process->pid);
    EXPECT_EQ(read_terminal(process->terminal), "/dev/pts/0\r\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

// The terminal's end hangs its session up; the reason must have been told before.
TEST_F(ContainerProcess, AnExecOnATerminalTellsWhyItFails) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    ExecOptions options;
    options.process = *config_.process;
    options.process.terminal = true;
    options.process.args = {"absent"};
    auto process = container->exec(std::move(options));
    ASSERT_FALSE(process.ok());
    EXPECT_EQ(process.error().message(), "exec: \"absent\": executable file not found in $PATH");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerProcess, ATerminalOutsideOfAPidNamespaceTellsWhyItFails) {
    std::erase_if(
        config_.linux_.namespaces, [](const oci::Namespace& one) { return one.type == "pid"; });
    config_.process->terminal = true;
    config_.process->args = {"absent"};
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(container.error().message(), "exec: \"absent\": executable file not found in $PATH");
}

TEST_F(ContainerProcess, ExecRunsAsTheUserItIsGiven) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    oci::Process process = *config_.process;
    process.user = {.uid = 1000, .gid = 1001, .additional_gids = {9}};
    process.no_new_privileges = true;
    process.args = {"sh", "-c", "id -u; grep -E 'Groups|CapEff|NoNew|Seccomp:' /proc/self/status"};
    EXPECT_EQ(
        exec_process(*container, process).output,
        "1000\nGroups:\t9 \nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerProcess, DiesWithItsCreatorWhenAsked) {
    // A child of ours is the creator, so that it can be killed.
    auto pipe = Pipe::create();
    auto creator = kernel::clone_process(0, UniqueFd());
    ASSERT_TRUE(creator.ok());
    if (creator->pid == 0) {
        [[maybe_unused]] auto written =
            replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_));
        auto made = Container::create(
            {.state_root = state_root_,
             .id = "c",
             .bundle = bundle_,
             .on_parent_death = OnParentDeath::Kill});
        bool fine = made.ok() && made->start().ok();
        [[maybe_unused]] ssize_t told = ::write(pipe->write_end.get(), fine ? "y" : "n", 1);
        ::pause();
        ::_exit(0);
    }
    char answer = 0;
    ASSERT_EQ(::read(pipe->read_end.get(), &answer, 1), 1);
    ASSERT_EQ(answer, 'y');
    auto container = Container::load(state_root_, "c");
    ASSERT_TRUE(container.ok());
    ::kill(creator->pid, SIGKILL);
    wait_for_exit(creator->pid);
    pollfd ended{container->pidfd().get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, 10'000), 1);
}

} // namespace

} // namespace berth::runtime
