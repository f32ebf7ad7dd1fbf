// SPDX-License-Identifier: Apache-2.0
// The life of a RUN step's container: files, network, config.json, monitor, output, exit. Every
// resource has its undo in the session's rollback, which runs at the end whatever happened.
#include "build/step_runner.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "build/mount_points.h"
#include "io/stream_multiplexer.h"
#include "kernel/path.h"
#include "kernel/socket.h"
#include "monitor/client.h"
#include "network/hosts_file.h"
#include "network/resolv_conf.h"
#include "runtime/defaults.h"
#include "runtime/user.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr std::string_view default_path =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t output_read_bytes = 64U << 10;
constexpr std::string_view socket_name = "/monitor.sock";

// What the loop's thread tells the build's thread.
struct ExitState {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<monitor::Exited> exit;
    bool lost = false;
};

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
    const std::string prefix = std::string(name) + "=";
    return std::any_of(env.begin(), env.end(), [&prefix](const std::string& entry) {
        return entry.starts_with(prefix);
    });
}

// A secret takes the place of an image's variable. The agent does not: an image may name its own
// (client/llb/exec.go of BuildKit).
void lend_variables(const std::vector<std::string>& lent, std::vector<std::string>& env) {
    for (const std::string& variable : lent) {
        const std::string name(cut(variable, "=")->before);
        if (name == "SSH_AUTH_SOCK" && has_variable(env, name)) {
            continue;
        }
        std::erase_if(
            env, [&name](const std::string& entry) { return entry.starts_with(name + "="); });
        env.push_back(variable);
    }
}

// moby's words for a runtime that could not make the container.
Error start_error(Error error) {
    return std::move(error)
        .with_context(
            "failed to create task for container: failed to create shim task: OCI runtime "
            "create failed: unable to start container process")
        .as(ErrorKind::InvalidArgument);
}

// With as much of the id as leaves the socket's path within the kernel's limit.
std::string run_directory(const BuilderOptions& options, const std::string& id) {
    constexpr std::size_t limit = sizeof(sockaddr_un::sun_path) - 1;
    const std::string parent = options.exec_root + "/containers/";
    const std::size_t fixed = parent.size() + socket_name.size();
    return parent + id.substr(0, fixed < limit ? limit - fixed : 0);
}

std::string data_directory(const BuilderOptions& options, const std::string& id) {
    return options.data_root + "/containers/" + id;
}

std::string runtime_root(const BuilderOptions& options) {
    return options.exec_root + "/runtime";
}

// In the directory of sockets, so that an agent's path is short, too.
constexpr std::string_view secrets_name = "/lent";

void remove_directories(const BuilderOptions& options, const std::string& id) {
    const std::string secrets = run_directory(options, id) + std::string(secrets_name);
    if (::access(secrets.c_str(), F_OK) == 0) {
        StepSecrets::remove_leftovers(secrets);
    }
    for (const std::string& path : {data_directory(options, id), run_directory(options, id)}) {
        if (auto removed = remove_tree(path); !removed.ok()) {
            log::warn(
                "build step's directory not removed, ignoring",
                {{"path", path}, {"error", removed.error().message()}});
        }
    }
}

} // namespace

struct StepRunner::Session {
    const WorkingLayer& layer;
    std::string directory;
    std::string run_directory;
    std::string hostname;
    std::optional<network::Endpoint> endpoint;
    UniqueFd netns;
    bool host_network = false;
    std::optional<MountPoints> mount_points;
    std::unique_ptr<StepSecrets> secrets; // nullptr: none
    std::string bundle;
    std::string config;
    Rollback undo; // last member: runs first
};

