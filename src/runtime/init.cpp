// SPDX-License-Identifier: Apache-2.0
// The child's life, in order. It was cloned into its new namespaces (all but the cgroup namespace,
// whose root is where a process is at that moment, so it must be in its groups first, and a mount
// namespace that begins empty) and has every descriptor of the host that it needs; the last of them
// are closed by execve.
#include "runtime/init.h"

#include "kernel/mount.h"
#include "kernel/path.h"
#include "runtime/console.h"
#include "runtime/hooks.h"
#include "runtime/root_move.h"
#include "runtime/sync.h"
#include "runtime/sysctl.h"

#include <cerrno>

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

Result<void> wait_for_go(const UniqueFd& socket) {
    SyncMessage message = TRY(receive_sync(socket));
    return message.kind == SyncKind::Go ? ok() : Result<void>(internal_error("unexpected message"));
}

// In a new user namespace a process is nobody until its maps are written.
Result<void> become_root_of_user_namespace() {
    if (::syscall(SYS_setresgid, 0, 0, 0) < 0 || ::syscall(SYS_setresuid, 0, 0, 0) < 0) {
        return errno_error("become root of the user namespace");
    }
    return ok();
}

Result<void> set_names(const oci::RuntimeConfig& config) {
    if (!config.hostname.empty() &&
        ::sethostname(config.hostname.data(), config.hostname.size()) < 0) {
        return errno_error("sethostname");
    }
    if (!config.domainname.empty() &&
        ::setdomainname(config.domainname.data(), config.domainname.size()) < 0) {
        return errno_error("setdomainname");
    }
    return ok();
}

Result<void> enter_namespaces(const InitPlan& plan) {
    TRY(kernel::Cgroup::join(plan.process.cgroup_joins));
    const bool user = plan.namespaces.has("user");
    if (!user) {
        TRY(set_host_limits(plan.process));
    }
    if (plan.waits_for_creator()) {
        TRY(wait_for_go(plan.socket));
    }
    if (user) {
        TRY(become_root_of_user_namespace());
    }
    if (plan.empty_mounts) {
        TRY(kernel::join_namespaces(plan.empty_mounts, CLONE_NEWNS));
    }
    const std::uint64_t now = plan.made_by_init();
    if (now != 0 && ::unshare(static_cast<int>(now)) < 0) {
        return errno_error("new cgroup, IPC and mount namespaces");
    }
    if ((plan.namespaces.created & CLONE_NEWNET) != 0) {
        TRY(raise_loopback());
    }
    for (const JoinedNamespace& entry : plan.joined) {
        if (entry.flag == CLONE_NEWNS) {
            TRY(kernel::join_namespaces(entry.file, CLONE_NEWNS));
        }
    }
    return set_names(plan.config);
}

// https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks
// The mounts are there, the root is not pivoted to yet: a hook that looks for the root at its path
// of the host, in our mount namespace, finds the container's.
Result<void> run_creation_hooks(const InitPlan& plan) {
    const oci::Hooks& hooks = plan.config.hooks;
    if (!hooks.prestart.empty() || !hooks.create_runtime.empty()) {
        TRY(send_sync(plan.socket, SyncKind::Hooks));
        TRY(wait_for_go(plan.socket));
    }
    if (hooks.create_container.empty()) {
        return ok();
    }
    State state = plan.hook_state;
    state.pid = ::getpid();
    return run_hooks(hooks.create_container, {"createContainer", state, state.bundle});
}

Result<MountedPlaces> build_root(const InitPlan& plan) {
    if (plan.no_pivot) {
        TRY(hide_kernel_mounts());
    }
    TRY(attach_root(plan.root, plan.hook_state.rootfs));
    MountedPlaces places = TRY(mount_all(
        plan.mounts,
        {.root = plan.root,
         .cgroup = plan.cgroup,
         .own_cgroup_namespace = plan.namespaces.has("cgroup"),
         .label = plan.config.linux_.mount_label}));
    if (!places.dev_is_bind) {
        TRY(make_devices(plan.root, plan.devices));
    }
    TRY(kernel::make_directories_in_root(plan.root, plan.config.process->cwd));
    TRY(run_creation_hooks(plan));
    for (const UniqueFd& mount : places.make_readonly) {
        TRY(kernel::set_mount_attributes(mount, {.set = MOUNT_ATTR_RDONLY}, kernel::Recursive::No));
    }
    return places;
}

