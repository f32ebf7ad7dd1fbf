// SPDX-License-Identifier: Apache-2.0
// Container::create: the host's side. Everything that needs the host's view is opened before the
// clone; one clone3 makes init with all its namespaces; then we only write down who it is and wait
// until it is ready.
#include "base/file.h"
#include "base/rollback.h"
#include "kernel/cgroup_systemd.h"
#include "kernel/id_mapping.h"
#include "kernel/kernel_features.h"
#include "kernel/socket.h"
#include "runtime/cgroup_resources.h"
#include "runtime/cgroup_setup.h"
#include "runtime/container_impl.h"
#include "runtime/hooks.h"
#include "runtime/init.h"
#include "runtime/init_clone.h"
#include "runtime/intel_rdt.h"
#include "runtime/net_devices.h"
#include "runtime/rlimits.h"
#include "runtime/rootless.h"
#include "runtime/sync.h"
#include "runtime/sysctl.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr int max_preserved_fds = 1024;

Result<void> check_preserved_fds(int count) {
    if (count < 0 || count > max_preserved_fds) {
        return invalid_argument("preserve-fds must be 0 to 1024");
    }
    for (int fd = 3; fd < 3 + count; ++fd) {
        // A gap would be filled by a descriptor of ours, and that one would stay open in the
        // container.
        if (::fcntl(fd, F_GETFD) < 0) {
            return invalid_argument(
                "preserve-fds: descriptor " + std::to_string(fd) + " is not open");
        }
    }
    return ok();
}

Result<std::string> absolute(const std::string& path) {
    if (path.starts_with('/')) {
        return path;
    }
    std::string here(4096, '\0');
    if (::getcwd(here.data(), here.size()) == nullptr) {
        return errno_error("getcwd");
    }
    here.resize(here.find('\0'));
    return here + "/" + path;
}

Result<void> check_rootfs(const std::string& path) {
    struct stat status {};

    if (::stat(path.c_str(), &status) < 0) {
        return errno_error("invalid rootfs: stat " + path);
    }
    return S_ISDIR(status.st_mode)
               ? ok()
               : Result<void>(invalid_argument("invalid rootfs: " + path + " is not a directory"));
}

Result<UniqueFd> make_gate(const std::string& path) {
    if (::mkfifo(path.c_str(), 0600) < 0) {
        return errno_error("make " + path);
    }
    return open_file(path, O_RDWR);
}

void kill_and_reap(pid_t pid) {
    ::kill(pid, SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 && errno == EINTR) {
    }
}

// What only the host may do for a child in a user namespace.
Result<void> set_up_user_namespace(
    const oci::RuntimeConfig& config, const NamespacePlan& namespaces, pid_t pid) {
    if (namespaces.creates("user")) {
        TRY_CONTEXT(
            kernel::write_id_map(pid, "uid_map", id_map_text(config.linux_.uid_mappings)),
            "linux.uidMappings");
        TRY_CONTEXT(
            kernel::write_id_map(pid, "gid_map", id_map_text(config.linux_.gid_mappings)),
            "linux.gidMappings");
    }
    if (config.process->oom_score_adj) {
        TRY(write_existing(
            "/proc/" + std::to_string(pid) + "/oom_score_adj",
            std::to_string(*config.process->oom_score_adj)));
    }
    return set_rlimits(pid, config.process->rlimits);
}

Error died_early(const kernel::Cgroup& cgroup) {
    if (cgroup.oom_kills().value_or(0) > 0) {
        return Error(
            ErrorKind::ResourceExhausted, "container init was OOM-killed (memory limit too low?)");
    }
    return internal_error("container init ended before it was ready");
}

// The creator's side of the conversation with init. Its death has words of its own, whatever step
// of ours is the first to notice.
class InitTalk {
  public:
    InitTalk(FdRef socket, const kernel::Cloned& child, const kernel::Cgroup& cgroup)
        : socket_(socket)
        , child_(child)
        , cgroup_(cgroup) {}

