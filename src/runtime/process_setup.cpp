// SPDX-License-Identifier: Apache-2.0
// Order matters: limits and seccomp while the rights are there, then the user, then the directory
// (which only the user may be able to enter), then the program.
#include "runtime/process_setup.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/capabilities.h"
#include "kernel/path.h"
#include "runtime/namespaces.h"
#include "runtime/program_lookup.h"
#include "runtime/rlimits.h"
#include "runtime/security_labels.h"
#include "runtime/sync.h"
#include "runtime/user.h"

#include <linux/keyctl.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr int first_free_fd = 3;
constexpr mode_t default_umask = 0022;

bool is_null_device(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

Result<void> place_streams(const ProcessPlan& plan) {
    const UniqueFd* streams[] = {&plan.stdio.in, &plan.stdio.out, &plan.stdio.err};
    std::array<UniqueFd, 3> copies;
    // Through high numbers: a given stream may itself be one of 0, 1, 2.
    for (std::size_t i = 0; i < copies.size(); ++i) {
        const UniqueFd& source = *streams[i] ? *streams[i] : plan.null_device;
        copies[i] =
            UniqueFd(::fcntl(source.get(), F_DUPFD_CLOEXEC, first_free_fd + plan.preserve_fds));
        if (!copies[i]) {
            return errno_error("standard streams");
        }
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (::dup2(copies[i].get(), static_cast<int>(i)) < 0) {
            return errno_error("standard streams");
        }
    }
    for (const UniqueFd* stream : streams) {
        // While init waits for its start it must not hold the caller's streams: with a terminal,
        // containerd reads them to their end before it goes on.
        // SAFETY: this process ends by execve or _exit, so the owner's destructor never runs here.
        if (*stream) {
            ::close(stream->get());
        }
    }
    return ok();
}

void reset_signals() {
    struct sigaction standard {};

    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) {
        ::sigaction(number, &standard, nullptr);
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Streams that the user may want to reopen (/dev/stdout) must be his; the null device becomes the
// container's own, so that no file of the host's /dev is left open.
Result<void> adopt_streams(const ProcessPlan& plan) {
    UniqueFd root = TRY(open_file("/", O_PATH | O_DIRECTORY));
    for (int fd = 0; fd <= 2; ++fd) {
        struct stat status {};

        if (::fstat(fd, &status) < 0) {
            continue;
        }
        if (is_null_device(status)) {
            Result<UniqueFd> own = kernel::open_in_root(root, "/dev/null", O_RDWR);

            struct stat own_status {};

            if (own.ok() && ::fstat(own->get(), &own_status) == 0 && is_null_device(own_status) &&
                ::dup2(own->get(), fd) < 0) {
                return errno_error("reopen /dev/null");
            }
            continue;
        }
        // A file system may refuse (read-only, foreign owner); then the user has what he has.
        if (status.st_uid != plan.process->user.uid) {
            [[maybe_unused]] int done =
                ::fchown(fd, plan.process->user.uid, static_cast<gid_t>(-1));
        }
    }
    return ok();
}

Result<void> set_keyring(const ProcessPlan& plan) {
    // Without a session keyring of its own the process would share the host's.
    if (plan.new_keyring && ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 &&
        errno != ENOSYS) {
        return errno_error("make a session keyring");
    }
    return ok();
}

Result<void> set_user(const oci::User& user, const kernel::Procfs& procfs) {
    std::vector<gid_t> groups(user.additional_gids.begin(), user.additional_gids.end());
    // Always, also with none: what the caller was in must not go along (CVE-2022-36109).
    // Raw calls: the C library's would look for threads that exist in our creator only.
    if (::syscall(SYS_setgroups, groups.size(), groups.data()) < 0) {
        const int number = errno;
        // In a user's own namespace that right is denied for good; the groups that are left give
        // nothing more than the user has.
        const bool denied =
            number == EPERM && procfs.read("self/setgroups").value_or("").starts_with("deny");
        if (!denied || !groups.empty()) {
            errno = number;
            return errno_error("set supplementary groups");
        }
    }
    if (::syscall(SYS_setresgid, user.gid, user.gid, user.gid) < 0) {
        return errno_error("set gid " + std::to_string(user.gid));
    }
    if (::syscall(SYS_setresuid, user.uid, user.uid, user.uid) < 0) {
        return errno_error("set uid " + std::to_string(user.uid));
    }
    return ok();
}

// What this program or the kernel does not know is left out with a warning, as runc does it: a
// profile that was written for a newer kernel works on an older one.
kernel::CapabilitySet known_capabilities(const std::vector<std::string>& names) {
    std::vector<std::string> known;
    for (const std::string& name : names) {
        std::optional<int> number = kernel::capability_number(name);
        if (number && *number <= kernel::last_capability()) {
            known.push_back(name);
        } else {
            log::warn("unknown or unavailable capability, ignoring", {{"capability", name}});
        }
    }
    return kernel::capability_set(known).value_or(0);
}

kernel::CapabilitySets capability_sets_of(const oci::Process& process) {
    if (!process.capabilities) {
        return kernel::CapabilitySets{};
    }
    const oci::Capabilities& named = *process.capabilities;
    return kernel::CapabilitySets{
        .bounding = known_capabilities(named.bounding),
        .effective = known_capabilities(named.effective),
        .permitted = known_capabilities(named.permitted),
        .inheritable = known_capabilities(named.inheritable),
        .ambient = known_capabilities(named.ambient)};
}

// CVE-2024-21626: a working directory of /proc/self/fd/N would stand outside of the container.
// Magic links are not followed, and the kernel must see the directory below our root.
Result<void> enter_directory(const std::string& path) {
    if (!path.starts_with('/')) {
        return invalid_argument("Cwd must be an absolute path");
    }
    UniqueFd root = TRY(open_file("/", O_PATH | O_DIRECTORY));
    const std::string failed = "chdir to cwd (\"" + path + "\") set in config.json failed";
    const Result<UniqueFd> directory = kernel::open_in_root(root, path, O_PATH | O_DIRECTORY);
    if (!directory.ok()) {
        return Error::from_errno(failed, directory.error().error_number());
    }
    if (::fchdir(directory->get()) < 0) {
        return errno_error(failed);
    }
    std::array<char, 4096> where{};
    if (::syscall(SYS_getcwd, where.data(), where.size()) < 0) {
        return errno_error("getcwd");
    }
    if (where[0] != '/') {
        return Error(
            ErrorKind::Forbidden,
            "current working directory is outside of container mount namespace root -- possible "
            "container breakout detected");
    }
    return ok();
}

Result<std::vector<std::string>> environment_of(const oci::Process& process) {
    for (const std::string& entry : process.env) {
        std::size_t equal = entry.find('=');
        if (equal == 0 || equal == std::string::npos || entry.find('\0') != std::string::npos) {
            return invalid_argument("invalid environment variable: \"" + entry + "\"");
        }
    }
    std::vector<std::string> environment = process.env;
    std::optional<std::string_view> home = environment_value(environment, "HOME");
    if (!home || home->empty()) {
        UniqueFd root = TRY(open_file("/", O_PATH | O_DIRECTORY));
        // A file that cannot be read (too large, no right) is no reason not to start.
        std::string passwd = read_user_database(root, "etc/passwd").value_or("");
        std::erase_if(
            environment, [](const std::string& entry) { return entry.starts_with("HOME="); });
        std::string found = home_of(passwd, process.user.uid).value_or("/");
        environment.push_back("HOME=" + (found.empty() ? "/" : found));
    }
    return environment;
}

// A filter may ask a listener about calls that we make ourselves from now on, so the creator gets
// the listener's descriptor at once: it takes it out of this process.
Result<void> install_filter(const kernel::SeccompProgram& program, FdRef socket) {
    UniqueFd listener = TRY(kernel::install_seccomp(program));
    if (listener) {
        TRY(offer_listener(socket, listener));
    }
    return ok();
}

} // namespace

Result<Stdio> Stdio::inherit() {
    Stdio stdio;
    UniqueFd* streams[] = {&stdio.in, &stdio.out, &stdio.err};
    for (int fd = 0; fd <= 2; ++fd) {
        *streams[fd] = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, first_free_fd));
        if (!*streams[fd] && errno != EBADF) {
            return errno_error("standard streams");
        }
    }
    return stdio;
}

