// SPDX-License-Identifier: Apache-2.0
// Raw system calls: glibc has no clone3 and no pidfd wrappers in this version.
#include "kernel/namespace.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/id_mapping.h"
#include "kernel/suspended_child.h"

#include <linux/nsfs.h>
#include <linux/sched.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <map>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

std::string_view file_of(std::uint64_t flag) {
    switch (flag) {
    case CLONE_NEWNET:
        return "net";
    case CLONE_NEWIPC:
        return "ipc";
    case CLONE_NEWUTS:
        return "uts";
    case CLONE_NEWCGROUP:
        return "cgroup";
    case CLONE_NEWPID:
        return "pid";
    case CLONE_NEWNS:
        return "mnt";
    case CLONE_NEWUSER:
        return "user";
    }
    return "time";
}

// Or until its maker is: it has all of that one's descriptors.
int sleep_until_killed(void* maker) {
    ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    while (::syscall(SYS_getppid) == *static_cast<const pid_t*>(maker)) {
        ::syscall(SYS_pause);
    }
    ::syscall(SYS_exit, 0);
    return 0;
}

// A process is born into them and killed: only a new one can be the first in a user namespace, as
// we may have more than one thread.
Result<UserNamespaces>
make_user_namespaces(int further, const std::string& uid_map, const std::string& gid_map) {
    constexpr std::size_t stack_bytes = 4096;
    alignas(64) std::array<char, stack_bytes> stack;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    pid_t self = ::getpid();
    // SAFETY: the child shares our memory, but has a stack of its own, runs no handler of ours (all
    // signals are blocked), does nothing but system calls, and is gone before we return.
    const pid_t pid = ::clone(
        &sleep_until_killed,
        stack.data() + stack.size(),
        CLONE_VM | CLONE_FILES | CLONE_PIDFD | CLONE_NEWUSER | SIGCHLD | further,
        &self,
        &pidfd);
    const int clone_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        return Error::from_errno("make a user namespace", clone_error);
    }
    const UniqueFd process(pidfd);
    const std::string directory = "/proc/" + std::to_string(pid) + "/ns/";
    auto opened = [&]() -> Result<UserNamespaces> {
        TRY(write_id_map(pid, "uid_map", uid_map));
        TRY(write_id_map(pid, "gid_map", gid_map));
        UserNamespaces made;
        made.user = TRY(open_file(directory + "user", O_RDONLY));
        if ((further & CLONE_NEWNET) != 0) {
            made.network = TRY(open_file(directory + "net", O_RDONLY));
        }
        return made;
    }();
    ::kill(pid, SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
    return opened;
}

struct NetworkOfUser {
    int user_namespace = -1;
    int made = -1;
    int error = 0;
};

