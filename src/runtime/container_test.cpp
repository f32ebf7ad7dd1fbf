// SPDX-License-Identifier: Apache-2.0
// The life of a container, with real ones.
#include "runtime/container.h"
#include "runtime/container_test_support.h"

#include <array>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

class ContainerLife : public ContainerTest {};

TEST_F(ContainerLife, RunsItsProgramAndGivesItsStatus) {
    Outcome outcome = run_shell("echo hello; exit 7");
    EXPECT_EQ(outcome.code, 7);
    EXPECT_EQ(outcome.output, "hello\n");
}

TEST_F(ContainerLife, WaitsBetweenCreateAndStart) {
    config_.process->args = {"touch", "/started"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    EXPECT_EQ(container->state()->status, Status::Created);
    EXPECT_FALSE(exists(root_path() + "/started"));
    EXPECT_EQ(finish(*container).code, 0);
    EXPECT_TRUE(exists(root_path() + "/started"));
}

TEST_F(ContainerLife, AnotherProcessMayLoadAndStartIt) {
    auto created = create();
    ASSERT_TRUE(created.ok()) << created.error().message();
    auto loaded = Container::load(state_root_, "c");
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(loaded->state()->status, Status::Created);
    EXPECT_TRUE(loaded->start().ok());
    EXPECT_EQ(loaded->state()->status, Status::Running);
    EXPECT_EQ(loaded->pid(), created->pid());
    EXPECT_FALSE(loaded->start().ok());
    EXPECT_TRUE(loaded->kill(SIGKILL).ok());
    EXPECT_EQ(wait_for_exit(created->pid()), 128 + SIGKILL);
    EXPECT_EQ(loaded->state()->status, Status::Stopped);
    EXPECT_EQ(loaded->state()->pid, 0);
    auto killed = loaded->kill(SIGTERM);
    ASSERT_FALSE(killed.ok());
    EXPECT_EQ(killed.error().message(), "container not running");
}

TEST_F(ContainerLife, AStartThatNobodyWaitsForIsOneOfAStoppedContainer) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    // As where init dies between the look at it and the word to it.
    const std::string gate = state_root_ + "/c/start.fifo";
    ASSERT_EQ(::unlink(gate.c_str()), 0);
    ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
    auto started = container->start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(started.error().message(), "cannot start a container that has stopped");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerLife, DestroyLeavesNothing) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    auto directories = container->cgroup().directories();
    EXPECT_FALSE(container->destroy().ok()); // it runs
    ASSERT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
    for (const auto& [controller, directory] : directories) {
        EXPECT_FALSE(exists(directory)) << directory;
    }
    EXPECT_FALSE(exists(state_root_ + "/c"));
    EXPECT_FALSE(Container::load(state_root_, "c").ok());
    EXPECT_TRUE(container->destroy().ok());
}

TEST_F(ContainerLife, AnIdIsTakenOnlyOnce) {
    auto first = create();
    ASSERT_TRUE(first.ok()) << first.error().message();
    auto second = create();
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind(), ErrorKind::Conflict);
    EXPECT_EQ(first->state()->status, Status::Created);
    EXPECT_TRUE(first->destroy(Container::Force::Yes).ok());
    wait_for_exit(first->pid());
}

TEST_F(ContainerLife, AProgramThatIsNotThereFailsCreateInDockersWords) {
    struct Case {
        std::string program;
        ErrorKind kind;
        std::string message;
    };

    for (const Case& wanted : std::vector<Case>{
             {"nope", ErrorKind::NotFound, "exec: \"nope\": executable file not found in $PATH"},
             {"/nope",
              ErrorKind::NotFound,
              "exec: \"/nope\": stat /nope: no such file or directory"},
             {"/etc/passwd", ErrorKind::Forbidden, "exec: \"/etc/passwd\": permission denied"},
             {"/etc", ErrorKind::Forbidden, "exec: \"/etc\": is a directory: permission denied"}}) {
        config_.process->args = {wanted.program};
        auto container = create();
        ASSERT_FALSE(container.ok()) << wanted.program;
        EXPECT_EQ(container.error().message(), wanted.message);
        EXPECT_EQ(container.error().kind(), wanted.kind);
        EXPECT_FALSE(exists(state_root_ + "/c"));
    }
}

