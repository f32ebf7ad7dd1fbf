// SPDX-License-Identifier: Apache-2.0
// Forked tests in their own network namespace, and the oracle programs.
#include "kernel/netlink_test_support.h"

#include "base/file.h"
#include "kernel/netlink_route.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

constexpr unsigned longest_test_seconds = 60;

[[noreturn]] void run_in_child(const std::function<void()>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(longest_test_seconds);
    bool ready = ::unshare(CLONE_NEWNET) == 0;
    Result<RouteSocket> socket = RouteSocket::open();
    RouteBatch batch;
    batch.change_link(1, {.state = LinkState::Up});
    ready = ready && socket.ok() && socket.value().execute(batch).ok();
    EXPECT_TRUE(ready) << "no network namespace; these tests need root";
    if (ready) {
        body();
    }
    std::fflush(nullptr);
    // Not exit(): the parent's test framework must not finish twice.
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
}

} // namespace

void in_new_network(const std::function<void()>& body) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        run_in_child(body);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    EXPECT_EQ(status, 0) << "the test's child process failed";
}

std::string output_of(const std::vector<std::string>& command) {
    Result<Pipe> pipe = Pipe::create();
    EXPECT_TRUE(pipe.ok());
    std::vector<char*> arguments;
    for (const std::string& argument : command) {
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(pipe.value().write_end.get(), STDOUT_FILENO);
        ::dup2(pipe.value().write_end.get(), STDERR_FILENO);
        ::execvp(arguments[0], arguments.data());
        ::_exit(127);
    }
    pipe.value().write_end.reset();
    const Result<std::string> output = read_all(pipe.value().read_end, 16U << 20);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    EXPECT_EQ(status, 0) << command[0] << ": " << (output.ok() ? output.value() : "");
    return output.ok() ? output.value() : "";
}

} // namespace berth::kernel
