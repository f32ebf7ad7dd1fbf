// SPDX-License-Identifier: Apache-2.0
// The calling thread, not the process, is what waits.
#include "kernel/suspended_child.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include <sched.h>
#include <sys/wait.h>

namespace berth::kernel {

Result<void> run_suspended_child(int (*function)(void*), void* argument, std::string_view what) {
    constexpr std::size_t stack_bytes = 16384;
    alignas(64) std::array<char, stack_bytes> stack;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    // SAFETY: CLONE_VFORK suspends this thread until the child is gone, and no handler runs in it.
    const pid_t pid = ::clone(
        function,
        stack.data() + stack.size(),
        CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD,
        argument);
    const int clone_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        return Error::from_errno(std::string(what), clone_error);
    }
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
    return ok();
}

} // namespace berth::kernel
