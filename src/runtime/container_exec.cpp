// SPDX-License-Identifier: Apache-2.0
// exec: one clone, whose child is born in the container's pid namespace and joins the others
// itself.
#include "kernel/cgroup_systemd.h"
#include "kernel/namespace.h"
#include "kernel/socket.h"
#include "runtime/container_impl.h"
#include "runtime/sync.h"

#include <cerrno>
#include <csignal>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

// A container that manages groups itself has given controllers to groups below its own, which then
// takes no process any more: the new one goes where init is.
Result<kernel::Cloned> clone_into(const ExecPlace& place) {
    if (!place.unit.empty()) {
        return kernel::clone_process(0, UniqueFd());
    }
    UniqueFd group = TRY(place.cgroup.open_unified());
    Result<kernel::Cloned> child = kernel::clone_process(0, group);
    if (child.ok() || child.error().error_number() != EBUSY) {
        return child;
    }
    std::string path = TRY(kernel::Cgroup::unified_path_of(place.init));
    kernel::Cgroup other = TRY(kernel::Cgroup::open(path));
    group = TRY(other.open_unified());
    return kernel::clone_process(0, group);
}

// `ours`: the creator's end of the conversation.
Result<kernel::Cloned> clone_exec(const ExecPlan& plan, const ExecPlace& place, UniqueFd& ours) {
    kernel::NamespaceScope scope;
    for (std::uint64_t flag : {std::uint64_t{CLONE_NEWPID}, std::uint64_t{CLONE_NEWTIME}}) {
        if ((plan.born_in & flag) != 0) {
            TRY(scope.enter(plan.container, flag));
        }
    }
    kernel::Cloned child = TRY(clone_into(place));
    if (child.pid == 0) {
        ours.reset(); // so that the child notices when its creator is gone
        run_exec(plan);
    }
    return child;
}

void reap(pid_t pid) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
}

Result<void> move_by_systemd(const ExecPlace& place, pid_t pid, const UniqueFd& socket) {
    if (place.unit.empty()) {
        return ok();
    }
    TRY(kernel::attach_to_systemd_unit(place.unit, pid));
    if (!place.cgroup.path().ends_with("/" + place.unit)) {
        TRY(place.cgroup.add(pid)); // a group below, which is the user's like all of them
    }
    return send_sync(socket, SyncKind::Go);
}

// Answers the process until it says that it is ready.
Result<SyncMessage>
wait_until_ready(const ExecPlan& plan, const kernel::Cloned& child, const UniqueFd& socket) {
    while (true) {
        SyncMessage message = TRY(receive_sync(socket));
        if (message.kind != SyncKind::Listener) {
            return message;
        }
        TRY(hand_over_listener(
            *plan.config.linux_.seccomp, {child.pidfd, child.pid, message.listener}, plan.state));
        TRY(send_sync(socket, SyncKind::Go));
    }
}

} // namespace

Result<Process> spawn_in_container(ExecPlan& plan, const ExecPlace& place) {
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_SEQPACKET));
    plan.socket = std::move(sockets.second);
    kernel::Cloned child = TRY(clone_exec(plan, place, sockets.first));
    plan.socket.reset();
    Result<void> moved = move_by_systemd(place, child.pid, sockets.first);
    Result<SyncMessage> message = moved.ok() ? wait_until_ready(plan, child, sockets.first)
                                             : Result<SyncMessage>(std::move(moved).error());
    if (!message.ok()) {
        ::kill(child.pid, SIGKILL); // most often it has exited by itself
        reap(child.pid);
        return is_end_of_sync(message.error()) ? internal_error("process ended before it was ready")
                                               : std::move(message).error();
    }
    return Process{
        .pid = child.pid,
        .pidfd = std::move(child.pidfd),
        .terminal = std::move(message->descriptor)};
}

} // namespace berth::runtime
