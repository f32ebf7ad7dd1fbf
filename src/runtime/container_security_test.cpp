// SPDX-License-Identifier: Apache-2.0
// Attacks that worked against other runtimes, tried against this one. Each test is named after its
// CVE.
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ContainerSecurity : public ContainerTest {};

TEST_F(ContainerSecurity, Cve2024_21626_NoWorkingDirectoryThroughADescriptor) {
    // NOLINTNEXTLINE(android-cloexec-open): leaks on purpose
    UniqueFd host(::open("/", O_RDONLY | O_DIRECTORY));
    for (int fd = 3; fd < 20; ++fd) {
        config_.process->cwd = "/proc/self/fd/" + std::to_string(fd);
        auto container = create();
        ASSERT_FALSE(container.ok()) << fd;
    }
    auto container = [&] {
        config_.process->cwd = "/";
        return create();
    }();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    oci::Process process = *config_.process;
    process.args = {"ls", "etc"};
    for (int fd = 3; fd < 20; ++fd) {
        process.cwd = "/proc/self/fd/" + std::to_string(fd);
        EXPECT_EQ(exec_process(*container, process).code, -1) << fd;
    }
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerSecurity, Cve2019_19921_LinkedProcIsRefused) {
    ASSERT_TRUE(make_directories(root_path() + "/elsewhere").ok());
    std::filesystem::create_symlink("elsewhere", root_path() + "/proc");
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_THAT(container.error().message(), HasSubstr("must be mounted on ordinary directory"));
}

TEST_F(ContainerSecurity, Cve2019_16884_NothingIsMountedOverProc) {
    config_.mounts.push_back({"/proc", "bind", folder_->path(), {"rbind"}});
    auto over = create();
    ASSERT_FALSE(over.ok());
    EXPECT_THAT(over.error().message(), HasSubstr("is not of type proc"));
    config_.mounts.back().destination = "/proc/self/attr";
    auto inside = create();
    ASSERT_FALSE(inside.ok());
    EXPECT_THAT(inside.error().message(), HasSubstr("inside /proc"));
    // By way of a link of the image.
    std::filesystem::create_symlink("/proc/sys", root_path() + "/innocent");
    config_.mounts.back().destination = "/innocent";
    auto linked = create();
    ASSERT_FALSE(linked.ok());
    EXPECT_THAT(linked.error().message(), HasSubstr("inside /proc"));
}

TEST_F(ContainerSecurity, Cve2025_31133_MasksDoNotUseTheImagesNullDevice) {
    // /dev comes from the image, and its /dev/null is a link to something worth writing.
    std::erase_if(config_.mounts, [](const oci::Mount& mount) {
        return mount.destination.starts_with("/dev");
    });
    ASSERT_TRUE(make_directories(root_path() + "/dev").ok());
    std::filesystem::create_symlink("/proc/sys/kernel/core_pattern", root_path() + "/dev/null");
    auto container = create();
    // Either the link is refused, or the mask is the host's true null device.
    if (container.ok()) {
        Outcome outcome = finish(*container);
        EXPECT_THAT(outcome.output, Not(HasSubstr("core")));
    } else {
        EXPECT_THAT(container.error().message(), HasSubstr("make device /dev/null"));
    }
    std::filesystem::remove(root_path() + "/dev/null");
    std::filesystem::create_symlink("/etc/passwd", root_path() + "/masked");
    config_.linux_.masked_paths.emplace_back("/masked");
    Outcome outcome = run_shell("stat -Lc '%t:%T' /masked; wc -c < /etc/passwd");
    EXPECT_EQ(outcome.output, "1:3\n0\n");
}

TEST_F(ContainerSecurity, Cve2026_41579_ALinkedDevStaysInTheRoot) {
    // /dev -> ../../outside: what is made in /dev must not appear on the host.
    std::string outside = folder_->path() + "/outside";
    ASSERT_TRUE(make_directories(outside).ok());
    std::erase_if(config_.mounts, [](const oci::Mount& mount) {
        return mount.destination.starts_with("/dev");
    });
    std::filesystem::create_symlink("../../outside", root_path() + "/dev");
    auto container = create();
    if (container.ok()) {
        EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
        wait_for_exit(container->pid());
    }
    EXPECT_TRUE(std::filesystem::is_empty(outside));
}