Result<int> StepRunner::run(
    std::stop_token stop,
    const WorkingLayer& layer,
    const RunCommand& command,
    const Output& output) {
    Session session{
        .layer = layer,
        .directory = data_directory(options_, layer.id()),
        .run_directory = run_directory(options_, layer.id()),
        .hostname = layer.id().substr(0, 12)};
    session.undo.push([this, &layer] { remove_directories(options_, layer.id()); });
    session.bundle = session.directory + "/bundle";
    TRY(make_directories(session.bundle, 0700));
    TRY(make_directories(session.run_directory, 0700));
    if (!command.lent.empty()) {
        session.secrets = TRY(StepSecrets::create(
            stop, command.lent, client_, session.run_directory + std::string(secrets_name)));
        // The configuration has the secrets that are variables.
        session.bundle = session.secrets->private_directory();
    }
    TRY(connect_network(session, command));
    TRY(write_files(session));
    session.config = TRY(make_config(session, command));
    TRY(label_files(session, command));
    TRY(replace_file(session.bundle + "/config.json", session.config, 0600, Sync::No));
    auto code = run_session(stop, session, output);
    if (session.mount_points) {
        session.mount_points->remove_empty(layer.root());
    }
    if (stop.stop_requested()) {
        return Error(ErrorKind::Cancelled, "build cancelled");
    }
    return code;
}

Result<void> StepRunner::connect_network(Session& session, const RunCommand& command) {
    const std::string& mode = command.network_mode;
    if (mode == "host") {
        session.host_network = true;
        return ok();
    }
    if (mode == "none") {
        session.netns = TRY(options_.isolated_namespace());
        return ok();
    }
    if (mode.starts_with("container:")) {
        return not_implemented("building in the network of a container (--network " + mode + ")");
    }
    const bool is_default = mode.empty() || mode == "default";
    auto bridge = TRY(options_.find_network(is_default ? "bridge" : mode));
    session.endpoint =
        TRY(bridge->connect({.id = session.layer.id(), .container_name = session.hostname}));
    session.undo.push([bridge, id = session.layer.id()] {
        if (auto gone = bridge->disconnect(id); !gone.ok()) {
            log::warn("build step's endpoint not removed, ignoring", {{"id", id}});
        }
    });
    session.netns = std::move(session.endpoint->netns);
    return ok();
}

Result<void> StepRunner::write_files(Session& session) {
    network::HostsOptions hosts;
    hosts.hostname = session.hostname;
    hosts.extra_hosts = request_.extra_hosts;
    if (session.endpoint) {
        if (!session.endpoint->ip.is_unspecified()) {
            hosts.addresses.push_back(session.endpoint->ip);
        }
        if (session.endpoint->ip_v6) {
            hosts.addresses.push_back(*session.endpoint->ip_v6);
        }
    }
    if (options_.host_gateways) {
        hosts.host_gateways = options_.host_gateways();
    }
    const std::string hosts_text = TRY(network::hosts_file(hosts));
    const std::string resolvers = TRY(network::read_host_resolv_conf());
    const std::string resolv_conf = network::container_resolv_conf(
        resolvers,
        {.nameservers = options_.dns,
         .search = options_.dns_search,
         .options = options_.dns_options});
    TRY(replace_file(session.directory + "/hosts", hosts_text, 0644, Sync::No));
    TRY(replace_file(session.directory + "/resolv.conf", resolv_conf, 0644, Sync::No));
    return replace_file(session.directory + "/hostname", session.hostname + "\n", 0644, Sync::No);
}

// As with volumes, what other steps see too has no step's categories.
Result<void> StepRunner::label_files(const Session& session, const RunCommand& command) {
    const StepLabeling& labeling = options_.labeling;
    if (!labeling.is_enabled()) {
        return ok();
    }
    for (const char* file : {"/hosts", "/resolv.conf", "/hostname"}) {
        TRY(labeling.apply(session.directory + file, command.labels.mount));
    }
    if (!command.script_name.empty()) {
        TRY(labeling.apply(session.directory + "/script", command.labels.mount));
    }
    for (const oci::Mount& mount : command.mounts) {
        if (mount.type == "bind") {
            TRY(labeling.apply(mount.source, labeling.shared));
        }
    }
    if (session.secrets) {
        for (const oci::Mount& mount : session.secrets->mounts()) {
            TRY(labeling.apply(mount.source, command.labels.mount));
        }
    }
    return ok();
}

