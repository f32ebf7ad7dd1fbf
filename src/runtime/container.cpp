// SPDX-License-Identifier: Apache-2.0
// The rest of a container's life. What a container is doing is asked of the kernel each time; the
// files only say who init was.
#include "runtime/container.h"

#include "base/file.h"
#include "base/without_sigpipe.h"
#include "kernel/namespace.h"
#include "kernel/socket.h"
#include "runtime/cgroup_setup.h"
#include "runtime/container_impl.h"
#include "runtime/hooks.h"
#include "runtime/init.h"
#include "runtime/intel_rdt.h"
#include "runtime/rootless.h"
#include "runtime/sync.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr int kill_wait_milliseconds = 10'000;

bool has_ended(const UniqueFd& pidfd, int milliseconds = 0) {
    pollfd ended{pidfd.get(), POLLIN, 0};
    return ::poll(&ended, 1, milliseconds) > 0;
}

constexpr std::string_view start_of_stopped = "cannot start a container that has stopped";

// Init reads there until it is told. Where nobody does it has died since it was looked at.
Result<void> tell_to_start(const std::string& gate_path) {
    const WithoutSigpipe guard;
    auto gate = open_file(gate_path, O_WRONLY | O_NONBLOCK);
    Result<void> told = gate.ok() ? write_all(*gate, "1") : std::move(gate).error();
    if (!told.ok()) {
        const int number = told.error().error_number();
        if (number == ENXIO || number == EPIPE) {
            return conflict(std::string(start_of_stopped));
        }
    }
    return told;
}

} // namespace

bool Container::Impl::init_runs() const {
    return pidfd && !has_ended(pidfd);
}

bool Container::Impl::waits_at_gate() const {
    return exists(directory.gate_path());
}

Status Container::Impl::status() const {
    if (record.pid == 0) {
        return Status::Creating;
    }
    if (!init_runs()) {
        return Status::Stopped;
    }
    if (cgroup.frozen()) {
        return Status::Paused;
    }
    return waits_at_gate() ? Status::Created : Status::Running;
}

State Container::Impl::state() const {
    Status now = status();
    return {
        .oci_version = record.oci_version,
        .id = record.id,
        .status = now,
        .pid = now == Status::Stopped ? 0 : record.pid,
        .bundle = record.bundle,
        .rootfs = record.rootfs,
        .created = record.created,
        .annotations = record.annotations};
}

// A creator that died before it made the gate had put no process into the group, and may not have
// seen yet that the group is another's. Where a unit of systemd is, stands there once it is ours.
bool Container::Impl::owns_cgroup() const {
    const bool has_unit = !record.systemd_unit.empty() && !record.cgroup.empty();
    return record.pid != 0 || has_unit || exists(directory.gate_path());
}

Result<void> Container::Impl::remove_cgroup() {
    if (owns_cgroup()) {
        return runtime::remove_cgroup(cgroup, record.systemd_unit);
    }
    return TRY(cgroup.processes()).empty() ? cgroup.remove() : ok();
}

Result<const oci::RuntimeConfig*> Container::Impl::load_config() {
    if (!config) {
        std::string text = TRY(read_file(directory.config_path()));
        config = TRY(oci::parse_runtime_config(text));
    }
    return &*config;
}

std::string Container::Impl::seccomp_cache() const {
    return state_root + "/.seccomp";
}

