// SPDX-License-Identifier: Apache-2.0
// Containers and their groups: small limits, a runtime in a container, systemd, AppArmor. What the
// machine lacks is skipped here and runs in tests/vm.
#include "base/strings.h"
#include "kernel/process.h"
#include "runtime/container.h"
#include "runtime/container_test_support.h"
#include "runtime/defaults.h"

#include <algorithm>
#include <filesystem>

#include <unistd.h>

namespace berth::runtime {

namespace {

std::string program_folder() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

bool is_version2() {
    return (*kernel::cgroup_layout())->mode == kernel::CgroupMode::Version2;
}

// Exit code and output of a program of the machine.
Outcome command(const std::vector<std::string>& arguments) {
    auto pipe = Pipe::create();
    kernel::SpawnOptions options{.arguments = arguments};
    options.fds = {{pipe->write_end.get(), 1}, {pipe->write_end.get(), 2}};
    auto child = kernel::spawn(options);
    pipe->write_end.reset();
    if (!child.ok()) {
        return {-1, child.error().message()};
    }
    Outcome outcome;
    outcome.output = std::string(trim(read_all(pipe->read_end, 1U << 20).value_or("")));
    outcome.code = child->wait()->shell_code();
    return outcome;
}

class ContainerInCgroup : public ContainerTest {};

// runc needs some MiB; a small static runtime does not.
TEST_F(ContainerInCgroup, StartsWithAMemoryLimitOf512KiB) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer's shadow memory alone is more";
    }
    oci::Resources& resources = config_.linux_.resources.emplace();
    resources.memory = oci::MemoryResources{.limit = 512 << 10};
    Outcome outcome = run_shell("echo started");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.output, "started\n");
}

class NestedContainer : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (IsSkipped()) {
            return;
        }
        const std::string runtime = program_folder() + "/berth-runtime";
        ASSERT_TRUE(exists(runtime)) << runtime << " is built with the tests";
        std::filesystem::copy_file(runtime, root_path() + "/bin/berth-runtime");
        ASSERT_TRUE(make_directories(root_path() + "/inner/rootfs/bin").ok());
        for (const char* name : {"busybox", "sh", "cat"}) {
            std::filesystem::copy_file(
                root_path() + "/bin/busybox", root_path() + "/inner/rootfs/bin/" + name);
        }
        auto inner = default_config({.root_path = "rootfs", .cgroups_path = "/nested/c"});
        ASSERT_TRUE(inner.ok());
        inner->process->env = {"PATH=/bin"};
        const std::string place = is_version2() ? "" : "pids/";
        inner->process->args = {"sh", "-c", "cat /sys/fs/cgroup/" + place + "pids.max; exit 3"};
        inner->linux_.resources->pids = oci::PidsResources{.limit = 21};
        inner->linux_.resources->cpu = oci::CpuResources{.quota = 50000, .period = 100000};
        ASSERT_TRUE(
            replace_file(root_path() + "/inner/config.json", oci::runtime_config_text(*inner))
                .ok());
        auto outer = default_config(
            {.root_path = "rootfs", .cgroups_path = cgroup_parent_ + "/c", .privileged = true});
        ASSERT_TRUE(outer.ok());
        outer->process->env = {"PATH=/bin"};
        outer->process->args = {"sleep", "1000"};
        config_ = std::move(*outer);
        mount_libraries_of_programs();
    }

    const std::vector<std::string> nested_run_{
        "berth-runtime", "--root", "/tmp/state", "run", "--bundle", "/inner", "nested"};
};

TEST_F(NestedContainer, RunsARuntimeInAContainer) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    // The second comes after controllers were given to groups below the container's own.
    for (int round = 0; round < 2; ++round) {
        Outcome outcome = exec(*container, nested_run_);
        EXPECT_EQ(outcome.code, 3);
        EXPECT_EQ(outcome.output, "21\n");
    }
    // All is below the outer container's group, and goes with it.
    EXPECT_TRUE(container->pause().ok());
    EXPECT_TRUE(container->resume().ok());
    ASSERT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
    EXPECT_FALSE(container->cgroup().exists());
}

class SystemdContainer : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (!IsSkipped() && !exists("/run/systemd/private")) {
            GTEST_SKIP() << "systemd does not run here";
        }
        name_ = "t" + std::to_string(::getpid());
        unit_ = "berthtest-" + name_ + ".scope";
        config_.linux_.cgroups_path = "system.slice:berthtest:" + name_;
    }

    Result<Container> create_with_systemd() {
        TRY(replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_)));
        return Container::create(
            {.state_root = state_root_, .id = "c", .bundle = bundle_, .systemd_cgroup = true});
    }

    std::string property(const std::string& name) const {
        return command({"systemctl", "show", "--value", "-p", name, unit_}).output;
    }

    std::string name_;
    std::string unit_;
};

