// SPDX-License-Identifier: Apache-2.0
// The six kinds of hooks: when they run, where, with what, and what becomes of their failures.
#include "base/strings.h"
#include "codec/json.h"
#include "kernel/namespace.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <chrono>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ContainerHooks : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (folder_) {
            log_ = folder_->path() + "/log";
            ASSERT_TRUE(replace_file(log_, "").ok());
        }
    }

    // A hook of the host with a shell's script; $LOG is a file.
    oci::Hook shell(const std::string& script) const {
        return {
            .path = "/bin/sh", .args = {"sh", "-c", script}, .env = {"LOG=" + log_}, .timeout = {}};
    }

    oci::Hook note(const std::string& name) const {
        return shell("echo " + name + " $(readlink /proc/self/ns/mnt) >> $LOG");
    }

    std::string log() const { return read_file(log_).value_or("<absent>"); }

    std::string log_;
};

std::string own_mount_namespace() {
    std::string text(64, '\0');
    text.resize(
        static_cast<std::size_t>(::readlink("/proc/self/ns/mnt", text.data(), text.size())));
    return text;
}

TEST_F(ContainerHooks, RunInOrderInTheirNamespaces) {
    config_.hooks.prestart = {note("prestart"), note("prestart2")};
    config_.hooks.create_runtime = {note("createRuntime")};
    config_.hooks.create_container = {note("createContainer")};
    // Inside of the container: its own program, its own files.
    config_.hooks.start_container = {
        {.path = "/bin/sh",
         .args =
             {"sh",
              "-c",
              "(echo startContainer; pwd; cat /proc/sys/kernel/hostname) > /tmp/inside"},
         .env = {"PATH=/bin"},
         .timeout = {}}};
    config_.hooks.poststart = {note("poststart")};
    config_.hooks.poststop = {note("poststop")};
    Outcome outcome = run_shell("cat /tmp/inside");
    EXPECT_EQ(outcome.output, "startContainer\n/\ntesthost\n");
    std::vector<std::string> names;
    const std::string text = log();
    for (std::string_view line : split(trim(text), '\n')) {
        std::optional<Cut> parts = cut(line, " ");
        ASSERT_TRUE(parts) << line;
        names.emplace_back(parts->before);
        EXPECT_EQ(parts->after == own_mount_namespace(), parts->before != "createContainer")
            << line;
    }
    EXPECT_THAT(
        names,
        ElementsAre(
            "prestart", "prestart2", "createRuntime", "createContainer", "poststart", "poststop"));
}

TEST_F(ContainerHooks, GetTheStateOnStandardInput) {
    config_.annotations = {{"key", "value"}};
    config_.hooks.create_runtime = {shell("cat >> $LOG; echo >> $LOG")};
    config_.hooks.create_container = config_.hooks.create_runtime;
    config_.hooks.poststart = config_.hooks.create_runtime;
    config_.hooks.poststop = config_.hooks.create_runtime;
    run_shell("true");
    const std::string text = log();
    std::vector<std::string_view> lines = split(trim(text), '\n');
    ASSERT_EQ(lines.size(), 4U) << text;
    std::vector<std::string> statuses;
    for (std::string_view line : lines) {
        auto state = json::parse(line);
        ASSERT_TRUE(state.ok()) << line;
        EXPECT_EQ(json::find_string(*state, "id"), "c");
        EXPECT_EQ(json::find_string(*state, "bundle"), bundle_);
        EXPECT_EQ(json::find_string(*json::find(*state, "annotations"), "key"), "value");
        statuses.emplace_back(json::find_string(*state, "status"));
    }
    EXPECT_EQ(statuses[0], "creating");
    EXPECT_EQ(statuses[1], "creating");
    EXPECT_EQ(statuses[3], "stopped");
    EXPECT_GT(json::find(*json::parse(lines[0]), "pid")->as_int64(), 1); // the host's view
    EXPECT_EQ(json::find(*json::parse(lines[1]), "pid")->as_int64(), 1); // its own
}

