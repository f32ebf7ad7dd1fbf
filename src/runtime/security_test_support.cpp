// SPDX-License-Identifier: Apache-2.0
// The fixture.
#include "runtime/security_test_support.h"

#include "runtime/defaults.h"

#include <array>
#include <filesystem>

#include <unistd.h>

namespace berth::runtime {

std::string sibling_program(const std::string& name) {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name;
}

void SecurityTest::SetUp() {
    ContainerTest::SetUp();
    if (!folder_) {
        return;
    }
    ASSERT_TRUE(std::filesystem::copy_file(
        sibling_program("berth_runtime_attacker"), root_path() + "/bin/attack"));
}

void SecurityTest::TearDown() {
    if (attacker_) {
        stop_attacker();
    }
    ContainerTest::TearDown();
}

void SecurityTest::start_attacker(const std::vector<std::string>& args) {
    const std::string bundle = folder_->path() + "/attacker";
    ASSERT_TRUE(make_directories(bundle + "/rootfs/bin").ok());
    std::error_code error;
    std::filesystem::copy_file(
        sibling_program("berth_runtime_attacker"), bundle + "/rootfs/bin/attack", error);
    auto config =
        default_config({.root_path = "rootfs", .cgroups_path = cgroup_parent_ + "/attacker"});
    ASSERT_TRUE(config.ok());
    config->process->args = args;
    config->process->env = {"PATH=/bin"};
    config->mounts.push_back({"/shared", "bind", root_path(), {"rbind"}});
    ASSERT_TRUE(replace_file(bundle + "/config.json", oci::runtime_config_text(*config)).ok());
    auto pipe = Pipe::create();
    ASSERT_TRUE(pipe.ok());
    CreateOptions options{.state_root = state_root_, .id = "attacker", .bundle = bundle};
    options.stdio.out = std::move(pipe->write_end);
    auto created = Container::create(std::move(options));
    ASSERT_TRUE(created.ok()) << created.error().message();
    attacker_.emplace(std::move(*created));
    ASSERT_TRUE(attacker_->start().ok());
    attacker_output_ = std::move(pipe->read_end);
    std::array<char, 6> ready{};
    ASSERT_EQ(::read(attacker_output_.get(), ready.data(), ready.size()), 6);
    ASSERT_EQ(std::string(ready.data(), ready.size()), "ready\n");
}

std::string SecurityTest::stop_attacker() {
    stop(*attacker_);
    attacker_.reset();
    return read_all(attacker_output_, 1U << 20).value_or("<unreadable>");
}

std::string SecurityTest::call(const std::string& words) {
    return run_shell("attack call " + words).output;
}

std::optional<Container> SecurityTest::start() {
    auto container = create();
    if (!container.ok()) {
        ADD_FAILURE() << container.error().message();
        return std::nullopt;
    }
    EXPECT_TRUE(container->start().ok());
    return std::move(*container);
}

void SecurityTest::stop(Container& container) {
    auto destroyed = container.destroy(Container::Force::Yes);
    EXPECT_TRUE(destroyed.ok()) << destroyed.error().message();
    wait_for_exit(container.pid());
}

} // namespace berth::runtime
