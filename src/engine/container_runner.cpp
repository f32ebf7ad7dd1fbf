// SPDX-License-Identifier: Apache-2.0
// The start of a container, step by step; each step has its undo. A crash at any point leaves a
// state that reconnect() understands: the row says "running" before the program may run, by then
// there is a monitor to be found, and one whose container was not started goes away with the
// engine.
#include "engine/container_runner.h"

#include "base/log.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "engine/cgroup_place.h"
#include "engine/config_check.h"
#include "engine/container_files.h"
#include "engine/container_logs.h"
#include "engine/exec_table.h"
#include "engine/legacy_links.h"
#include "engine/link_renewal.h"
#include "engine/log_config.h"
#include "engine/selinux.h"
#include "engine/shared_namespaces.h"
#include "engine/start_failure.h"
#include "engine/user_namespace.h"
#include "kernel/namespace.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>

namespace berth::engine {
namespace {

constexpr std::string_view start_context =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "unable to start container process";

} // namespace

struct ContainerRunner::Launched {
    std::shared_ptr<const ContainerDefinition> definition;
    std::uint64_t run = 0;
    std::stop_token stop;
    MountedRoot root;
    kernel::UserNamespaces own; // with `root.owners` alone
    NetworkConnection network;
    LinkEffects links;
    std::optional<monitor::StartedMonitor> spare; // until it has its container
    std::string expected_cgroup;                  // that it makes; "": none
    std::shared_ptr<monitor::MonitorClient> client;
    std::string shm_path;
    bool mounted = false;
    bool mounts_taken = false;
    std::int64_t exit_code = 128;             // of a start that failed
    std::optional<ContainerLife> life_before; // where the row says more already
};

ContainerRunner::ContainerRunner(Core& core, ExecTable& execs, HealthChecks& health)
    : core_(core)
    , execs_(execs)
    , health_(health)
    , mounts_(core)
    , logs_(std::make_unique<ContainerLogs>(core)) {}

ContainerRunner::~ContainerRunner() = default;

Result<std::shared_ptr<const ContainerDefinition>>
ContainerRunner::begin_start(LiveContainer& container) {
    auto state = container.state.lock();
    const ContainerStatus status = state->life.state.status;
    if (state->removed) {
        return not_found("No such container: " + container.id);
    }
    if (core_.stopping) {
        return Error(ErrorKind::Unavailable, "the engine is shutting down");
    }
    switch (status) {
    case ContainerStatus::Running:
        return Error(ErrorKind::NotModified, "container already started");
    case ContainerStatus::Paused:
        return conflict("cannot start a paused container, try unpause instead");
    case ContainerStatus::Removing:
    case ContainerStatus::Dead:
        return conflict("container is marked for removal and cannot be started");
    case ContainerStatus::Created:
    case ContainerStatus::Restarting:
    case ContainerStatus::Exited:
        break;
    }
    state->transition = Transition::Starting;
    state->start_stop = std::stop_source();
    ++state->run;
    return state->definition;
}

Result<void> ContainerRunner::start(const ContainerPtr& container, const std::stop_token& stop) {
    std::unique_lock operation(container->operation);
    see_off(*container);
    Launched launched;
    launched.definition = TRY(begin_start(*container));
    std::stop_source own;
    {
        auto state = container->state.lock();
        launched.run = state->run;
        own = state->start_stop;
    }
    launched.stop = own.get_token();
    const std::stop_callback forward(stop, [&own] { own.request_stop(); });
    auto started = launch(container, launched);
    if (!started.ok()) {
        fail_start(*container, launched, started.error());
        if (launched.definition->host_config.auto_remove) {
            operation.unlock(); // the removal takes it
            remove_(container); // before the client is told: its name is free for the next try
        }
        return started;
    }
    finish_start(container, launched);
    return ok();
}

Result<void> ContainerRunner::launch(const ContainerPtr& container, Launched& launched) {
    const ContainerDefinition& definition = *launched.definition;
    SharedNamespaces shared = TRY(shared_namespaces(core_, definition));
    expect_cgroup(launched);
    launched.root.owners = owners_at_start(core_, definition.host_config);
    if (launched.root.owners != nullptr) {
        launched.own = TRY(make_user_namespace(core_, definition, shared));
    }
    launched.root.path = TRY(core_.store->layers().mount(definition.id, launched.root.owners));
    launched.mounted = true;
    if (!shared.network) {
        auto connected = measure(core_.metrics.networks.allocate, [&] {
            return core_.network->connect(definition, std::move(launched.own.network));
        });
        launched.network =
            TRY_CONTEXT(std::move(connected), "failed to set up container networking");
    }
    launched.links = TRY(link_effects(definition, core_.index));
    open_links(core_, definition, launched.network.endpoints);
    TRY(write_files(launched, shared));
    TRY_CONTEXT(
        logs_->begin(definition),
        "failed to create task for container: failed to initialize logging driver");
    launched.client = TRY(spawn_monitor(container, launched, std::move(shared)));
    return run_program(*container, launched);
}

// The monitor makes the container's group, 0.3 ms on version 1, while we prepare the rest.
void ContainerRunner::expect_cgroup(Launched& launched) {
    launched.spare = core_.spare_monitors->take();
    if (launched.spare && !uses_systemd_cgroups(core_.config())) {
        launched.expected_cgroup = cgroup_path(*launched.definition, core_.config());
        monitor::expect(*launched.spare, launched.expected_cgroup);
    }
}

Result<void>
ContainerRunner::write_files(const Launched& launched, const SharedNamespaces& shared) {
    const ContainerDefinition& definition = *launched.definition;
    const bool is_labeled = core_.selinux->is_enabled() && !definition.mount_label.empty();
    if (!shared.files_directory.empty()) {
        // moby's NetworkMounts: what two containers have is for all, as they have no categories in
        // common.
        return is_labeled ? label_container_files(
                                shared.files_directory, shared_file_label(definition.mount_label))
                          : ok();
    }
    const std::string directory = core_.directory(definition.id);
    TRY(write_container_files(
        {.definition = definition,
         .daemon = core_.config(),
         .directory = directory,
         .endpoints = launched.network.endpoints,
         .host_gateways = host_gateways(core_.config(), core_.network->bridge().get()),
         .link_hosts = launched.links.hosts}));
    return is_labeled ? label_container_files(directory, definition.mount_label) : ok();
}

Result<std::shared_ptr<monitor::MonitorClient>> ContainerRunner::spawn_monitor(
    const ContainerPtr& container, Launched& launched, SharedNamespaces shared) {
    const ContainerDefinition& definition = *launched.definition;
    const std::string& id = definition.id;
    if (definition.host_config.ipc_mode == "shareable") {
        launched.shm_path = TRY(mount_shared_memory(core_, definition));
    }
    TRY(make_bind_sources(definition));
    launched.mounts_taken = true;
    std::vector<MountSource> sources = TRY(mounts_.take(definition, launched.root, launched.stop));
    ContainerDefinition linked; // the container's own variables come after those of its links
    if (!launched.links.environment.empty()) {
        linked = definition;
        linked.config.env = launched.links.environment;
        linked.config.env.insert(
            linked.config.env.end(), definition.config.env.begin(), definition.config.env.end());
    }
    SpecInput input{
        .definition = launched.links.environment.empty() ? definition : linked,
        .daemon = core_.config()};
    input.root_path = launched.root.path;
    input.owners = launched.root.owners;
    input.hostname = shared.hostname.empty() ? definition.config.hostname : shared.hostname;
    input.files_directory =
        shared.files_directory.empty() ? core_.directory(id) : shared.files_directory;
    input.init_program = core_.options.program_directory + "/berth-init";
    input.shm_path = shared.shm_path.empty() ? launched.shm_path : shared.shm_path;

    monitor::LaunchOptions options;
    const auto inherit = [&options](UniqueFd fd) {
        if (!fd) {
            return std::string();
        }
        const int number = monitor::first_inherited_fd + static_cast<int>(options.fds.size());
        options.fds.push_back({std::move(fd), number});
        return "/proc/self/fd/" + std::to_string(number);
    };
    input.network_path =
        inherit(shared.network ? std::move(shared.network) : std::move(launched.network.netns));
    input.ipc_path = inherit(std::move(shared.ipc));
    input.pid_path = inherit(std::move(shared.pid));
    input.user_path = inherit(std::move(launched.own.user));
    for (MountSource& source : sources) {
        if (source.place) {
            source.path = inherit(std::move(source.place));
        }
    }
    if (core_.empty_mounts) {
        options.empty_mounts = TRY(core_.empty_mounts.duplicate());
    }
    input.mount_sources = sources;
    const std::string config = TRY(runtime_config(input));
    TRY(make_directories(core_.run_directory(id), 0700));
    TRY(replace_file(core_.run_directory(id) + "/config.json", config, 0600, Sync::No));

    options.program = core_.monitor_program();
    options.spare = std::exchange(launched.spare, std::nullopt);
    options.id = id;
    options.bundle = core_.run_directory(id);
    options.runtime_root = core_.runtime_root();
    options.socket_path = core_.socket_path(id);
    options.exit_path = core_.exit_path(id);
    options.systemd_cgroup = uses_systemd_cgroups(core_.config());
    if (const LogConfig& log = definition.host_config.log_config; log.type != "none") {
        options.log = log_output_options(log, id, core_.directory(id));
    }
    options.terminal = definition.config.tty;
    options.open_stdin = definition.config.open_stdin;
    options.stdin_once = definition.config.stdin_once;
    return monitor::MonitorClient::launch(
        core_.loop(), std::move(options), handlers(container, launched.run));
}

Result<void> ContainerRunner::run_program(LiveContainer& container, Launched& launched) {
    std::vector<monitor::AttachRequest> parked;
    {
        // From here on a client goes to the monitor itself: none can slip in between.
        auto state = container.state.lock();
        state->monitor = launched.client;
        parked = std::move(state->parked);
        state->parked.clear();
    }
    for (monitor::AttachRequest& request : parked) {
        auto attached = launched.client->attach(request);
        if (!attached.ok()) {
            log::debug("parked client not attached", {{"error", attached.error().message()}});
        }
    }
    // The row says "running" before the program runs: an engine that dies in between looks for the
    // monitor, and finds it or the exit that it left. It is written while the monitor creates the
    // container, whose pid only the monitor knows.
    ContainerLife life;
    {
        auto state = container.state.lock();
        life = state->life;
    }
    launched.life_before = life;
    life.state = ContainerState{
        .status = ContainerStatus::Running,
        .started_at = Timestamp::now(),
        .finished_at = life.state.finished_at,
        .health = HealthChecks::initial(launched.definition->config)};
    life.stopped_by_user = false;
    life.endpoints = launched.network.endpoints;
    life.uid_map.clear();
    life.gid_map.clear();
    if (launched.root.owners != nullptr) {
        life.uid_map = kernel::id_map_text(launched.root.owners->maps().uids);
        life.gid_map = kernel::id_map_text(launched.root.owners->maps().gids);
    }
    TRY(core_.table->update_life(container.id, life, store::Durability::Cache));
    {
        auto state = container.state.lock();
        state->life = std::move(life);
        state->life.state.status = ContainerStatus::Created;
    }
    auto started = launched.client->start();
    if (!started.ok()) {
        StartFailure failure = start_failure(std::move(started).error(), start_context);
        launched.exit_code = failure.exit_code;
        return std::move(failure.error);
    }
    container.state.lock()->life.state.pid = *started;
    return ok();
}

void ContainerRunner::finish_start(const ContainerPtr& container, Launched& launched) {
    std::optional<monitor::Exited> early;
    {
        auto state = container->state.lock();
        state->life.state.status = ContainerStatus::Running;
        state->transition = Transition::None;
        early = std::exchange(state->early_exit, std::nullopt);
    }
    core_.publish_network(*launched.definition, launched.network.endpoints, "connect");
    core_.publish(*launched.definition, "start");
    renew_links(core_, *container);
    if (early) {
        core_.in_background([this, container, run = launched.run, exit = std::move(*early)] {
            handle_exit(container, run, exit);
        });
    } else {
        health_.begin(container, launched.run);
    }
}

// The engine before died between the row and the program.
void ContainerRunner::abandon_start(LiveContainer& container) {
    Launched launched;
    {
        auto state = container.state.lock();
        launched.definition = state->definition;
        launched.network.endpoints = state->life.endpoints;
        if (state->life.state.finished_at.is_zero()) {
            state->life.state.started_at = {};
        }
    }
    if (launched.definition->host_config.ipc_mode == "shareable") {
        launched.shm_path = shared_memory_path(core_, container.id);
    }
    launched.mounted = true;
    launched.mounts_taken = true;
    fail_start(
        container,
        launched,
        Error(ErrorKind::Cancelled, "the engine ended while it started the container"));
}

void ContainerRunner::fail_start(LiveContainer& container, Launched& launched, const Error& error) {
    container.state.lock()->monitor.reset();
    if (std::exchange(launched.client, nullptr) != nullptr) {
        // A monitor that was killed could not clean up; otherwise nothing is there.
        auto removed = monitor::remove_abandoned(core_.runtime_root(), container.id);
        if (!removed.ok()) {
            log::warn(
                "half made container not removed, ignoring",
                {{"id", container.id}, {"error", removed.error().message()}});
        }
    }
    if (!launched.expected_cgroup.empty()) {
        launched.spare.reset(); // it ends
        // A monitor that was killed before it made the container had the group already.
        monitor::remove_expected(launched.expected_cgroup);
    }
    logs_->end(*launched.definition);
    core_.network->disconnect(container.id, launched.network.endpoints);
    core_.publish_network(*launched.definition, launched.network.endpoints, "disconnect");
    if (!launched.shm_path.empty()) {
        unmount_shared_memory(core_, container.id);
    }
    if (launched.mounts_taken) {
        mounts_.give_back(*launched.definition);
        mounts_.tell_of_return(*launched.definition);
    }
    if (launched.mounted) {
        auto unmounted = core_.store->layers().unmount(container.id);
        if (!unmounted.ok()) {
            log::warn("root not unmounted, ignoring", {{"id", container.id}});
        }
    }
    std::vector<monitor::AttachRequest> parked;
    {
        auto state = container.state.lock();
        state->transition = Transition::None;
        state->early_exit.reset();
        parked = std::move(state->parked);
        state->parked.clear();
        if (launched.life_before) {
            state->life = *std::move(launched.life_before);
        }
        ContainerState& shown = state->life.state;
        // A container that never ran stays "created", as Docker shows it.
        shown.status =
            shown.finished_at.is_zero() ? ContainerStatus::Created : ContainerStatus::Exited;
        shown.pid = 0;
        shown.exit_code = launched.exit_code;
        shown.error = error.message();
        shown.health.reset();
        state->life.endpoints.clear();
    }
    core_.persist(container, store::Durability::Cache);
    // Whoever waits for an exit goes on waiting, and there is no event "die", as with Docker:
    // nothing has run, and the client whose start this was hears of it in its own answer.
}

monitor::MonitorHandlers
ContainerRunner::handlers(const ContainerPtr& container, std::uint64_t run) {
    // Called in the loop's thread: everything but looking goes to the background.
    const std::weak_ptr<LiveContainer> weak = container;
    monitor::MonitorHandlers handlers;
    handlers.on_exit = [this, weak, run](const monitor::Exited& exit) {
        if (auto target = weak.lock()) {
            if (!exit.exec_id.empty()) {
                execs_.saw_exit(exit);
            }
            core_.in_background([this, target, run, exit] {
                if (exit.exec_id.empty()) {
                    handle_exit(target, run, exit);
                } else {
                    execs_.handle_exit(target, exit);
                }
            });
        }
    };
    handlers.on_detach = [this, weak](const std::string& exec_id) {
        if (auto target = weak.lock()) {
            const ContainerView view = view_of(*target);
            StringMap extra;
            if (!exec_id.empty()) {
                extra.emplace("execID", exec_id);
            }
            core_.publish(
                *view.definition, exec_id.empty() ? "detach" : "exec_detach", std::move(extra));
        }
    };
    handlers.on_lost = [this, weak, run] {
        if (auto target = weak.lock()) {
            core_.in_background([this, target, run] { handle_lost(target, run); });
        }
    };
    return handlers;
}

} // namespace berth::engine
