// SPDX-License-Identifier: Apache-2.0
// Small parts that need no container: mount options, namespaces, program look-up, state files,
// the command line's flags.
#include "base/file.h"
#include "kernel/process.h"
#include "kernel/socket.h"
#include "runtime/cgroup_resources.h"
#include "runtime/mount_options.h"
#include "runtime/namespaces.h"
#include "runtime/program_lookup.h"
#include "runtime/self_protection.h"
#include "runtime/state_file.h"
#include "runtime/sync.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

TEST(MountOptions, AttributesAndParametersAreToldApart) {
    auto options = parse_mount_options(
        {"rbind", "ro", "nosuid", "nodev", "dev", "rslave", "size=5k", "mode=755", "noatime"});
    ASSERT_TRUE(options.ok());
    EXPECT_TRUE(options->bind);
    EXPECT_EQ(options->recursive_bind, kernel::Recursive::Yes);
    EXPECT_EQ(options->attributes.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME);
    EXPECT_EQ(options->attributes.clear, MOUNT_ATTR_NODEV | MOUNT_ATTR__ATIME);
    EXPECT_EQ(options->propagation[0].type, static_cast<std::uint64_t>(MS_SLAVE));
    EXPECT_EQ(options->propagation[0].recursive, kernel::Recursive::Yes);
    ASSERT_EQ(options->parameters.size(), 2U);
    EXPECT_EQ(options->parameters[0].key, "size");
    EXPECT_EQ(options->parameters[0].value, "5k");
}

TEST(MountOptions, AnEmptyValueIsNoFlag) {
    auto options = parse_mount_options({"password=", "guest"});
    ASSERT_TRUE(options.ok());
    ASSERT_EQ(options->parameters.size(), 2U);
    EXPECT_EQ(options->parameters[0].key, "password");
    EXPECT_TRUE(options->parameters[0].is_text);
    EXPECT_FALSE(options->parameters[1].is_text);
}