Result<void>
StepRunner::add_mounts(Session& session, const RunCommand& command, oci::RuntimeConfig& config) {
    for (const char* file : {"hosts", "resolv.conf", "hostname"}) {
        config.mounts.push_back(
            {.destination = std::string("/etc/") + file,
             .type = "bind",
             .source = session.directory + "/" + file,
             .options = {"rbind", "rprivate"}});
    }
    if (!command.script_name.empty()) {
        const std::string path = session.directory + "/script";
        TRY(replace_file(path, command.script, 0755, Sync::No));
        config.mounts.push_back(
            {.destination = "/dev/pipes/" + command.script_name,
             .type = "bind",
             .source = path,
             .options = {"rbind", "rprivate", "ro"}});
    }
    config.mounts.insert(config.mounts.end(), command.mounts.begin(), command.mounts.end());
    if (session.secrets) {
        const auto& lent = session.secrets->mounts();
        config.mounts.insert(config.mounts.end(), lent.begin(), lent.end());
    }
    std::vector<std::string> destinations;
    for (const oci::Mount& mount : config.mounts) {
        destinations.push_back(mount.destination);
    }
    session.mount_points.emplace(session.layer.root(), destinations);
    return ok();
}

Result<std::string> StepRunner::make_config(Session& session, const RunCommand& command) {
    const std::string& parent =
        request_.cgroup_parent.empty() ? options_.cgroup_parent : request_.cgroup_parent;
    runtime::DefaultsInput input;
    input.root_path = session.layer.path();
    input.hostname = session.hostname;
    input.cgroups_path = parent + "/" + session.layer.id();
    if (request_.shm_size > 0) {
        input.shm_size = request_.shm_size;
    }
    oci::RuntimeConfig config = TRY(runtime::default_config(input));
    auto& namespaces = config.linux_.namespaces;
    std::erase_if(namespaces, [](const oci::Namespace& entry) { return entry.type == "network"; });
    if (!session.host_network) {
        namespaces.push_back(
            {.type = "network",
             .path = "/proc/self/fd/" + std::to_string(monitor::first_inherited_fd)});
    }
    auto rules =
        config.linux_.resources ? config.linux_.resources->devices : std::vector<oci::DeviceRule>();
    config.linux_.resources = request_.resources;
    config.linux_.resources->devices = std::move(rules);

    if (!config.process) {
        config.process.emplace();
    }
    const runtime::ResolvedUser user =
        TRY(runtime::resolve_user(session.layer.root(), command.user));
    oci::Process& process = *config.process;
    process.args = command.args;
    process.cwd = command.working_dir.empty() ? "/" : command.working_dir;
    process.user.uid = user.uid;
    process.user.gid = user.gid;
    process.user.additional_gids = user.additional_gids;
    if (!has_variable(command.env, "PATH")) {
        process.env.emplace_back(default_path);
    }
    if (!has_variable(command.env, "HOSTNAME")) {
        process.env.push_back("HOSTNAME=" + session.hostname);
    }
    process.env.insert(process.env.end(), command.env.begin(), command.env.end());
    if (!has_variable(command.env, "HOME")) {
        process.env.push_back("HOME=" + user.home);
    }
    if (session.secrets) {
        lend_variables(session.secrets->environment(), process.env);
    }
    process.rlimits = request_.rlimits;
    process.selinux_label = command.labels.process;
    process.apparmor_profile = options_.apparmor_profile ? options_.apparmor_profile() : "";
    config.linux_.mount_label = command.labels.mount;
    TRY(add_mounts(session, command, config));
    return oci::runtime_config_text(config);
}