    Result<SyncMessage> hear() const {
        Result<SyncMessage> message = receive_sync(socket_);
        if (!message.ok() && is_end_of_sync(message.error())) {
            return died_early(cgroup_);
        }
        return message;
    }

    // When a step of ours failed and init is gone: what it said last tells more.
    Result<void> check(Result<void> step) const {
        pollfd ended{child_.pidfd.get(), POLLIN, 0};
        if (step.ok() || (step.error().error_number() != EPIPE && ::poll(&ended, 1, 0) <= 0)) {
            return step;
        }
        while (true) {
            Result<SyncMessage> message = hear();
            if (!message.ok()) {
                return std::move(message).error();
            }
        }
    }

  private:
    FdRef socket_;
    const kernel::Cloned& child_;
    const kernel::Cgroup& cgroup_;
};

// Hooks are programs of the host, a user namespace may have a procfs of its own only where it sees
// a whole one, and the label of a message queue is set through a path in /proc.
bool may_begin_empty(
    const CreateOptions& options, const oci::RuntimeConfig& config, const InitPlan& plan) {
    const oci::Hooks& hooks = config.hooks;
    return plan.namespaces.creates("mount") && !plan.namespaces.has("user") &&
           !kernel::in_user_namespace() && are_complete(plan.mounts) && !options.no_pivot &&
           hooks.prestart.empty() && hooks.create_runtime.empty() &&
           hooks.create_container.empty() && config.linux_.mount_label.empty();
}

Result<InitPlan> make_plan(
    CreateOptions& options,
    const oci::RuntimeConfig& config,
    const kernel::Cgroup& cgroup,
    const State& state) {
    NamespacePlan namespaces = TRY(plan_namespaces(config));
    const bool user = namespaces.has("user");
    std::vector<JoinedNamespace> joined = TRY(open_joined(namespaces));
    const bool bind_devices = user || kernel::in_user_namespace();
    ProcessPlan own = TRY(ProcessPlan::create(*config.process, config.linux_));
    auto root = TRY(prepare_root(state.rootfs));
    auto devices = TRY(prepare_devices(config, bind_devices));
    UniqueFd null_mount = TRY(prepare_null_device());
    InitPlan plan{
        .config = config,
        .process = std::move(own),
        .namespaces = std::move(namespaces),
        .joined = std::move(joined),
        .cgroup = cgroup,
        .root = std::move(root),
        .mounts = {},
        .devices = std::move(devices),
        .null_mount = std::move(null_mount),
        .gate = UniqueFd(),
        .socket = UniqueFd(),
        .hook_state = state,
        .empty_mounts = {},
        .no_pivot = options.no_pivot};
    plan.mounts = TRY(prepare_mounts(
        config,
        {.bundle = state.bundle,
         .joined = plan.joined,
         .cgroup = &cgroup,
         .own_cgroup_namespace = plan.namespaces.has("cgroup")}));
    if (may_begin_empty(options, config, plan)) {
        plan.empty_mounts = std::move(options.empty_mounts);
    }
    ProcessPlan& process = plan.process;
    process.stdio = std::move(options.stdio);
    process.cgroup_joins = TRY(cgroup.open_joins());
    process.preserve_fds = options.preserve_fds;
    process.new_keyring = !options.no_new_keyring;
    process.in_user_namespace = user;
    if (user) {
        process.give_pipes(config.linux_);
    }
    process.on_parent_death = options.on_parent_death;
    return plan;
}

// Before anything is made: what can be said from the configuration alone.
Result<void> check_config(const oci::RuntimeConfig& config) {
    if (!config.process) {
        return invalid_argument("config.json: process is missing");
    }
    if (config.root.path.empty()) {
        return invalid_argument("config.json: root.path is missing");
    }
    if (config.annotations.contains("")) {
        return invalid_argument("config.json: annotations: a key must not be empty");
    }
    TRY(check_hooks(config.hooks));
    TRY(check_root_propagation(config.linux_.rootfs_propagation));
    TRY(check_net_devices(config));
    TRY(check_intel_rdt(config.linux_.intel_rdt));
    return check_sysctls(config);
}