TEST_F(SystemdContainer, IsAScopeWithItsLimitsFromCreateToDelete) {
    if (!is_version2()) {
        GTEST_SKIP() << "tests/vm/runtime_systemd.py has the words of version 1";
    }
    oci::Resources& resources = *config_.linux_.resources;
    resources.memory = oci::MemoryResources{.limit = 64 << 20, .swap = 96 << 20};
    resources.cpu =
        oci::CpuResources{.shares = 2048, .quota = 50000, .period = 100000, .cpus = "0"};
    resources.pids = oci::PidsResources{.limit = 1}; // the process that holds the scope is gone
    auto container = create_with_systemd();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    EXPECT_EQ(container->cgroup().path(), "/system.slice/" + unit_);
    EXPECT_EQ(property("ActiveState"), "active");
    EXPECT_EQ(property("Delegate"), "yes");
    EXPECT_EQ(property("Slice"), "system.slice");
    EXPECT_EQ(property("MemoryMax"), "67108864");
    EXPECT_EQ(property("MemorySwapMax"), "33554432");
    EXPECT_EQ(property("CPUQuotaPerSecUSec"), "500ms");
    EXPECT_EQ(property("CPUWeight"), "174");
    EXPECT_EQ(property("TasksMax"), "1");
    EXPECT_EQ(property("AllowedCPUs"), "0");
    EXPECT_EQ(property("DevicePolicy"), "strict");
    EXPECT_EQ(container->processes()->size(), 1U);

    // Another process may go on with it.
    auto loaded = Container::load(state_root_, "c");
    ASSERT_TRUE(loaded.ok());
    oci::Resources update;
    update.memory = oci::MemoryResources{.limit = 128 << 20, .swap = 128 << 20};
    update.pids = oci::PidsResources{.limit = 50};
    auto updated = loaded->update(update);
    ASSERT_TRUE(updated.ok()) << updated.error().message();
    EXPECT_EQ(property("MemoryMax"), "134217728");
    EXPECT_EQ(property("TasksMax"), "50");
    EXPECT_EQ(exec(*loaded, {"sh", "-c", "exit 6"}).code, 6);
    // What systemd writes when it reads its units again leaves the limits as they are.
    EXPECT_EQ(command({"systemctl", "daemon-reload"}).code, 0);
    EXPECT_EQ(property("MemoryMax"), "134217728");
    EXPECT_EQ(exec(*loaded, {"cat", "/dev/null"}).code, 0);

    ASSERT_TRUE(loaded->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
    EXPECT_EQ(property("LoadState"), "not-found");
    EXPECT_FALSE(container->cgroup().exists());
}

TEST_F(SystemdContainer, AUnitThatRunsIsTaken) {
    auto first = create_with_systemd();
    ASSERT_TRUE(first.ok()) << first.error().message();
    auto second = Container::create(
        {.state_root = state_root_, .id = "d", .bundle = bundle_, .systemd_cgroup = true});
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().message(), "systemd unit " + unit_ + " exists already");
    EXPECT_EQ(first->state()->status, Status::Created);
    EXPECT_TRUE(first->destroy(Container::Force::Yes).ok());
    wait_for_exit(first->pid());
}

TEST_F(SystemdContainer, AFailedCreateLeavesNoUnit) {
    config_.process->args = {"nope"};
    auto container = create_with_systemd();
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(property("LoadState"), "not-found");
}

TEST_F(ContainerInCgroup, SystemdsPathsNeedSystemdsDriver) {
    config_.linux_.cgroups_path = "system.slice:a:b";
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_NE(container.error().message().find("--systemd-cgroup"), std::string::npos);
}

// Of version 1: what runc and crun join too, and statistics and other containers notice.
class Version1Groups : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (!IsSkipped() && is_version2()) {
            GTEST_SKIP() << "the machine has cgroup version 2 alone";
        }
    }
};

TEST_F(Version1Groups, AContainerWithoutLimitsIsNotInItsCallersGroups) {
    config_.linux_.resources.reset();
    std::erase_if(config_.linux_.namespaces, [](const oci::Namespace& space) {
        return space.type == "cgroup";
    });
    const std::string groups = run({"cat", "/proc/self/cgroup"}).output;
    for (const char* controller : {"cpu", "cpuacct", "memory", "pids", "blkio"}) {
        const auto& there = (*kernel::cgroup_layout())->controllers;
        if (!there.contains(controller)) {
            continue;
        }
        bool joined = false;
        for (std::string_view line : split(groups, '\n')) {
            std::vector<std::string_view> fields = split(line, ':');
            if (fields.size() == 3) {
                std::vector<std::string_view> names = split(fields[1], ',');
                joined =
                    joined || (std::find(names.begin(), names.end(), controller) != names.end() &&
                               fields[2] == config_.linux_.cgroups_path);
            }
        }
        EXPECT_TRUE(joined) << controller << " in\n" << groups;
    }
}

class AppArmorContainer : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (!IsSkipped() && !read_file("/sys/module/apparmor/parameters/enabled", 16)
                                 .value_or("")
                                 .starts_with("Y")) {
            GTEST_SKIP() << "AppArmor is not enabled";
        }
    }
};

TEST_F(AppArmorContainer, RunsInItsProfileAndExecsToo) {
    const std::string profile = folder_->path() + "/profile";
    ASSERT_TRUE(replace_file(
                    profile,
                    "profile berth-test flags=(attach_disconnected,mediate_deleted) {\n"
                    "  file,\n  capability,\n  network,\n  signal,\n  deny /etc/group rwklx,\n}\n")
                    .ok());
    Outcome loaded = command({"apparmor_parser", "-r", "-K", profile});
    ASSERT_EQ(loaded.code, 0) << loaded.output;
    config_.process->apparmor_profile = "berth-test";
    EXPECT_EQ(run({"cat", "/proc/self/attr/current"}).output, "berth-test (enforce)\n");
    config_.process->args = {"sleep", "1000"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    Outcome outcome = exec(*container, {"sh", "-c", "cat /proc/self/attr/current; cat /etc/group"});
    EXPECT_TRUE(outcome.output.starts_with("berth-test (enforce)\n")) << outcome.output;
    EXPECT_NE(outcome.output.find("Permission denied"), std::string::npos) << outcome.output;
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
    EXPECT_EQ(command({"apparmor_parser", "-R", profile}).code, 0);
}

TEST_F(AppArmorContainer, AProfileThatIsNotLoadedIsNamed) {
    config_.process->apparmor_profile = "docker-default-nope";
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(container.error().message(), "AppArmor profile docker-default-nope is not loaded");
}

} // namespace

} // namespace berth::runtime