namespace {

// Reads frames until the monitor shuts the connection down. A stop kills the container once and
// reads on: its end closes the stream.
Result<void> forward_output(
    std::stop_token stop,
    FdRef connection,
    monitor::MonitorClient& client,
    const StepRunner::Output& output) {
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    const std::stop_callback on_stop(stop, [&wake] { eventfd_write(wake.get(), 1); });
    io::StreamDemultiplexer frames;
    std::string buffer(output_read_bytes, '\0');
    bool killed = false;
    while (true) {
        std::array<pollfd, 2> polled{
            pollfd{connection.get(), POLLIN, 0}, pollfd{killed ? -1 : wake.get(), POLLIN, 0}};
        if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
            return errno_error("poll");
        }
        if (!killed && polled[1].revents != 0) {
            killed = true;
            // It may have ended by itself meanwhile.
            (void)client.kill_all(SIGKILL).ok();
        }
        if (polled[0].revents == 0) {
            continue;
        }
        const ssize_t count = ::read(connection.get(), buffer.data(), buffer.size());
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (count <= 0) {
            return ok(); // the monitor is done with us, or gone: the exit tells
        }
        TRY(frames.feed(
            std::string_view(buffer).substr(0, static_cast<std::size_t>(count)),
            [&](io::Stream, std::string_view bytes) -> Result<void> {
                if (!killed) {
                    output(bytes);
                }
                return ok();
            }));
    }
}

// A command can close its output and run on, so the stop counts here too.
Result<monitor::Exited>
wait_for_exit(std::stop_token stop, ExitState& state, monitor::MonitorClient& client) {
    const std::stop_callback on_stop(stop, [&client] { (void)client.kill_all(SIGKILL).ok(); });
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&state] { return state.exit.has_value() || state.lost; });
    if (state.exit) {
        return *state.exit;
    }
    return Error(ErrorKind::Unavailable, "the monitor of a build step was killed");
}

} // namespace

Result<int> StepRunner::run_session(std::stop_token stop, Session& session, const Output& output) {
    auto state = std::make_shared<ExitState>();
    monitor::MonitorHandlers handlers;
    handlers.on_exit = [state](const monitor::Exited& exit) {
        if (exit.exec_id.empty()) {
            const std::lock_guard lock(state->mutex);
            state->exit = exit;
            state->changed.notify_all();
        }
    };
    handlers.on_lost = [state] {
        const std::lock_guard lock(state->mutex);
        state->lost = true;
        state->changed.notify_all();
    };
    monitor::LaunchOptions launch;
    launch.program = options_.monitor_program;
    launch.id = session.layer.id();
    launch.bundle = session.bundle;
    launch.runtime_root = runtime_root(options_);
    launch.socket_path = session.run_directory + std::string(socket_name);
    launch.exit_path = session.run_directory + "/exit.json";
    if (session.netns) {
        launch.fds.push_back({std::move(session.netns), monitor::first_inherited_fd});
    }
    auto client =
        TRY(monitor::MonitorClient::launch(options_.loop, std::move(launch), std::move(handlers)));
    // After these errors the monitor takes away what there is, and goes when the client goes.
    if (auto created = client->wait_created(); !created.ok()) {
        return start_error(std::move(created).error());
    }
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_STREAM));
    monitor::AttachRequest attach;
    attach.connection = std::move(sockets.second);
    TRY(client->attach(attach));
    if (auto started = client->start(); !started.ok()) {
        return start_error(std::move(started).error());
    }
    auto forwarded = forward_output(stop, sockets.first, *client, output);
    if (!forwarded.ok()) {
        (void)client->kill_all(SIGKILL).ok();
    }
    auto exit = wait_for_exit(stop, *state, *client);
    if (!exit.ok()) {
        (void)monitor::remove_abandoned(runtime_root(options_), session.layer.id()).ok();
        return std::move(exit).error();
    }
    (void)client->release().ok(); // the monitor may have gone already
    TRY(std::move(forwarded));
    return exit->code;
}

void remove_step_leftovers(const BuilderOptions& options, const std::string& id) {
    if (auto removed = monitor::remove_abandoned(runtime_root(options), id); !removed.ok()) {
        log::warn(
            "build step's container not removed, ignoring",
            {{"id", id}, {"error", removed.error().message()}});
    }
    remove_directories(options, id);
}

} // namespace berth::build