TEST_F(ContainerHooks, HaveACleanEnvironmentAndTheBundleAsDirectory) {
    ::setenv("BERTH_SECRET", "1", 1);
    config_.process->env.emplace_back("LD_PRELOAD=/evil.so"); // CVE-2025-23266
    config_.hooks.create_runtime = {
        shell("pwd > $LOG; tr '\\0' '\\n' < /proc/self/environ >> $LOG")};
    config_.hooks.create_container = {
        shell("pwd >> $LOG; tr '\\0' '\\n' < /proc/self/environ >> $LOG")};
    run_shell("true");
    ::unsetenv("BERTH_SECRET");
    EXPECT_THAT(log(), ::testing::StartsWith(bundle_ + "\n"));
    EXPECT_THAT(log(), HasSubstr("LOG=" + log_));
    EXPECT_THAT(log(), Not(HasSubstr("BERTH_SECRET")));
    EXPECT_THAT(log(), Not(HasSubstr("evil")));
}

TEST_F(ContainerHooks, SeeTheContainersMountsAtTheRootsPath) {
    // As tools do that put devices and libraries into a container.
    config_.hooks.create_container = {shell(
        "echo made > " + root_path() + "/dev/shm/by-hook; ls " + root_path() +
        "/proc/self > $LOG")};
    EXPECT_EQ(run_shell("cat /dev/shm/by-hook").output, "made\n");
    EXPECT_THAT(log(), HasSubstr("status"));
    EXPECT_FALSE(exists(root_path() + "/dev/shm/by-hook"));
}

TEST_F(ContainerHooks, AFailureEndsTheCreationAndIsNamed) {
    config_.hooks.create_runtime = {note("first"), shell("echo why it failed >&2; exit 3")};
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_THAT(
        container.error().message(),
        HasSubstr(
            "hooks.createRuntime[1] /bin/sh: hook ended with status 3, output: why it failed"));
    EXPECT_THAT(log(), HasSubstr("first"));
    EXPECT_TRUE(Container::list(state_root_)->empty());
    config_.hooks = {};
    config_.hooks.create_container = {shell("exit 4")};
    EXPECT_THAT(create().error().message(), HasSubstr("hooks.createContainer[0]"));
}

TEST_F(ContainerHooks, ATimeoutKillsTheHookAndWhatItStarted) {
    config_.hooks.prestart = {shell("sleep 1000 & echo $! > $LOG; wait")};
    config_.hooks.prestart[0].timeout = 1;
    const auto start = std::chrono::steady_clock::now();
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_EQ(container.error().kind(), ErrorKind::DeadlineExceeded);
    EXPECT_THAT(container.error().message(), HasSubstr("hooks.prestart[0]"));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    auto pid = parse_number<pid_t>(trim(log()));
    ASSERT_TRUE(pid.ok());
    auto started = kernel::open_pidfd(*pid);
    if (started.ok()) { // else it is gone already
        pollfd ended{started->get(), POLLIN, 0};
        EXPECT_EQ(::poll(&ended, 1, 10'000), 1);
    }
}

TEST_F(ContainerHooks, AFailedPoststartHookStopsTheContainer) {
    config_.hooks.poststart = {shell("exit 1")};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    auto started = container->start();
    ASSERT_FALSE(started.ok());
    EXPECT_THAT(started.error().message(), HasSubstr("hooks.poststart[0]"));
    EXPECT_EQ(wait_for_exit(container->pid()), 137);
    EXPECT_TRUE(container->destroy().ok());
}

TEST_F(ContainerHooks, AFailedPoststopHookKeepsNothing) {
    config_.hooks.poststop = {shell("exit 1"), note("second")};
    run_shell("true");
    EXPECT_THAT(log(), HasSubstr("second"));
    EXPECT_TRUE(Container::list(state_root_)->empty());
}

TEST_F(ContainerHooks, BadOnesAreNamedBeforeAnythingHappens) {
    config_.hooks.poststop = {shell("true"), shell("true")};
    config_.hooks.poststop[1].path = "sh";
    EXPECT_THAT(create().error().message(), HasSubstr("hooks.poststop[1].path"));
    config_.hooks.poststop[1] = shell("true");
    config_.hooks.poststop[0].timeout = 0;
    EXPECT_THAT(create().error().message(), HasSubstr("hooks.poststop[0].timeout"));
}

} // namespace

} // namespace berth::runtime
