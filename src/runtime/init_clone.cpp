// SPDX-License-Identifier: Apache-2.0
// The child is born in the namespaces that it joins, because we are in them for a moment: that also
// works for those that its own user namespace would not let it join. Two kinds are different. A
// mount namespace is joined by the child. A user namespace that exists already must be entered
// before the new namespaces are made, so that they belong to it, and nobody comes back from it: a
// helper goes in and makes init as its own sibling, which is our child.
#include "runtime/init_clone.h"

#include "kernel/socket.h"
#include "runtime/sync.h"

#include <cerrno>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

[[noreturn]] void
run_helper(const InitPlan& plan, std::uint64_t created, FdRef user_namespace, FdRef socket) {
    auto cloned = [&]() -> Result<kernel::Cloned> {
        TRY(kernel::join_namespaces(user_namespace, CLONE_NEWUSER));
        return kernel::clone_process(created | CLONE_PARENT, UniqueFd());
    }();
    if (!cloned.ok()) {
        send_sync_error(socket, cloned.error());
        ::_exit(1);
    }
    if (cloned->pid == 0) {
        run_init(plan);
    }
    [[maybe_unused]] Result<void> sent = send_sync(socket, SyncKind::Ready, cloned->pidfd);
    ::_exit(0);
}

Result<kernel::Cloned> clone_in_user_namespace(
    const InitPlan& plan, std::uint64_t created, FdRef user_namespace, const UniqueFd& group) {
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_SEQPACKET));
    // Into the group here: from inside of the namespace nobody may.
    kernel::Cloned helper = TRY(kernel::clone_process(0, group));
    if (helper.pid == 0) {
        run_helper(plan, created, user_namespace, sockets.second);
    }
    sockets.second.reset();
    Result<SyncMessage> message = receive_sync(sockets.first);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(helper.pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
    UniqueFd pidfd = TRY(std::move(message)).descriptor;
    if (!pidfd) {
        return internal_error("the container's init has no pidfd");
    }
    pid_t pid = TRY(kernel::pid_of(pidfd));
    return kernel::Cloned{pid, std::move(pidfd)};
}

} // namespace

Result<kernel::Cloned> clone_init(const InitPlan& plan, const kernel::Cgroup& cgroup) {
    kernel::NamespaceScope scope;
    const UniqueFd* user_namespace = nullptr;
    for (const JoinedNamespace& entry : plan.joined) {
        if (entry.flag == CLONE_NEWUSER) {
            user_namespace = &entry.file;
        } else if (entry.flag != CLONE_NEWNS) {
            TRY(scope.enter(entry.file, entry.flag));
        }
    }
    // A time namespace must have its offsets before the child is in it.
    const std::uint64_t created =
        plan.namespaces.created & ~plan.made_by_init() & ~static_cast<std::uint64_t>(CLONE_NEWTIME);
    if (plan.namespaces.creates("time")) {
        TRY_CONTEXT(scope.make_time_namespace(plan.namespaces.time_offsets), "linux.timeOffsets");
    }
    UniqueFd group = plan.systemd_moves_it ? UniqueFd() : TRY(cgroup.open_unified());
    if (user_namespace != nullptr) {
        return clone_in_user_namespace(plan, created, *user_namespace, group);
    }
    kernel::Cloned child = TRY(kernel::clone_process(created, group));
    if (child.pid == 0) {
        run_init(plan);
    }
    return child;
}

} // namespace berth::runtime