Result<void>
set_device_rules(kernel::Cgroup& cgroup, const std::vector<kernel::CgroupDeviceRule>& rules) {
    Result<void> set = cgroup.set_device_rules(rules);
    // runc: the kernel gives the programs for it to root alone, and a user can neither make
    // devices nor open more of them than without a container.
    if (!set.ok() && set.error().error_number() == EPERM && kernel::in_user_namespace()) {
        return ok();
    }
    TRY_CONTEXT(std::move(set), "cgroup device rules");
    return ok();
}

// Does what init asks for until it is ready: its last message, with the terminal if it has one.
Result<SyncMessage> attend(
    const InitTalk& talk,
    FdRef socket,
    const kernel::Cloned& child,
    const oci::RuntimeConfig& config,
    const State& state) {
    while (true) {
        SyncMessage message = TRY(talk.hear());
        if (message.kind == SyncKind::Ready) {
            return message;
        }
        if (message.kind == SyncKind::Hooks) {
            TRY(run_hooks(config.hooks.prestart, {"prestart", state, state.bundle}));
            TRY(run_hooks(config.hooks.create_runtime, {"createRuntime", state, state.bundle}));
            TRY(talk.check(send_sync(socket, SyncKind::Go)));
        } else if (message.kind == SyncKind::Listener) {
            TRY(hand_over_listener(
                *config.linux_.seccomp, {child.pidfd, child.pid, message.listener}, state));
            TRY(talk.check(send_sync(socket, SyncKind::Go)));
        }
    }
}

} // namespace

Result<Container> Container::create(CreateOptions options) {
    TRY(kernel::require_container_features());
    TRY(check_preserved_fds(options.preserve_fds));
    const std::string bundle = TRY(absolute(options.bundle));
    std::string text = TRY(read_file(bundle + "/config.json"));
    oci::RuntimeConfig config = TRY(oci::parse_runtime_config(text));
    TRY(check_config(config));
    if (options.check_config) {
        TRY(options.check_config(config));
    }
    const CgroupRequest request{
        .config = config,
        .id = options.id,
        .systemd = options.systemd_cgroup,
        .rights = options.cgroup_rights,
        .made = options.cgroup && !options.systemd_cgroup ? &*options.cgroup : nullptr};
    const CgroupPlace place = TRY(plan_cgroup(request));
    const std::string state_root = TRY(absolute(options.state_root));
    StateDirectory directory = TRY(StateDirectory::at(state_root, options.id));
    const std::string rootfs =
        config.root.path.starts_with('/') ? config.root.path : bundle + "/" + config.root.path;
    TRY(check_rootfs(rootfs));
    TRY(enter_rootless(config));
    Rollback rollback;
    TRY(directory.create());
    rollback.push([&directory] { [[maybe_unused]] Result<void> done = directory.remove(); });
    UniqueFd creator_lock = TRY(directory.write_config(text));

    const bool has_hooks = !config.hooks.poststart.empty() || !config.hooks.poststop.empty();
    StateRecord record{
        .id = options.id,
        .oci_version = config.oci_version,
        .bundle = bundle,
        .rootfs = rootfs,
        .created = Timestamp::now(),
        .has_hooks = has_hooks,
        .annotations = config.annotations};
    // Before there is a group or a process, so that whatever ends us, delete finds both.
    record.cgroup = place.path;
    record.systemd_unit = place.unit;
    TRY(directory.write(record));
    ContainerCgroup group = TRY(create_cgroup(request, place));
    // Copies: the undo runs after the locals that were made later than the rollback are gone.
    rollback.push([cgroup = group.cgroup, unit = place.unit] {
        [[maybe_unused]] Result<void> done = remove_cgroup(cgroup, unit);
    });
    record.cgroup = group.cgroup.path();
    if (record.cgroup != place.path) {
        TRY(directory.write(record)); // systemd has said where
    }
    auto impl = std::make_unique<Impl>(Impl{
        .state_root = state_root,
        .directory = directory,
        .record = std::move(record),
        .cgroup = group.cgroup,
        .pidfd = UniqueFd(),
        .terminal = UniqueFd(),
        .config = std::move(config)});
    TRY(impl->launch_init(std::move(options), group));
    rollback.commit();
    return Container(std::move(impl));
}