TEST(MountOptions, RecursiveAttributesAreRecursive) {
    auto options = parse_mount_options({"rro", "rnosuid"});
    ASSERT_TRUE(options.ok());
    EXPECT_TRUE(options->attributes.empty());
    EXPECT_EQ(options->recursive_attributes.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
}

TEST(MountOptions, EveryKnownOneIsTaken) {
    for (const std::string& name : known_mount_options()) {
        auto options = parse_mount_options({name});
        ASSERT_TRUE(options.ok()) << name;
        EXPECT_TRUE(options->parameters.empty()) << name;
    }
    EXPECT_FALSE(parse_mount_options({"idmap=uids=0-1-2"}).ok());
}

TEST(Namespaces, AreCheckedBeforeAnythingHappens) {
    oci::RuntimeConfig config;
    EXPECT_FALSE(plan_namespaces(config).ok()); // no mount namespace
    config.linux_.namespaces = {{"mount", ""}, {"pid", ""}};
    ASSERT_TRUE(plan_namespaces(config).ok());
    EXPECT_EQ(plan_namespaces(config)->created, std::uint64_t{CLONE_NEWNS | CLONE_NEWPID});
    config.hostname = "h";
    EXPECT_FALSE(plan_namespaces(config).ok()); // no uts namespace
    config.hostname = "";
    config.linux_.namespaces.push_back({"pid", ""});
    EXPECT_FALSE(plan_namespaces(config).ok()); // twice
    config.linux_.namespaces.back() = {"nonsense", ""};
    EXPECT_FALSE(plan_namespaces(config).ok());
    config.linux_.namespaces.back() = {"user", ""};
    EXPECT_FALSE(plan_namespaces(config).ok()); // no mappings
}

TEST(ProgramLookup, TheLastVariableCounts) {
    EXPECT_EQ(environment_value({"A=1", "AB=2", "A=3=4"}, "A"), "3=4");
    EXPECT_EQ(environment_value({"A=1"}, "B"), std::nullopt);
}

TEST(ProgramLookup, WalksThePath) {
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(make_directories(folder->path() + "/b").ok());
    ASSERT_TRUE(replace_file(folder->path() + "/tool", "", 0644).ok());
    ASSERT_TRUE(replace_file(folder->path() + "/b/tool", "", 0755).ok());
    std::string path = "/nonexistent:" + folder->path() + ":" + folder->path() + "/b";
    EXPECT_EQ(*find_executable("tool", path), folder->path() + "/b/tool");
    EXPECT_EQ(
        find_executable("tool", folder->path()).error().message(),
        "exec: \"tool\": executable file not found in $PATH");
    EXPECT_FALSE(find_executable("", path).ok());
    EXPECT_FALSE(find_executable("tool", "").ok());
}

TEST(StateFile, IsReadAsItWasWritten) {
    auto folder = TemporaryDirectory::create("/tmp");
    auto directory = StateDirectory::at(folder->path() + "/deep/state", "id");
    ASSERT_TRUE(directory.ok());
    ASSERT_TRUE(directory->create().ok());
    EXPECT_EQ(directory->read().error().kind(), ErrorKind::NotFound); // not written yet
    ASSERT_TRUE(
        directory->write({.id = "id", .pid = 5, .start_time = 77, .annotations = {{"a", "b"}}})
            .ok());
    auto record = directory->read();
    ASSERT_TRUE(record.ok());
    EXPECT_EQ(record->pid, 5);
    EXPECT_EQ(record->start_time, 77U);
    EXPECT_EQ(record->annotations.at("a"), "b");
    EXPECT_EQ(directory->create().error().message(), "container with given ID already exists");
}

TEST(Sync, CarriesErrorsWithTheirKind) {
    auto sockets = kernel::socket_pair(SOCK_SEQPACKET);
    ASSERT_TRUE(sockets.ok());
    send_sync_error(sockets->first, not_found("exec: \"x\""));
    auto message = receive_sync(sockets->second);
    ASSERT_FALSE(message.ok());
    EXPECT_EQ(message.error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(message.error().message(), "exec: \"x\"");
    ASSERT_TRUE(send_sync(sockets->first, SyncKind::Ready).ok());
    EXPECT_EQ(receive_sync(sockets->second)->kind, SyncKind::Ready);
    for (const char* broken : {"x", "E", "E\x7f\x01\x02\x03\x04", "Eab"}) {
        ASSERT_TRUE(kernel::send_with_descriptors(sockets->first, broken, {}).ok());
        EXPECT_FALSE(receive_sync(sockets->second).ok());
    }
    sockets->first.reset();
    EXPECT_EQ(receive_sync(sockets->second).error().kind(), ErrorKind::Unavailable);
}

TEST(CgroupResources, ZeroMeansUnset) {
    auto resources = oci::parse_resources_text(
        R"({"memory":{"limit":0},"cpu":{"shares":0,"quota":0},"pids":{"limit":0}})");
    ASSERT_TRUE(resources.ok());
    auto limits = cgroup_limits(*resources);
    ASSERT_TRUE(limits.ok());
    EXPECT_FALSE(limits->memory || limits->cpu_shares || limits->cpu_quota || limits->pids);
    EXPECT_FALSE(device_rules({{.allow = true, .type = "x"}}).ok());
    EXPECT_FALSE(device_rules({{.allow = true, .type = "c", .access = "rx"}}).ok());
}

// CVE-2019-5736: the file that a container's process would find behind /proc/<pid>/exe.
TEST(SelfProtection, AProtectedProgramCannotBeWritten) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "mounts need root";
    }
    auto folder = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(folder.ok());
    const std::string copy = folder->path() + "/busybox";
    auto content = read_file("/bin/busybox");
    ASSERT_TRUE(content.ok() && replace_file(copy, *content, 0755).ok());
    auto program = protected_program(copy);
    ASSERT_TRUE(program.ok()) << program.error().message();
    const std::string path = "/proc/self/fd/" + std::to_string(program->get());
    for (int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
        UniqueFd writer(::open(path.c_str(), flags | O_CLOEXEC));
        EXPECT_FALSE(writer);
        EXPECT_EQ(errno, EROFS);
    }
    auto child = kernel::spawn({.arguments = {"sleep", "1000"}, .program = path});
    ASSERT_TRUE(child.ok()) << child.error().message();
    UniqueFd writer(
        ::open(("/proc/" + std::to_string(child->pid()) + "/exe").c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_FALSE(writer);
    // Not even when nothing of it runs any more, and its mount is in no namespace.
    UniqueFd image(
        ::open(("/proc/" + std::to_string(child->pid()) + "/exe").c_str(), O_PATH | O_CLOEXEC));
    ASSERT_TRUE(child->kill(SIGKILL).ok() && child->wait().ok());
    program->reset();
    UniqueFd late(
        ::open(("/proc/self/fd/" + std::to_string(image.get())).c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_FALSE(late);
    EXPECT_EQ(errno, EROFS);
}

} // namespace

} // namespace berth::runtime
