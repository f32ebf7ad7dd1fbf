// SPDX-License-Identifier: Apache-2.0
// MonitorClient: requests are sent by the calling threads, answers and events read by the loop (the
// first answers by those who ask). What both share lives in State, which the loop's callback keeps
// alive.
#include "monitor/client.h"

#include "io/detach_keys.h"
#include "kernel/socket.h"
#include "monitor/client_state.h"
#include "monitor/monitor_options.h"
#include "monitor/spare_monitors.h"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace berth::monitor {
namespace {

Result<AttachStreams> streams_of(const AttachRequest& request) {
    AttachStreams streams{
        .want_stdin = request.want_stdin,
        .want_stdout = request.want_stdout,
        .want_stderr = request.want_stderr,
        .multiplexed = request.multiplexed,
        .leftover = request.leftover};
    if (request.detach_keys) {
        streams.detach_sequence = TRY(io::parse_detach_keys(*request.detach_keys));
    }
    return streams;
}

Result<pid_t> pid_of(Result<Notice> answer) {
    const Notice notice = TRY(std::move(answer));
    const auto* done = std::get_if<Done>(&notice);
    if (done == nullptr) {
        return internal_error("the monitor gave an answer to another question");
    }
    return done->pid;
}

Result<void> nothing_of(Result<Notice> answer) {
    (void)TRY(pid_of(std::move(answer)));
    return ok();
}

// What a monitor is told and given; its control socket comes from whoever starts it.
struct Order {
    std::vector<std::string> arguments;
    std::vector<std::pair<int, int>> fds; // ours, the monitor's
};

Order order_of(const LaunchOptions& options, const UniqueFd& listener) {
    MonitorOptions monitor{
        .id = options.id,
        .bundle = options.bundle,
        .runtime_root = options.runtime_root,
        .socket_path = options.socket_path,
        .exit_path = options.exit_path,
        .log = options.log,
        .systemd_cgroup = options.systemd_cgroup,
        .terminal = options.terminal,
        .open_stdin = options.open_stdin,
        .stdin_once = options.stdin_once,
        .control_fd = monitor_control_fd,
        .listener_fd = listener_fd};
    Order order{.arguments = {}, .fds = {{listener.get(), listener_fd}}};
    for (const InheritedFd& inherited : options.fds) {
        VERIFY(inherited.number >= first_inherited_fd);
        order.fds.emplace_back(inherited.fd.get(), inherited.number);
        monitor.inherited_fds.push_back(inherited.number);
    }
    if (options.empty_mounts) {
        const int number = first_inherited_fd + static_cast<int>(options.fds.size());
        order.fds.emplace_back(options.empty_mounts.get(), number);
        monitor.inherited_fds.push_back(number);
        monitor.empty_mounts_fd = number;
    }
    order.arguments = to_arguments(monitor);
    return order;
}

Result<StartedMonitor> start_monitor(LaunchOptions& options, const Order& order) {
    if (options.spare && order.fds.size() <= message_descriptor_limit) {
        std::vector<int> descriptors;
        for (const auto& [ours, theirs] : order.fds) {
            descriptors.push_back(ours);
        }
        if (give(*options.spare, order.arguments, descriptors).ok()) {
            return *std::move(options.spare);
        }
    }
    options.spare.reset();
    return spawn_monitor(options.program, order.arguments, order.fds);
}

} // namespace

MonitorClient::MonitorClient(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

MonitorClient::~MonitorClient() {
    state_->abandon();
}

// The options own descriptors that are to be closed here as soon as the monitor has its own.
Result<std::shared_ptr<MonitorClient>> MonitorClient::launch(
    io::EventLoop& loop,
    LaunchOptions options, // NOLINT(performance-unnecessary-value-param)
    MonitorHandlers handlers) {
    if (unlink(options.exit_path.c_str()) != 0 && errno != ENOENT) {
        return errno_error("remove " + options.exit_path);
    }
    // Made here: from the moment when there is a monitor, it can be found.
    const UniqueFd listener =
        TRY(kernel::listen_unix(options.socket_path, 0600, SOCK_STREAM | SOCK_NONBLOCK));
    Result<StartedMonitor> started = start_monitor(options, order_of(options, listener));
    if (!started.ok()) {
        (void)unlink(options.socket_path.c_str());
        return std::move(started).error().with_context(options.program);
    }
    auto state = std::make_shared<State>(loop, std::move(started->control), std::move(handlers));
    state->set_child(std::move(started->child));
    return std::shared_ptr<MonitorClient>(new MonitorClient(std::move(state)));
}

Result<std::shared_ptr<MonitorClient>> MonitorClient::connect(
    io::EventLoop& loop, const std::string& socket_path, MonitorHandlers handlers) {
    UniqueFd socket = TRY(kernel::connect_unix(socket_path));
    TRY(io::set_nonblocking(socket));
    auto state = std::make_shared<State>(loop, std::move(socket), std::move(handlers));
    state->begin();
    return std::shared_ptr<MonitorClient>(new MonitorClient(std::move(state)));
}

Result<pid_t> MonitorClient::wait_created() {
    return pid_of(state_->ask(AwaitCreated{}));
}

Result<pid_t> MonitorClient::start() {
    Result<pid_t> started = pid_of(state_->ask(Start{}));
    state_->begin();
    return started;
}

Result<void> MonitorClient::attach(AttachRequest& request) {
    auto streams = TRY(streams_of(request));
    Attach attach{.exec_id = request.exec_id, .streams = std::move(streams)};
    TRY(nothing_of(state_->ask(std::move(attach), request.connection.get())));
    request.connection.reset();
    return ok();
}

Result<pid_t> MonitorClient::exec(ExecRequest& request) {
    Exec exec{
        .exec_id = request.exec_id,
        .process = request.process,
        .terminal = request.terminal,
        .open_stdin = request.open_stdin,
        .attached = request.attach.has_value()};
    int connection = -1;
    if (request.attach) {
        exec.streams = TRY(streams_of(*request.attach));
        connection = request.attach->connection.get();
    }
    const pid_t pid = TRY(pid_of(state_->ask(std::move(exec), connection)));
    if (request.attach) {
        request.attach->connection.reset();
    }
    return pid;
}

Result<void> MonitorClient::signal(const std::string& exec_id, int number) {
    return nothing_of(state_->ask(Signal{.exec_id = exec_id, .number = number}));
}

Result<void> MonitorClient::kill_all(int number) {
    return nothing_of(state_->ask(Signal{.number = number, .everything = true}));
}

Result<void> MonitorClient::resize(const std::string& exec_id, io::TerminalSize size) {
    return nothing_of(state_->ask(Resize{.exec_id = exec_id, .size = size}));
}

Result<void> MonitorClient::pause() {
    return nothing_of(state_->ask(Pause{}));
}

Result<void> MonitorClient::resume() {
    return nothing_of(state_->ask(Resume{}));
}

Result<void> MonitorClient::update(const std::string& resources) {
    return nothing_of(state_->ask(Update{.resources = resources}));
}

Result<StatusReply> MonitorClient::status() {
    Notice notice = TRY(state_->ask(Status{}));
    auto* reply = std::get_if<StatusReply>(&notice);
    if (reply == nullptr) {
        return internal_error("the monitor gave an answer to another question");
    }
    TRY(check_version(*reply));
    state_->tell_past_exits(*reply);
    return std::move(*reply);
}

Result<void> MonitorClient::release(std::chrono::milliseconds limit) {
    return nothing_of(state_->ask_within(limit, Release{}));
}

pid_t MonitorClient::monitor_pid() const {
    return state_->monitor_pid();
}

} // namespace berth::monitor