Result<void> Container::remove_by_force(const std::string& state_root, const std::string& id) {
    Result<Container> container = load(state_root, id);
    if (container.ok()) {
        return container->destroy(Force::Yes);
    }
    if (container.error().kind() != ErrorKind::NotFound) {
        return std::move(container).error();
    }
    StateDirectory directory = TRY(StateDirectory::at(state_root, id));
    if (directory.creator_works()) {
        return conflict("container " + id + " is being created");
    }
    return directory.remove();
}

Result<void> Container::Impl::launch_init(CreateOptions options, ContainerCgroup& group) {
    State state = this->state();
    state.status = Status::Creating;
    InitPlan plan = TRY(make_plan(options, *config, cgroup, state));
    // Checked now, set while the child is at work where it notices nothing of it: the kernel
    // compiles a program for them.
    const oci::Resources none;
    std::vector<kernel::CgroupDeviceRule> rules =
        TRY(device_rules(config->linux_.resources.value_or(none).devices));
    const bool has_cgroup = !cgroup.directories().empty();
    if (has_cgroup && !cgroup.device_rules_are_atomic()) {
        TRY(set_device_rules(cgroup, rules));
    }
    plan.process.seccomp = TRY(seccomp_program(config->linux_.seccomp, seccomp_cache()));
    const RdtGroup rdt = TRY(make_rdt_group(config->linux_.intel_rdt, record.id));
    record.rdt_group = rdt.made_group;
    record.rdt_monitor = rdt.made_monitor;
    MovedDevices moved;
    Rollback rollback;
    rollback.push([rdt] { remove_rdt_group(rdt.made_group, rdt.made_monitor); });
    plan.gate = TRY(make_gate(directory.gate_path()));
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_SEQPACKET));
    plan.socket = std::move(sockets.second);
    plan.creators_end = sockets.first.get();
    plan.systemd_moves_it = systemd_moves_processes(record.systemd_unit);
    kernel::Cloned child = TRY(clone_init(plan, cgroup));
    rollback.push([pid = child.pid] { kill_and_reap(pid); });
    plan.socket.reset(); // so that we notice when the child is gone
    if (plan.systemd_moves_it) {
        TRY(kernel::attach_to_systemd_unit(record.systemd_unit, child.pid));
    }
    // In groups of version 1 init puts itself, and is there for sure when it is ready.
    const bool born_there = plan.process.cgroup_joins.empty();
    if (born_there) {
        TRY(group.settle());
    }
    record.pid = child.pid;
    record.start_time = TRY(kernel::process_start_time(child.pid));
    state.pid = child.pid;
    const InitTalk talk(sockets.first, child, cgroup);
    TRY(directory.write(record));
    TRY(talk.check(join_rdt_group(rdt, child.pid)));
    if (plan.namespaces.has("user")) {
        TRY(talk.check(set_up_user_namespace(*config, plan.namespaces, child.pid)));
    }
    moved = TRY(move_net_devices(config->linux_, child.pidfd));
    rollback.push([&moved] { moved.give_back(); });
    if (plan.waits_for_creator()) {
        TRY(talk.check(send_sync(sockets.first, SyncKind::Go)));
    }
    if (has_cgroup && cgroup.device_rules_are_atomic()) {
        TRY(set_device_rules(cgroup, rules));
    }
    SyncMessage ready = TRY(attend(talk, sockets.first, child, *config, state));
    TRY(group.settle());
    // By us: it may need the host's rights.
    TRY(talk.check(apply_scheduling(child.pid, plan.process.traits)));
    terminal = std::move(ready.descriptor);
    pidfd = std::move(child.pidfd);
    rollback.commit();
    return ok();
}

} // namespace berth::runtime