Container::Container(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

Result<Container> Container::load(const std::string& state_root, const std::string& id) {
    StateDirectory directory = TRY(StateDirectory::at(state_root, id));
    StateRecord record = TRY(directory.read());
    kernel::Cgroup cgroup =
        record.cgroup.empty() ? kernel::Cgroup::none() : TRY(kernel::Cgroup::open(record.cgroup));
    UniqueFd pidfd;
    if (record.pid > 0) {
        Result<UniqueFd> opened = kernel::open_pidfd(record.pid);
        Result<std::uint64_t> started = kernel::process_start_time(record.pid);
        // Another process may have the number by now; its start time tells.
        if (opened.ok() && started.ok() && *started == record.start_time) {
            pidfd = std::move(*opened);
        }
    }
    return Container(std::make_unique<Impl>(Impl{
        .state_root = state_root,
        .directory = std::move(directory),
        .record = std::move(record),
        .cgroup = std::move(cgroup),
        .pidfd = std::move(pidfd),
        .terminal = UniqueFd(),
        .config = std::nullopt}));
}

Result<std::vector<std::string>> Container::list(const std::string& state_root) {
    std::vector<std::string> ids;
    if (!exists(state_root)) {
        return ids;
    }
    for (std::string& name : TRY(list_directory(state_root))) {
        if (exists(state_root + "/" + name + "/state.json")) {
            ids.push_back(std::move(name));
        }
    }
    return ids;
}

const std::string& Container::id() const {
    return impl_->record.id;
}

pid_t Container::pid() const {
    return impl_->record.pid;
}

FdRef Container::pidfd() const {
    return impl_->pidfd;
}

UniqueFd Container::take_terminal() {
    return std::move(impl_->terminal);
}

const oci::RuntimeConfig& Container::config() const {
    VERIFY(impl_->config.has_value());
    return *impl_->config;
}

Result<const oci::RuntimeConfig*> Container::load_config() const {
    return impl_->load_config();
}

const kernel::Cgroup& Container::cgroup() const {
    return impl_->cgroup;
}

Result<void> Container::start() {
    switch (impl_->status()) {
    case Status::Created:
        break;
    case Status::Stopped:
        return conflict(std::string(start_of_stopped));
    case Status::Creating:
        return conflict("cannot start a container that is being created");
    case Status::Running:
        return conflict("cannot start an already running container");
    case Status::Paused:
        return conflict("cannot start a paused container");
    }
    TRY(tell_to_start(impl_->directory.gate_path()));
    if (::unlink(impl_->directory.gate_path().c_str()) < 0 && errno != ENOENT) {
        return errno_error("remove the start gate");
    }
    if (impl_->record.has_hooks) {
        const oci::RuntimeConfig& config = *TRY(impl_->load_config());
        State state = impl_->state();
        Result<void> hooks = run_hooks(config.hooks.poststart, {"poststart", state, state.bundle});
        // The specification: the container is stopped, and the error told.
        if (!hooks.ok()) {
            [[maybe_unused]] Result<void> group = impl_->cgroup.kill(SIGKILL);
            [[maybe_unused]] Result<void> init = kill(SIGKILL);
            return hooks;
        }
    }
    return ok();
}

Result<void> Container::kill(int signal) {
    if (!impl_->init_runs()) {
        return not_found("container not running");
    }
    if (::syscall(SYS_pidfd_send_signal, impl_->pidfd.get(), signal, nullptr, 0) < 0) {
        return errno == ESRCH ? not_found("container not running")
                              : errno_error("signal container " + id());
    }
    return ok();
}

Result<void> Container::kill_all(int signal) {
    return impl_->cgroup.kill(signal);
}

Result<void> Container::pause() {
    Status now = impl_->status();
    if (now != Status::Running && now != Status::Created) {
        return conflict("container not running");
    }
    return impl_->cgroup.freeze();
}

Result<void> Container::resume() {
    if (impl_->status() != Status::Paused) {
        return conflict("container not paused");
    }
    return impl_->cgroup.thaw();
}

Result<void> Container::update(const oci::Resources& resources) {
    if (!impl_->init_runs()) {
        return conflict("container not running");
    }
    const oci::RuntimeConfig& config = *TRY(impl_->load_config());
    const oci::Resources configured = config.linux_.resources.value_or(oci::Resources{});
    return update_cgroup(
        impl_->cgroup,
        {.unit = impl_->record.systemd_unit, .resources = resources, .configured = configured});
}

Result<std::vector<pid_t>> Container::processes() const {
    return impl_->cgroup.processes();
}

Result<State> Container::state() const {
    return impl_->state();
}

Result<void> Container::destroy(Force force) {
    if (impl_->record.pid == 0 && impl_->directory.creator_works()) {
        return conflict("container " + id() + " is being created");
    }
    if (impl_->init_runs()) {
        if (force == Force::No && impl_->status() != Status::Created) {
            return conflict(
                "cannot delete container " + id() +
                " that is not stopped: " + std::string(to_string(impl_->status())));
        }
        TRY(impl_->cgroup.kill(SIGKILL));
        [[maybe_unused]] Result<void> also = kill(SIGKILL); // should it have left its group
        if (!has_ended(impl_->pidfd, kill_wait_milliseconds)) {
            return Error(ErrorKind::DeadlineExceeded, "container " + id() + " does not end");
        }
    } else if (impl_->owns_cgroup() && impl_->cgroup.exists()) {
        // Init is gone; what it left behind in a shared pid namespace goes too.
        TRY(impl_->cgroup.kill(SIGKILL));
    }
    TRY(impl_->remove_cgroup());
    remove_rdt_group(impl_->record.rdt_group, impl_->record.rdt_monitor);
    if (impl_->record.has_hooks && exists(impl_->directory.config_path())) {
        const oci::RuntimeConfig& config = *TRY(impl_->load_config());
        State state = impl_->state();
        // The specification: errors of poststop hooks are logged, the container goes all the same.
        run_all_hooks(config.hooks.poststop, {"poststop", state, state.bundle});
    }
    return impl_->directory.remove();
}

Result<Process> Container::exec(ExecOptions options) {
    Status now = impl_->status();
    if (now == Status::Paused && !options.ignore_paused) {
        return conflict("cannot exec in a paused container");
    }
    if (now == Status::Stopped || now == Status::Creating) {
        return conflict("cannot exec in a stopped container");
    }
    const oci::RuntimeConfig& config = *TRY(impl_->load_config());
    NamespacePlan namespaces = TRY(plan_namespaces(config));
    kernel::Cgroup cgroup = TRY(impl_->cgroup.below(options.cgroups));
    if (TRY(join_rootless(impl_->pidfd, config))) {
        namespaces.all &= ~static_cast<std::uint64_t>(CLONE_NEWUSER);
    }
    // A process cannot change its own pid namespace, and a time namespace may belong to another
    // user namespace than the container's.
    constexpr std::uint64_t born_in = CLONE_NEWPID | CLONE_NEWTIME;
    ProcessPlan process = TRY(ProcessPlan::create(options.process, config.linux_));
    UniqueFd container = TRY(impl_->pidfd.duplicate());
    ExecPlan plan{
        .config = config,
        .process = std::move(process),
        .container = std::move(container),
        .namespaces = namespaces.all & ~born_in,
        .born_in = namespaces.all & born_in,
        .state = impl_->state(),
        .socket = UniqueFd()};
    plan.process.stdio = std::move(options.stdio);
    plan.process.cgroup_joins = TRY(cgroup.open_joins());
    plan.process.preserve_fds = options.preserve_fds;
    plan.process.in_user_namespace = namespaces.has("user");
    if (plan.process.in_user_namespace) {
        plan.process.give_pipes(config.linux_);
    }
    plan.process.on_parent_death = options.on_parent_death;
    plan.process.seccomp = TRY(seccomp_program(config.linux_.seccomp, impl_->seccomp_cache()));
    ExecPlace place{.cgroup = cgroup, .init = impl_->record.pid, .unit = {}};
    if (systemd_moves_processes(impl_->record.systemd_unit)) {
        place.unit = impl_->record.systemd_unit;
        plan.waits_for_creator = true;
    }
    return spawn_in_container(plan, place);
}

} // namespace berth::runtime