TEST_F(ContainerSecurity, MountTargetsThroughLinksStayInTheRoot) {
    std::string outside = folder_->path() + "/outside";
    ASSERT_TRUE(make_directories(outside).ok());
    ASSERT_TRUE(replace_file(outside + "/secret", "host").ok());
    std::filesystem::create_symlink(outside, root_path() + "/absolute");
    std::filesystem::create_symlink("../../../../../../" + outside, root_path() + "/relative");
    ASSERT_TRUE(make_directories(folder_->path() + "/volume").ok());
    config_.mounts.push_back({"/absolute/v", "bind", folder_->path() + "/volume", {"rbind"}});
    config_.mounts.push_back({"/relative/w", "bind", folder_->path() + "/volume", {"rbind"}});
    // Below the root the targets are made, as for any link whose target is absent.
    EXPECT_EQ(run_shell("echo end").output, "end\n");
    EXPECT_TRUE(exists(root_path() + outside + "/v"));
    EXPECT_TRUE(exists(root_path() + outside + "/w"));
    EXPECT_FALSE(exists(outside + "/v"));
    EXPECT_FALSE(exists(outside + "/w"));
}

TEST_F(ContainerSecurity, MaskedAndReadOnlyPathsAreSo) {
    Outcome outcome = run_shell(
        "head -c1 /proc/kcore 2>/dev/null | wc -c; head -c1 /proc/timer_list | wc -c;"
        "ls /sys/firmware | wc -l;"
        "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity"
        "; do ( echo x > $f ) 2>/dev/null && echo wrote $f; done;"
        "mkdir /sys/fs/cgroup/memory/x 2>/dev/null && echo made; touch /sys/x 2>/dev/null && echo s"
        "; echo end");
    EXPECT_EQ(outcome.output, "0\n0\n0\nend\n");
}

TEST_F(ContainerSecurity, ReadOnlyRootIsReadOnly) {
    config_.root.readonly = true;
    Outcome outcome =
        run_shell("touch /x 2>/dev/null && echo wrote; touch /dev/shm/x && echo shm; echo end");
    EXPECT_EQ(outcome.output, "shm\nend\n");
    EXPECT_FALSE(exists(root_path() + "/x"));
}

TEST_F(ContainerSecurity, DevicesBeyondTheDefaultOnesAreRefused) {
    ASSERT_EQ(::mknod((root_path() + "/mem").c_str(), S_IFCHR | 0666, makedev(1, 1)), 0);
    Outcome outcome = run_shell(
        "head -c1 /mem 2>/dev/null && echo read; head -c1 /dev/zero | wc -c; echo > /dev/null && "
        "echo null");
    EXPECT_EQ(outcome.output, "1\nnull\n");
}

TEST_F(ContainerSecurity, Cve2022_0811_SysctlsAreChecked) {
    for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
             {"kernel.core_pattern", "|/bin/x"},
             {"kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x\n"},
             {"net/../kernel/core_pattern", "x"},
             {"net.ipv4.ip_forward+x", "1"},
             {"kernel.hostname", "x"},
             {"vm.swappiness", "1"}}) {
        config_.linux_.sysctl = {{key, value}};
        auto container = create();
        ASSERT_FALSE(container.ok()) << key;
        EXPECT_EQ(container.error().kind(), ErrorKind::InvalidArgument) << key;
    }
    config_.linux_.sysctl = {
        {"net.ipv4.ip_unprivileged_port_start", "77"}, {"kernel.shm_rmid_forced", "1"}};
    EXPECT_EQ(
        run_shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                  "/proc/sys/kernel/shm_rmid_forced")
            .output,
        "77\n1\n");
}

TEST_F(ContainerSecurity, SysctlsOfTheHostsNamespacesAreRefused) {
    std::erase_if(config_.linux_.namespaces, [](const oci::Namespace& entry) {
        return entry.type == "network";
    });
    config_.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_THAT(container.error().message(), HasSubstr("not in a separate kernel namespace"));
}

TEST_F(ContainerSecurity, ThePreparedFilesOfTheHostAreGoneAfterExecve) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    EXPECT_EQ(
        exec(
            *container,
            {"sh", "-c", "while [ $(cat /proc/1/comm) != sleep ]; do :; done; echo /proc/1/fd/*"})
            .output,
        "/proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerSecurity, PreservedDescriptorsMustBeOpen) {
    auto written = replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_));
    ASSERT_TRUE(written.ok());
    auto container = Container::create(
        {.state_root = state_root_, .id = "c", .bundle = bundle_, .preserve_fds = 500});
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(container.error().kind(), ErrorKind::InvalidArgument);
}

TEST_F(ContainerSecurity, MountsDoNotReachTheHost) {
    auto before = read_file("/proc/self/mountinfo");
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    EXPECT_EQ(*read_file("/proc/self/mountinfo"), *before);
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

} // namespace

} // namespace berth::runtime