// `master` outlives our failures: closing it hangs the session up, and SIGHUP would end us before
// the creator hears why.
Result<void>
set_up_terminal(const UniqueFd& root, const oci::Process& process, bool bind, UniqueFd& master) {
    if (!process.terminal) {
        return ok();
    }
    Console console = TRY(open_console(root, process.console_size));
    if (bind) {
        TRY(bind_console(root, console));
    }
    master = std::move(console.master);
    return use_console(console);
}

Result<Executable> set_up_init(const InitPlan& plan, UniqueFd& terminal) {
    const oci::RuntimeConfig& config = plan.config;
    TRY(isolate_process(plan.process));
    TRY(enter_namespaces(plan));
    const MountedPlaces places = TRY(build_root(plan));
    // Behind a root that began with nothing there is nothing, so chroot(2) is as good:
    // pivot_root(2) looks at each process of the machine.
    TRY(plan.no_pivot || plan.empty_mounts ? chroot_to(plan.root) : pivot_to(plan.root));
    TRY(set_up_terminal(plan.root, *config.process, true, terminal));
    TRY(set_root_propagation(plan.root, config.linux_.rootfs_propagation));
    TRY(write_sysctls(config, plan.process.procfs));
    TRY(protect_paths(plan.root, places.fixed, config.linux_.readonly_paths));
    TRY(mask_paths(
        plan.root,
        places.fixed,
        config.linux_.masked_paths,
        {.null_device = plan.null_mount, .label = config.linux_.mount_label}));
    if (config.root.readonly) {
        TRY(make_root_readonly(plan.root));
    }
    Executable executable = TRY(become_user(plan.process, plan.socket));
    TRY(send_sync(plan.socket, SyncKind::Ready, terminal));
    return executable;
}

// Until start() writes a byte. A descriptor that is open for both sides never sees an end of file.
void wait_at_gate(const UniqueFd& gate) {
    char byte = 0;
    while (::read(gate.get(), &byte, 1) < 0) {
        if (errno != EINTR) {
            ::_exit(1);
        }
    }
}

Result<Executable> set_up_exec(const ExecPlan& plan, UniqueFd& terminal) {
    TRY(isolate_process(plan.process));
    const ProcessTraits& traits = plan.process.traits;
    if (!traits.initial_cpus.empty()) {
        TRY_CONTEXT(
            kernel::set_cpu_affinity(traits.initial_cpus), "process.execCPUAffinity.initial");
    }
    TRY(kernel::Cgroup::join(plan.process.cgroup_joins));
    if (!traits.final_cpus.empty()) {
        TRY_CONTEXT(kernel::set_cpu_affinity(traits.final_cpus), "process.execCPUAffinity.final");
    }
    TRY(set_host_limits(plan.process));
    TRY(apply_scheduling(0, traits));
    if (plan.namespaces != 0) {
        TRY(kernel::join_namespaces(plan.container, plan.namespaces));
    }
    if (plan.process.in_user_namespace) {
        TRY(become_root_of_user_namespace());
    }
    // Joining the mount namespace has made the container's root ours.
    UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return errno_error("open the container's root");
    }
    TRY(set_up_terminal(root, *plan.process.process, false, terminal));
    Executable executable = TRY(become_user(plan.process, plan.socket));
    TRY(send_sync(plan.socket, SyncKind::Ready, terminal));
    return executable;
}

// Our descriptors go while we still are undumpable: a process without memory that is about to close
// its files may be looked into on some kernels.
[[noreturn]] void give_up(const UniqueFd& socket, const Error& error) {
    send_sync_error(socket, error);
    ::syscall(SYS_close_range, 0, ~0U, 0U);
    ::_exit(1);
}

} // namespace

void run_init(const InitPlan& plan) {
    ::close(plan.creators_end);
    UniqueFd terminal;
    Result<Executable> executable = set_up_init(plan, terminal);
    if (!executable.ok()) {
        give_up(plan.socket, executable.error());
    }
    wait_at_gate(plan.gate);
    State state = plan.hook_state;
    state.status = Status::Created;
    state.pid = ::getpid();
    Result<void> hooks =
        run_hooks(plan.config.hooks.start_container, {"startContainer", state, "/"});
    if (!hooks.ok()) {
        end_after_failed_execute(hooks.error());
    }
    end_after_failed_execute(execute(plan.process, *executable));
}

void run_exec(const ExecPlan& plan) {
    UniqueFd terminal;
    Result<void> go = plan.waits_for_creator ? wait_for_go(plan.socket) : ok();
    Result<Executable> executable =
        go.ok() ? set_up_exec(plan, terminal) : Result<Executable>(std::move(go).error());
    if (!executable.ok()) {
        give_up(plan.socket, executable.error());
    }
    end_after_failed_execute(execute(plan.process, *executable));
}

} // namespace berth::runtime