TEST_F(ContainerLife, AFileOfNoKnownFormatEndsWith255) {
    ASSERT_TRUE(replace_file(root_path() + "/bin/odd", "\x01\x02\x03\x04", 0755).ok());
    Outcome outcome = run({"/bin/odd"});
    EXPECT_EQ(outcome.code, 255);
    EXPECT_EQ(outcome.output, "exec /bin/odd: exec format error\n");
}

TEST_F(ContainerLife, ExecRunsInTheContainer) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    Outcome outcome =
        exec(*container, {"sh", "-c", "readlink /proc/1/exe; cat /proc/1/comm; exit 4"});
    EXPECT_EQ(outcome.code, 4);
    EXPECT_EQ(outcome.output, "/bin/busybox\nsleep\n");
    // All namespaces are the container's.
    outcome = exec(
        *container,
        {"sh",
         "-c",
         "for n in pid net ipc uts mnt cgroup; do "
         "[ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n; done"});
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(
        exec(*container, {"nope"}).output, "exec: \"nope\": executable file not found in $PATH");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerLife, PausesAndResumes) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    ASSERT_TRUE(container->pause().ok());
    EXPECT_EQ(container->state()->status, Status::Paused);
    oci::Process process = *config_.process;
    EXPECT_EQ(exec_process(*container, process).output, "cannot exec in a paused container");
    ASSERT_TRUE(container->resume().ok());
    EXPECT_EQ(container->state()->status, Status::Running);
    EXPECT_FALSE(container->resume().ok());
    // A paused container can be destroyed.
    ASSERT_TRUE(container->pause().ok());
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerLife, HooksRunAtTheirTimesWithACleanEnvironment) {
    std::string log = folder_->path() + "/hooks";
    auto hook = [&](const std::string& name) {
        return oci::Hook{
            .path = "/bin/sh",
            .args =
                {"sh", "-c", "echo " + name + " $SECRET$ONLY $(pwd) >> " + log + "; cat >> " + log},
            .env = {"ONLY=this", "PATH=/bin:/usr/bin"}};
    };
    config_.process->env.push_back("SECRET=container");
    config_.process->args = {"/bin/true"};
    std::filesystem::create_symlink("busybox", root_path() + "/bin/true");
    config_.hooks.prestart = {hook("prestart")};
    config_.hooks.create_runtime = {hook("createRuntime")};
    config_.hooks.poststart = {hook("poststart")};
    config_.hooks.poststop = {hook("poststop")};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    finish(*container);
    std::string text = read_file(log).value_or("");
    for (const char* name : {"prestart", "createRuntime", "poststart", "poststop"}) {
        EXPECT_NE(text.find(std::string(name) + " this " + bundle_ + "\n{"), std::string::npos)
            << text;
    }
    EXPECT_NE(text.find("\"status\":\"creating\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"status\":\"stopped\""), std::string::npos) << text;
}

TEST_F(ContainerLife, AFailingHookLeavesNothing) {
    config_.hooks.create_runtime = {{.path = "/bin/false"}};
    auto container = create();
    ASSERT_FALSE(container.ok());
    EXPECT_NE(
        container.error().message().find("[0] /bin/false: hook ended with status 1"),
        std::string::npos);
    EXPECT_FALSE(exists(state_root_ + "/c"));
}

TEST_F(ContainerLife, RefusesIdsThatArePaths) {
    for (const char* id : {"../x", "a/b", "", ".", ".."}) {
        auto container = create(id);
        ASSERT_FALSE(container.ok()) << id;
        EXPECT_EQ(container.error().kind(), ErrorKind::InvalidArgument) << id;
    }
}

TEST_F(ContainerLife, StateDirectoriesArePrivate) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();

    struct stat status {};

    ASSERT_EQ(::stat((state_root_ + "/c").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

} // namespace

} // namespace berth::runtime