int make_network_of_user(void* argument) {
    auto* network = static_cast<NetworkOfUser*>(argument);
    if (::syscall(SYS_setns, network->user_namespace, CLONE_NEWUSER) == 0 &&
        ::syscall(SYS_unshare, CLONE_NEWNET) == 0) {
        network->made = static_cast<int>(
            ::syscall(SYS_openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    }
    network->error = network->made < 0 ? errno : 0;
    ::syscall(SYS_exit, 0);
    return 0;
}

} // namespace

std::optional<std::uint64_t> namespace_flag(std::string_view oci_name) {
    static const std::map<std::string_view, std::uint64_t> flags{
        {"pid", CLONE_NEWPID},
        {"network", CLONE_NEWNET},
        {"mount", CLONE_NEWNS},
        {"ipc", CLONE_NEWIPC},
        {"uts", CLONE_NEWUTS},
        {"user", CLONE_NEWUSER},
        {"cgroup", CLONE_NEWCGROUP},
        {"time", CLONE_NEWTIME}};
    auto found = flags.find(oci_name);
    return found == flags.end() ? std::nullopt : std::optional(found->second);
}

Result<UniqueFd> open_namespace(const std::string& path, std::uint64_t flag) {
    UniqueFd fd = TRY(open_file(path, O_RDONLY));
    // Another file system answers ENOTTY, so this also proves that it is a namespace at all.
    int type = ::ioctl(fd.get(), NS_GET_NSTYPE);
    if (type < 0 || static_cast<std::uint64_t>(type) != flag) {
        return invalid_argument(path + " is not a " + std::string(file_of(flag)) + " namespace");
    }
    return fd;
}

NamespaceScope::~NamespaceScope() {
    for (auto before = before_.rbegin(); before != before_.rend(); ++before) {
        const bool back = ::setns(before->first.get(), static_cast<int>(before->second)) == 0;
        VERIFY(back || (errno == EPERM && in_user_namespace()));
    }
}

Result<void> NamespaceScope::enter(FdRef joined, std::uint64_t flag) {
    UniqueFd own = TRY(open_file("/proc/thread-self/ns/" + std::string(file_of(flag)), O_RDONLY));
    TRY(join_namespaces(joined, flag));
    before_.emplace_back(std::move(own), flag);
    return ok();
}

Result<void> NamespaceScope::make_time_namespace(const std::string& offsets) {
    UniqueFd own = TRY(open_file("/proc/thread-self/ns/time", O_RDONLY));
    if (::unshare(CLONE_NEWTIME) < 0) {
        return errno_error("new time namespace");
    }
    before_.emplace_back(std::move(own), CLONE_NEWTIME);
    return offsets.empty() ? ok() : write_existing("/proc/self/timens_offsets", offsets);
}

Result<void> join_namespaces(FdRef joined, std::uint64_t flags) {
    if (::setns(joined.get(), static_cast<int>(flags)) < 0) {
        return errno_error("join namespace");
    }
    return ok();
}

Result<Cloned> clone_process(std::uint64_t flags, const UniqueFd& cgroup) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | flags;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    // A sibling ends with the signal that the caller itself ends with.
    arguments.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
    if (cgroup) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(cgroup.get());
    }
    // SAFETY: no CLONE_VM: the child has a copy of our memory and, as the process has one thread,
    // no lock of the C library is held in it.
    long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) {
        return errno_error("clone3");
    }
    if (pid == 0) {
        return Cloned{};
    }
    return Cloned{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

Result<UniqueFd> open_pidfd(pid_t pid) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd) {
        return errno_error("pidfd_open " + std::to_string(pid));
    }
    return fd;
}

Result<pid_t> pid_of(FdRef pidfd) {
    std::string text = TRY(read_file("/proc/self/fdinfo/" + std::to_string(pidfd.get()), 4096));
    for (std::string_view line : split(text, '\n')) {
        std::optional<Cut> parts = cut(line, ":");
        if (parts && parts->before == "Pid") {
            return parse_number<pid_t>(trim(parts->after));
        }
    }
    return internal_error("a descriptor is no pidfd");
}

Result<UniqueFd> make_user_namespace(const std::string& uid_map, const std::string& gid_map) {
    return std::move(TRY(make_user_namespaces(0, uid_map, gid_map)).user);
}

Result<UserNamespaces>
make_user_and_network_namespace(const std::string& uid_map, const std::string& gid_map) {
    return make_user_namespaces(CLONE_NEWNET, uid_map, gid_map);
}

Result<UniqueFd> make_network_namespace(FdRef user_namespace) {
    NetworkOfUser network{.user_namespace = user_namespace.get()};
    TRY(run_suspended_child(&make_network_of_user, &network, "make a network namespace"));
    if (network.error != 0) {
        return Error::from_errno("make a network namespace of a user namespace", network.error);
    }
    return UniqueFd(network.made);
}

Result<void> write_id_map(pid_t pid, std::string_view file, const std::string& map) {
    return write_existing("/proc/" + std::to_string(pid) + "/" + std::string(file), map);
}

Result<std::uint64_t> process_start_time(pid_t pid) {
    std::string text = TRY(read_file("/proc/" + std::to_string(pid) + "/stat", 4096));
    // The name in parentheses may hold anything; fields are counted after the last one.
    std::optional<Cut> parts = cut_last(text, ")");
    if (!parts) {
        return internal_error("/proc/" + std::to_string(pid) + "/stat cannot be read");
    }
    constexpr std::size_t start_time_field = 22;
    constexpr std::size_t first_field_after_name = 3;
    std::vector<std::string_view> fields = words(parts->after);
    if (fields.size() <= start_time_field - first_field_after_name) {
        return internal_error("/proc/" + std::to_string(pid) + "/stat is too short");
    }
    return parse_number<std::uint64_t>(fields[start_time_field - first_field_after_name]);
}

} // namespace berth::kernel