void ProcessPlan::give_pipes(const oci::Linux& linux_object) const {
    const std::optional<std::uint32_t> owner =
        outside_id(linux_object.uid_mappings, process->user.uid);
    for (const UniqueFd* stream : {&stdio.in, &stdio.out, &stdio.err}) {
        struct stat status {};

        if (owner && *stream && ::fstat(stream->get(), &status) == 0 && S_ISFIFO(status.st_mode)) {
            // Who may not give them keeps them, as the process then does without.
            [[maybe_unused]] int done = ::fchown(stream->get(), *owner, static_cast<gid_t>(-1));
        }
    }
}

Result<ProcessPlan>
ProcessPlan::create(const oci::Process& process, const oci::Linux& linux_object) {
    if (process.args.empty()) {
        return invalid_argument("process.args must not be empty");
    }
    constexpr std::uint32_t all_permissions = 0777;
    if (process.user.umask.value_or(0) > all_permissions) {
        return invalid_argument("process.user.umask: must be 0 to 511 (octal 777)");
    }
    TRY(check_rlimits(process.rlimits));
    TRY(check_security_labels(process, linux_object.mount_label));
    ProcessPlan plan(TRY(kernel::Procfs::open()));
    plan.process = &process;
    plan.capabilities = capability_sets_of(process);
    plan.traits = TRY(process_traits(process, linux_object));
    plan.null_device = TRY(open_file("/dev/null", O_RDWR));
    return plan;
}

