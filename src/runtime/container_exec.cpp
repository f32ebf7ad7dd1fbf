// SPDX-License-Identifier: Apache-2.0
// exec: one clone, whose child is born in the container's pid namespace and joins the others
// itself.
#include "kernel/namespace.h"
#include "kernel/socket.h"
#include "runtime/container_impl.h"
#include "runtime/sync.h"

#include <cerrno>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

Result<kernel::Cloned>
clone_exec(const ExecPlan& plan, const kernel::Cgroup& cgroup, bool join_pid_namespace) {
    kernel::NamespaceScope scope;
    if (join_pid_namespace) {
        // Only for children: our own pid does not change.
        TRY(scope.enter(plan.container, CLONE_NEWPID));
    }
    UniqueFd group = TRY(cgroup.open_unified());
    kernel::Cloned child = TRY(kernel::clone_process(0, group));
    if (child.pid == 0) {
        run_exec(plan);
    }
    return child;
}

void reap(pid_t pid) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
}

} // namespace

Result<Process>
spawn_in_container(ExecPlan& plan, const kernel::Cgroup& cgroup, bool join_pid_namespace) {
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_SEQPACKET));
    plan.socket = std::move(sockets.second);
    kernel::Cloned child = TRY(clone_exec(plan, cgroup, join_pid_namespace));
    plan.socket.reset();
    Result<SyncMessage> message = receive_sync(sockets.first);
    if (!message.ok()) {
        reap(child.pid); // it has exited or does so now
        return message.error().message() == "the other side is gone"
                   ? internal_error("process ended before it was ready")
                   : std::move(message).error();
    }
    return Process{
        .pid = child.pid,
        .pidfd = std::move(child.pidfd),
        .terminal = std::move(message->terminal)};
}

} // namespace berth::runtime
