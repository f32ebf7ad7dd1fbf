// SPDX-License-Identifier: Apache-2.0
// Spawned programs, sockets that carry descriptors, procfs.
#include "base/file.h"
#include "kernel/namespace.h"
#include "kernel/process.h"
#include "kernel/procfs.h"
#include "kernel/socket.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

TEST(Spawn, PlacesDescriptorsAndClosesTheRest) {
    auto pipe = Pipe::create();
    UniqueFd leaky(::open("/etc/passwd", O_RDONLY)); // NOLINT(android-cloexec-open): what is tested
    auto child = spawn(
        {.arguments =
             {"sh",
              "-c",
              "for i in 3 4 5 6; do [ -e /proc/self/fd/$i ] && echo $i; done; echo $A; exit 3"},
         .environment = std::vector<std::string>{"A=b", "PATH=/bin:/usr/bin"},
         .fds = {{pipe->write_end.get(), 1}, {pipe->write_end.get(), 5}},
         .working_directory = "/"});
    ASSERT_TRUE(child.ok()) << child.error().message();
    pipe->write_end.reset();
    std::string text = *read_all(pipe->read_end, 100);
    EXPECT_EQ(text, "5\nb\n");
    EXPECT_EQ(child->wait()->code, 3);
}

// What the child has, of those that it might have, and what it reads from 3.
std::string seen_by_child(int third) {
    auto pipe = Pipe::create();
    auto child = spawn(
        {.arguments =
             {"sh",
              "-c",
              "for i in 3 4 1024 1025; do [ -e /proc/self/fd/$i ] && echo $i; done; cat <&3"},
         .fds = {{pipe->write_end.get(), 1}, {third, 3}}});
    pipe->write_end.reset();
    std::string text = *read_all(pipe->read_end, 100);
    EXPECT_EQ(child->wait()->code, 0);
    return text;
}

// A pipe's end behind which nothing comes any more.
UniqueFd readable(std::string_view text) {
    Pipe pipe = *Pipe::create();
    EXPECT_TRUE(write_all(pipe.write_end, text).ok());
    return std::move(pipe.read_end);
}

// The soft limit of descriptors, until it is destroyed.
class DescriptorLimit {
  public:
    explicit DescriptorLimit(rlim_t limit) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit changed{.rlim_cur = limit, .rlim_max = before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &changed), 0);
    }

    ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

    DescriptorLimit(const DescriptorLimit&) = delete;
    DescriptorLimit& operator=(const DescriptorLimit&) = delete;

  private:
    rlimit before_{};
};

TEST(Spawn, LeavesKeptDescriptorsToTheParentAndPassesThemOn) {
    const DescriptorLimit enough(first_kept_fd + 64);
    const UniqueFd low = readable("low");
    const UniqueFd moved = keep_apart(readable("kept"));
    const UniqueFd copy = *duplicate_apart(moved);
    EXPECT_GE(moved.get(), first_kept_fd);
    EXPECT_GE(copy.get(), first_kept_fd);
    EXPECT_EQ(seen_by_child(low.get()), "3\nlow");
    EXPECT_EQ(seen_by_child(moved.get()), "3\nkept");
    EXPECT_GE(::fcntl(copy.get(), F_GETFD), 0) << "the parent has lost it";
    EXPECT_FALSE(keep_apart(UniqueFd()));
}

TEST(Spawn, KeepsDescriptorsAsTheyAreWhereTheLimitIsLow) {
    const DescriptorLimit few(first_kept_fd);
    UniqueFd before = readable("kept");
    const int number = before.get();
    const UniqueFd kept = keep_apart(std::move(before));
    EXPECT_EQ(kept.get(), number);
    const auto copy = duplicate_apart(kept);
    ASSERT_TRUE(copy.ok());
    EXPECT_LT(copy->get(), first_kept_fd);
    EXPECT_EQ(seen_by_child(copy->get()), "3\nkept");
}

TEST(Spawn, GivesExecsErrorBack) {
    auto absent = spawn({.arguments = {"/nonexistent"}});
    ASSERT_FALSE(absent.ok());
    EXPECT_EQ(absent.error().error_number(), ENOENT);
    auto unfit = spawn({.arguments = {"/etc/passwd"}});
    ASSERT_FALSE(unfit.ok());
    EXPECT_EQ(unfit.error().error_number(), EACCES);
}

TEST(Spawn, TellsSignalsFromStatuses) {
    auto child = spawn({.arguments = {"sleep", "1000"}});
    ASSERT_TRUE(child.ok());
    EXPECT_FALSE(child->try_wait()->has_value());
    ASSERT_TRUE(child->kill(SIGTERM).ok());
    EXPECT_EQ(child->wait()->shell_code(), 128 + SIGTERM);
}

TEST(Spawn, AnAbandonedChildIsKilled) {
    pid_t pid = 0;
    {
        auto child = spawn({.arguments = {"sleep", "1000"}});
        ASSERT_TRUE(child.ok());
        pid = child->pid();
    }
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Socket, CarriesDescriptors) {
    auto pair = socket_pair(SOCK_SEQPACKET);
    auto pipe = Pipe::create();
    const int fd = pipe->write_end.get();
    ASSERT_TRUE(send_with_descriptors(pair->first, "x", std::span(&fd, 1)).ok());
    std::array<char, 8> buffer{};
    auto received = receive_with_descriptors(pair->second, buffer);
    ASSERT_TRUE(received.ok());
    ASSERT_EQ(received->descriptors.size(), 1U);
    EXPECT_NE(::fcntl(received->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
    pipe->write_end.reset();
    ASSERT_TRUE(write_all(received->descriptors[0], "hi").ok());
    received->descriptors.clear();
    EXPECT_EQ(*read_all(pipe->read_end, 10), "hi");
}

TEST(Socket, KnowsItsPeer) {
    auto folder = TemporaryDirectory::create("/tmp");
    auto listener = listen_unix(folder->path() + "/s", 0600);
    ASSERT_TRUE(listener.ok());

    struct stat status {};

    ASSERT_EQ(::stat((folder->path() + "/s").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    auto client = connect_unix(folder->path() + "/s");
    ASSERT_TRUE(client.ok());
    EXPECT_EQ(peer_credentials(*client)->pid, ::getpid());
    EXPECT_EQ(connect_unix(folder->path() + "/none").error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(connect_unix(std::string(200, 'x')).error().kind(), ErrorKind::InvalidArgument);
}

TEST(Procfs, OnlyTheRealOneIsTaken) {
    auto real = Procfs::open();
    ASSERT_TRUE(real.ok());
    EXPECT_TRUE(real->read("self/status").ok());
    EXPECT_FALSE(real->read("self/root/etc/passwd").ok());
    EXPECT_FALSE(real->read("self/../../etc/passwd").ok());
    EXPECT_FALSE(Procfs::adopt(std::move(*open_file("/tmp", O_PATH | O_DIRECTORY))).ok());
    EXPECT_FALSE(Procfs::adopt(std::move(*open_file("/proc/sys", O_PATH | O_DIRECTORY))).ok());
}

TEST(Namespace, StartTimesTellProcessesApart) {
    auto first = process_start_time(::getpid());
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(*first, *process_start_time(::getpid()));
    EXPECT_FALSE(process_start_time(0x3fffffff).ok());
}

} // namespace

} // namespace berth::kernel