Result<void> isolate_process(const ProcessPlan& plan) {
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return errno_error("PR_SET_DUMPABLE");
    }
    reset_signals();
    if (plan.on_parent_death == OnParentDeath::Kill &&
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        return errno_error("PR_SET_PDEATHSIG");
    }
    if (::setsid() < 0) {
        return errno_error("setsid");
    }
    TRY(place_streams(plan));
    if (::syscall(
            SYS_close_range, first_free_fd + plan.preserve_fds, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) <
        0) {
        return errno_error("close_range");
    }
    return ok();
}

Result<void> set_host_limits(const ProcessPlan& plan) {
    if (plan.process->oom_score_adj) {
        TRY(plan.procfs.write("self/oom_score_adj", std::to_string(*plan.process->oom_score_adj)));
    }
    return set_rlimits(0, plan.process->rlimits);
}

Result<Executable> become_user(const ProcessPlan& plan, FdRef socket) {
    const oci::Process& process = *plan.process;
    Executable executable;
    executable.environment = TRY(environment_of(process));
    TRY(set_security_labels(process, plan.procfs));
    TRY(set_keyring(plan));
    TRY(apply_machine(plan.traits));
    TRY(adopt_streams(plan));
    if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return errno_error("no_new_privs");
    }
    if (plan.seccomp && !process.no_new_privileges) {
        // Only CAP_SYS_ADMIN may install it, and the capabilities go now.
        TRY(install_filter(*plan.seccomp, socket));
    }
    TRY(kernel::drop_bounding_capabilities(plan.capabilities.bounding));
    // root may enter directories that the user may not, and the other way round (NFS): both try.
    bool entered = enter_directory(process.cwd).ok();
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        return errno_error("PR_SET_KEEPCAPS");
    }
    TRY(set_user(process.user, plan.procfs));
    TRY(kernel::set_capabilities(plan.capabilities));
    ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (!entered) {
        TRY(enter_directory(process.cwd));
    }
    ::umask(process.user.umask.value_or(default_umask));
    executable.path = TRY(find_executable(
        process.args[0], environment_value(executable.environment, "PATH").value_or("")));
    if (plan.on_parent_death == OnParentDeath::Kill &&
        // A change of user has cleared it.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        return errno_error("PR_SET_PDEATHSIG");
    }
    if (plan.seccomp && process.no_new_privileges) {
        TRY(install_filter(*plan.seccomp, socket));
    }
    return executable;
}

Error execute(const ProcessPlan& plan, const Executable& executable) {
    auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<char*> list;
        for (const std::string& text : texts) {
            list.push_back(const_cast<char*>(text.c_str()));
        }
        list.push_back(nullptr);
        return list;
    };
    std::vector<char*> arguments = pointers(plan.process->args);
    std::vector<char*> environment = pointers(executable.environment);
    for (int fd = first_free_fd; fd < first_free_fd + plan.preserve_fds; ++fd) {
        ::fcntl(fd, F_SETFD, 0);
    }
    ::execve(executable.path.c_str(), arguments.data(), environment.data());
    int number = errno;
    std::string words = std::strerror(number);
    if (!words.empty() && words[0] >= 'A' && words[0] <= 'Z') {
        words[0] = static_cast<char>(words[0] - 'A' + 'a'); // as Go prints them
    }
    return Error(ErrorKind::Forbidden, "exec " + executable.path + ": " + words);
}

void end_after_failed_execute(const Error& error) {
    std::string line = error.message() + "\n";
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    ::syscall(SYS_close_range, 0, ~0U, 0U); // see give_up in init.cpp
    ::_exit(255);
}

} // namespace berth::runtime
