// SPDX-License-Identifier: Apache-2.0
// The fixture.
#include "runtime/container_test_support.h"

#include "kernel/empty_mounts.h"
#include "kernel/process.h"
#include "runtime/defaults.h"

#include <array>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

void make_root(const std::string& root) {
    for (const char* folder : {"bin", "etc", "tmp", "root"}) {
        ASSERT_TRUE(make_directories(root + "/" + folder).ok());
    }
    ASSERT_TRUE(std::filesystem::copy_file("/bin/busybox", root + "/bin/busybox"));
    for (const char* applet :
         {"sh",
          "cat",
          "id",
          "ls",
          "sleep",
          "grep",
          "pwd",
          "tty",
          "touch",
          "mkdir",
          "stat",
          "mount",
          "umount",
          "head",
          "wc",
          "stty",
          "readlink"}) {
        std::filesystem::create_symlink("busybox", root + "/bin/" + applet);
    }
    ASSERT_TRUE(replace_file(
                    root + "/etc/passwd",
                    "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001::/home/worker:/bin/sh\n")
                    .ok());
    ASSERT_TRUE(replace_file(root + "/etc/group", "root:x:0:\nworker:x:1001:\n").ok());
}

} // namespace

void ContainerTest::SetUp() {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "containers need root";
    }
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    folder_.emplace(std::move(*folder));
    ::chmod(folder_->path().c_str(), 0755);
    bundle_ = folder_->path() + "/bundle";
    state_root_ = folder_->path() + "/state";
    cgroup_parent_ = "/berth-test-" + std::to_string(::getpid());
    make_root(root_path());
    auto config = default_config(
        {.root_path = "rootfs", .hostname = "testhost", .cgroups_path = cgroup_parent_ + "/c"});
    ASSERT_TRUE(config.ok()) << config.error().message();
    config_ = std::move(*config);
    config_.process->env = {"PATH=/bin"};
    config_.process->args = {"sleep", "1000"};
}

void ContainerTest::TearDown() {
    if (!folder_) {
        return;
    }
    for (const std::string& id : Container::list(state_root_).value_or({})) {
        auto container = Container::load(state_root_, id);
        if (container.ok()) {
            EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
        }
    }
    auto parent = kernel::Cgroup::open(cgroup_parent_);
    if (parent.ok()) {
        auto removed = parent->remove();
        EXPECT_TRUE(removed.ok()) << removed.error().message();
    }
}

void ContainerTest::mount_libraries_of_programs() {
    for (const char* folder : {"/lib", "/lib64"}) {
        if (sanitized && exists(folder)) {
            config_.mounts.push_back({folder, "bind", folder, {"bind", "ro"}});
        }
    }
}

Result<Container> ContainerTest::create(const std::string& id) {
    TRY(replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_)));
    Pipe pipe = TRY(Pipe::create());
    output_ = std::move(pipe.read_end);
    CreateOptions options{.state_root = state_root_, .id = id, .bundle = bundle_};
    options.stdio.err = TRY(pipe.write_end.duplicate());
    options.stdio.out = std::move(pipe.write_end);
    if (begins_empty_) {
        options.empty_mounts = TRY(kernel::make_empty_mount_namespace());
    }
    return Container::create(std::move(options));
}

void ContainerTest::use_user_namespace() {
    constexpr std::uint32_t first = 100000;
    config_.linux_.namespaces.push_back({"user", ""});
    config_.linux_.uid_mappings = {{.container_id = 0, .host_id = first, .size = 65536}};
    config_.linux_.gid_mappings = config_.linux_.uid_mappings;
    ASSERT_EQ(::lchown(root_path().c_str(), first, first), 0);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_path())) {
        ASSERT_EQ(::lchown(entry.path().c_str(), first, first), 0);
    }
}

std::string ContainerTest::read_output() {
    return read_all(output_, 1U << 20).value_or("<unreadable>");
}

Outcome ContainerTest::finish(Container& container) {
    auto started = container.start();
    EXPECT_TRUE(started.ok()) << started.error().message();
    Outcome outcome;
    outcome.output = read_output();
    outcome.code = wait_for_exit(container.pid());
    auto destroyed = container.destroy();
    EXPECT_TRUE(destroyed.ok()) << destroyed.error().message();
    return outcome;
}

Outcome ContainerTest::run(const std::vector<std::string>& args) {
    config_.process->args = args;
    auto container = create();
    if (!container.ok()) {
        ADD_FAILURE() << container.error().message();
        return {};
    }
    return finish(*container);
}

Outcome ContainerTest::run_shell(const std::string& script) {
    return run({"sh", "-c", script});
}

Outcome ContainerTest::exec(Container& container, const std::vector<std::string>& args) {
    oci::Process process = *config_.process;
    process.args = args;
    return exec_process(container, std::move(process));
}

Outcome ContainerTest::exec_process(Container& container, oci::Process process) {
    auto pipe = Pipe::create();
    ExecOptions options;
    options.process = std::move(process);
    options.stdio.err = std::move(*pipe->write_end.duplicate());
    options.stdio.out = std::move(pipe->write_end);
    auto started = container.exec(std::move(options));
    if (!started.ok()) {
        return {-1, started.error().message()};
    }
    Outcome outcome;
    outcome.output = read_all(pipe->read_end, 1U << 20).value_or("<unreadable>");
    outcome.code = wait_for_exit(started->pid);
    return outcome;
}

int wait_for_exit(pid_t pid) {
    auto child = kernel::Child::adopt(pid);
    EXPECT_TRUE(child.ok());
    auto status = child->wait();
    EXPECT_TRUE(status.ok());
    return status->shell_code();
}

} // namespace berth::runtime
