// SPDX-License-Identifier: Apache-2.0
// A list of what is allowed. The rest fails with EPERM and does not kill: the C library may ask for
// more than it needs.
#include "front/confinement.h"

#include "kernel/capabilities.h"
#include "kernel/seccomp.h"

#include <cerrno>

#include <sys/prctl.h>

namespace berth::front {

namespace {

// The run-time libraries of these builds open files and look at other threads.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

kernel::SeccompFilter filter() {
    return {
        .name = "berth-front",
        .default_action = "SCMP_ACT_ERRNO",
        .default_errno = EPERM,
        .architectures = {},
        .flags = {},
        .rules = {
            {.names =
                 {// connections that it was given
                  "recvfrom",
                  "recvmsg",
                  "sendto",
                  "sendmsg",
                  "read",
                  "write",
                  "close",
                  "shutdown",
                  "getsockopt",
                  "fcntl",
                  // waiting
                  "epoll_create1",
                  "epoll_ctl",
                  "epoll_wait",
                  "epoll_pwait",
                  "eventfd2",
                  "poll",
                  "ppoll",
                  "futex",
                  "restart_syscall",
                  "clock_nanosleep",
                  "nanosleep",
                  // memory
                  "mmap",
                  "munmap",
                  "mprotect",
                  "mremap",
                  "madvise",
                  "brk",
                  // threads
                  "clone",
                  "clone3",
                  "set_robust_list",
                  "rseq",
                  "exit",
                  "exit_group",
                  "sched_getaffinity",
                  "sched_yield",
                  "getpid",
                  "gettid",
                  "tgkill",
                  "rt_sigaction",
                  "rt_sigprocmask",
                  "rt_sigreturn",
                  "sigaltstack",
                  // time, chance, and what OpenSSL asks for
                  "clock_gettime",
                  "gettimeofday",
                  "time",
                  "getrandom",
                  "getuid",
                  "geteuid",
                  "getgid",
                  "getegid"},
             .action = "SCMP_ACT_ALLOW",
             .errno_value = {},
             .conditions = {}}}};
}

} // namespace

Result<void> confine() {
    // Fails where the engine itself may not: there is nothing to lose then, nor to gain by it.
    (void)kernel::drop_bounding_capabilities(0);
    TRY(kernel::set_capabilities({}));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return errno_error("PR_SET_NO_NEW_PRIVS");
    }
    if (is_sanitized) {
        return ok();
    }
    // The key is in its memory: not for a debugger, nor for a core file.
    if (prctl(PR_SET_DUMPABLE, 0) != 0) {
        return errno_error("PR_SET_DUMPABLE");
    }
    const kernel::SeccompProgram program = TRY(kernel::compile_seccomp(filter()));
    auto installed = kernel::install_seccomp(program);
    if (!installed.ok() && installed.error().error_number() != ENOSYS &&
        installed.error().error_number() != EINVAL) { // a kernel without filters
        return installed.error();
    }
    return ok();
}

} // namespace berth::front
