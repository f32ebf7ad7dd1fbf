// SPDX-License-Identifier: Apache-2.0
// clone(2) with CLONE_VM | CLONE_VFORK on a stack of its own: the cost does not grow with the
// caller's memory.
#include "kernel/process.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

constexpr std::size_t child_stack_bytes = 64U << 10;

// Everything the child needs, prepared by the parent: the child shares our memory and must not
// allocate.
struct ChildPlan {
    const SpawnOptions* options;
    const char* program;
    char* const* arguments;
    char* const* environment;
    sigset_t mask;
    int highest_target;
    bool shares_descriptors;
    int error = 0;
};

// The child's functions are not checked for addresses: it ends without leaving them, and what the
// checker has noted about its stack would hold for whoever gets that memory next.
[[gnu::no_sanitize_address]] void reset_signals() {
    struct sigaction standard {};

    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) {
        // SIGKILL and SIGSTOP cannot be set: that error is expected.
        ::sigaction(number, &standard, nullptr);
    }
}

// Two steps, because a target number can be another pair's source.
[[gnu::no_sanitize_address]] bool place_descriptors(const ChildPlan& plan) {
    std::array<int, 32> moved{};
    const auto& pairs = plan.options->fds;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        moved[i] = ::fcntl(pairs[i].first, F_DUPFD_CLOEXEC, plan.highest_target + 1);
        if (moved[i] < 0) {
            return false;
        }
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        if (::dup2(moved[i], pairs[i].second) < 0) {
            return false;
        }
    }
    return true;
}

// Up to here the parent's own table: now a copy of its lower part.
[[gnu::no_sanitize_address]] bool part_descriptors() {
    return ::syscall(SYS_close_range, first_kept_fd, ~0U, 2U /* CLOSE_RANGE_UNSHARE */) == 0;
}

[[gnu::no_sanitize_address]] int run_child(void* argument) {
    auto& plan = *static_cast<ChildPlan*>(argument);
    const SpawnOptions& options = *plan.options;
    if (plan.shares_descriptors && !part_descriptors()) {
        plan.error = errno;
        ::_exit(127);
    }
    if (options.death_signal) {
        ::prctl(PR_SET_PDEATHSIG, *options.death_signal);
    }
    if (options.default_signals) {
        reset_signals();
        sigemptyset(&plan.mask);
    }
    if (options.new_session) {
        ::setsid();
    }
    bool placed = place_descriptors(plan) &&
                  (!options.working_directory || ::chdir(options.working_directory->c_str()) == 0);
    if (placed) {
        // Descriptors that a library of the parent made without close-on-exec must not leak.
        ::syscall(SYS_close_range, plan.highest_target + 1, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
        ::sigprocmask(SIG_SETMASK, &plan.mask, nullptr);
        ::execve(plan.program, plan.arguments, plan.environment);
    }
    plan.error = errno;
    ::_exit(127);
}

Result<std::string> find_program(const SpawnOptions& options) {
    const std::string& name = options.program.empty() ? options.arguments[0] : options.program;
    if (name.find('/') != std::string::npos) {
        return name;
    }
    const char* path = std::getenv("PATH");
    for (std::string_view folder :
         split(path ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", ':')) {
        std::string candidate = std::string(folder) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) {
            return candidate;
        }
    }
    return Error::from_errno("start " + name, ENOENT).as(ErrorKind::NotFound);
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) {
        // execve takes char* for historical reasons and does not write.
        pointers.push_back(const_cast<char*>(text.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

ExitStatus status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) {
        return {.code = info.si_status};
    }
    return {.signal = info.si_status};
}

bool are_all_copied(const std::vector<std::pair<int, int>>& fds) {
    return std::ranges::all_of(fds, [](const auto& pair) { return pair.first < first_kept_fd; });
}

} // namespace

Result<UniqueFd> duplicate_apart(FdRef fd) {
    UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, first_kept_fd));
    if (!copy) {
        constexpr int behind_standard_streams = 3;
        copy = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, behind_standard_streams));
    }
    return copy ? Result<UniqueFd>(std::move(copy)) : errno_error("duplicate a descriptor");
}

UniqueFd keep_apart(UniqueFd fd) {
    UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, first_kept_fd));
    return moved ? std::move(moved) : std::move(fd);
}

Result<Child> Child::adopt(pid_t pid, UniqueFd pidfd) {
    if (!pidfd) {
        pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        if (!pidfd) {
            return errno_error("pidfd_open " + std::to_string(pid));
        }
    }
    return Child(pid, std::move(pidfd));
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1))
    , pidfd_(std::move(other.pidfd_)) {}

Child& Child::operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    return *this;
}

Child::~Child() {
    if (pid_ > 0) {
        [[maybe_unused]] Result<void> killed = kill(SIGKILL);
        [[maybe_unused]] Result<ExitStatus> ended = wait();
    }
}

Result<ExitStatus> Child::wait() {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) < 0) {
        if (errno != EINTR) {
            return errno_error("wait for process " + std::to_string(pid_));
        }
    }
    pid_ = -1;
    return status_of(info);
}

Result<std::optional<ExitStatus>> Child::try_wait() {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) < 0) {
        return errno_error("wait for process " + std::to_string(pid_));
    }
    if (info.si_pid == 0) {
        return std::optional<ExitStatus>();
    }
    pid_ = -1;
    return std::optional(status_of(info));
}

Result<void> Child::kill(int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) < 0) {
        return errno_error("signal process " + std::to_string(pid_));
    }
    return ok();
}

pid_t Child::release() {
    return std::exchange(pid_, -1);
}

Result<Child> spawn(const SpawnOptions& options) {
    VERIFY(!options.arguments.empty() && options.fds.size() <= 32);
    std::string program = TRY(find_program(options));
    std::vector<char*> arguments = pointers_to(options.arguments);
    std::vector<char*> environment;
    if (options.environment) {
        environment = pointers_to(*options.environment);
    }
    ChildPlan plan{
        .options = &options,
        .program = program.c_str(),
        .arguments = arguments.data(),
        .environment = options.environment ? environment.data() : environ,
        .mask = {},
        .highest_target = 2,
        .shares_descriptors = are_all_copied(options.fds)};
    for (const auto& [ours, target] : options.fds) {
        plan.highest_target = std::max(plan.highest_target, target);
    }
    void* stack = ::mmap(
        nullptr,
        child_stack_bytes,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
        -1,
        0);
    if (stack == MAP_FAILED) {
        return errno_error("stack for a child process");
    }
    // No signal handler of ours may run in the child while it shares our memory.
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &plan.mask);
    sigset_t saved = plan.mask;
    int pidfd = -1;
    // SAFETY: CLONE_VFORK suspends this thread until the child has exec'd or exited, so the plan
    // and the stack outlive it; the child only makes system calls.
    pid_t pid = ::clone(
        &run_child,
        static_cast<char*>(stack) + child_stack_bytes,
        CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD |
            (plan.shares_descriptors ? CLONE_FILES : 0),
        &plan,
        &pidfd);
    int clone_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &saved, nullptr);
    ::munmap(stack, child_stack_bytes);
    if (pid < 0) {
        return Error::from_errno("start " + program, clone_error);
    }
    Child child = TRY(Child::adopt(pid, UniqueFd(pidfd)));
    if (plan.error != 0) {
        return Error::from_errno("start " + program, plan.error);
    }
    return child;
}

} // namespace berth::kernel
