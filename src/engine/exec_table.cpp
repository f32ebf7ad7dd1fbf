// SPDX-License-Identifier: Apache-2.0
// Execs: after moby's daemon/exec.go, with its words.
#include "engine/exec_table.h"

#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "engine/runtime_spec.h"
#include "engine/start_failure.h"
#include "engine/user_namespace.h"
#include "io/detach_keys.h"
#include "io/stream_multiplexer.h"

#include <algorithm>

namespace berth::engine {
namespace {

// Docker keeps an exec that ended for five minutes after its last inspect.
constexpr std::chrono::minutes keep_ended{5};
constexpr std::chrono::seconds longest_start{10}; // as dockerd waits with a resize
constexpr std::int64_t killed_exit_code = 137;    // 128 + SIGKILL

// The program, a space and its arguments, of which there may be none.
std::string command_text(const ExecConfig& config) {
    return config.cmd.front() + " " + join({config.cmd.begin() + 1, config.cmd.end()}, " ");
}

Error no_such_exec(const std::string& id) {
    return not_found("No such exec instance: " + id);
}

// What a client reads instead of the command's output.
void tell_client(UniqueFd& connection, bool tty, const std::string& message) {
    if (!connection) {
        return;
    }
    const std::string line = message + "\r\n";
    std::string bytes;
    if (tty) {
        bytes = line;
    } else {
        io::append_frame(bytes, io::Stream::Stdout, line);
    }
    auto written = write_all(connection, bytes);
    if (!written.ok()) {
        log::debug("exec client is gone", {{"error", written.error().message()}});
    }
    connection.reset();
}

} // namespace

Result<std::string> ExecTable::create(const ContainerPtr& container, ExecConfig config) {
    TRY(check_in_reach(*container->state.lock()));
    const ContainerView view = view_of(*container);
    switch (view.life.state.status) {
    case ContainerStatus::Running:
        break;
    case ContainerStatus::Paused:
        return conflict(
            "Container " + view.definition->name + " is paused, unpause the container before exec");
    case ContainerStatus::Restarting:
        return conflict(
            "Container " + container->id + " is restarting, wait until the container is running");
    case ContainerStatus::Created:
    case ContainerStatus::Removing:
    case ContainerStatus::Exited:
    case ContainerStatus::Dead:
        return conflict("container " + container->id + " is not running");
    }
    if (config.cmd.empty()) {
        return invalid_argument("No exec command specified");
    }
    if (config.detach_keys && !config.detach_keys->empty()) {
        TRY(io::parse_detach_keys(*config.detach_keys));
    }
    // As Docker: who names a user that is not there hears of it before there is an exec.
    if (!config.user.empty()) {
        TRY(process_of(*container, config));
    }
    std::string id = random_hex(32);
    core_.publish(*view.definition, "exec_create: " + command_text(config), {{"execID", id}});
    Entry entry{.id = id, .container = container, .config = std::move(config)};
    entries_.lock()->emplace(id, std::move(entry));
    container->state.lock()->exec_ids.push_back(id);
    return id;
}

Result<std::string>
ExecTable::process_of(LiveContainer& container, const ExecConfig& config) const {
    const ContainerView view = view_of(container);
    const MountedRoot root = TRY(mount_root(core_, view));
    auto process = exec_process(*view.definition, core_.config(), config, root.path);
    auto unmounted = core_.store->layers().unmount(container.id);
    if (!process.ok()) {
        return process;
    }
    TRY(std::move(unmounted));
    return process;
}

Result<void> ExecTable::check_start(const std::string& exec_id) const {
    ContainerPtr container;
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found == entries->end()) {
            return no_such_exec(exec_id);
        }
        if (found->second.phase == Phase::Ended) {
            return conflict("exec command " + exec_id + " has already run");
        }
        if (found->second.phase != Phase::Created) {
            return conflict("exec command " + exec_id + " is already running");
        }
        container = found->second.container;
    }
    if (!view_of(*container).life.state.is_running()) {
        return conflict("container " + container->id + " is not running");
    }
    return ok();
}

Result<void> ExecTable::begin_start(const std::string& exec_id, Entry& copy) {
    TRY(check_start(exec_id));
    auto entries = entries_.lock();
    auto found = entries->find(exec_id);
    if (found == entries->end()) {
        return no_such_exec(exec_id);
    }
    if (found->second.phase != Phase::Created) {
        return conflict("exec command " + exec_id + " is already running");
    }
    found->second.phase = Phase::Starting;
    copy.id = exec_id;
    copy.container = found->second.container;
    copy.config = found->second.config;
    return ok();
}

Result<void> ExecTable::start(
    const std::string& exec_id, const ExecStart& options, std::optional<ExecStream> stream) {
    Entry entry;
    TRY(begin_start(exec_id, entry));
    const ContainerView view = view_of(*entry.container);
    core_.publish(
        *view.definition, "exec_start: " + command_text(entry.config), {{"execID", exec_id}});
    // The terminal is made with its size: the program may ask for it at once.
    if (options.console_size) {
        entry.config.console_size = options.console_size;
    }
    const bool attaches = stream && !options.detach;
    monitor::ExecRequest request;
    request.exec_id = exec_id;
    request.terminal = entry.config.tty;
    request.open_stdin = attaches && entry.config.attach_stdin;
    if (attaches) {
        monitor::AttachRequest attach;
        attach.connection = std::move(stream->connection);
        attach.exec_id = exec_id;
        attach.want_stdin = entry.config.attach_stdin;
        attach.want_stdout = entry.config.attach_stdout;
        attach.want_stderr = entry.config.attach_stderr;
        attach.multiplexed = !entry.config.tty;
        if (entry.config.tty && entry.config.attach_stdin) {
            attach.detach_keys = entry.config.detach_keys.value_or("ctrl-p,ctrl-q");
            if (attach.detach_keys->empty()) {
                attach.detach_keys = "ctrl-p,ctrl-q";
            }
        }
        attach.leftover = std::move(stream->leftover);
        request.attach = std::move(attach);
    }
    auto started = [&]() -> Result<pid_t> {
        request.process = TRY(process_of(*entry.container, entry.config));
        std::shared_ptr<monitor::MonitorClient> client = entry.container->state.lock()->monitor;
        if (client == nullptr) {
            return conflict("container " + entry.container->id + " is not running");
        }
        return client->exec(request);
    }();
    if (!started.ok()) {
        StartFailure failure = start_failure(
            std::move(started).error(),
            "OCI runtime exec failed: exec failed: unable to start container process");
        // Before the client's stream ends: it asks for the exit code then.
        finish(exec_id, failure.exit_code);
        if (request.attach) {
            tell_client(request.attach->connection, entry.config.tty, failure.error.message());
        }
        return std::move(failure.error);
    }
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found != entries->end()) {
            found->second.pid = *started;
            if (found->second.phase == Phase::Starting) {
                found->second.phase = Phase::Running;
            }
        }
    }
    started_or_ended_.notify_all();
    return ok();
}

Result<ExecInspect> ExecTable::inspect(const std::string& exec_id) const {
    ExecInspect result = TRY(look_at(exec_id));
    if (!result.running) {
        return result;
    }
    // A client asks for the exit code as soon as its stream has ended, and the monitor has told the
    // exit before it ended the stream: what it answers now comes behind that.
    std::shared_ptr<monitor::MonitorClient> client;
    if (auto container = core_.index.find(result.container_id); container.ok()) {
        client = (*container)->state.lock()->monitor;
    }
    std::optional<monitor::StatusReply> status;
    if (client != nullptr) {
        if (auto reply = client->status(); reply.ok()) {
            status = std::move(*reply);
        }
    }
    result = TRY(look_at(exec_id));
    if (!result.running) {
        return result;
    }
    if (!status) {
        // The monitor has died, and what it started with it; the engine is about to note it.
        result.running = false;
        result.exit_code = killed_exit_code;
    } else if (result.pid == 0) {
        // Its first output may reach the client before whoever starts it has noted its pid.
        for (const monitor::ExecStatus& exec : status->execs) {
            result.pid = exec.exec_id == exec_id ? exec.pid : result.pid;
        }
    }
    return result;
}

Result<ExecInspect> ExecTable::look_at(const std::string& exec_id) const {
    auto entries = entries_.lock();
    auto found = entries->find(exec_id);
    if (found == entries->end()) {
        return no_such_exec(exec_id);
    }
    const Entry& entry = found->second;
    ExecInspect result{.id = entry.id, .container_id = entry.container->id};
    result.running =
        (entry.phase == Phase::Starting || entry.phase == Phase::Running) && !entry.exit_code;
    result.exit_code = entry.exit_code;
    result.pid = entry.pid;
    result.config = entry.config;
    if (!entry.config.cmd.empty()) {
        result.entrypoint = entry.config.cmd.front();
        result.arguments.assign(entry.config.cmd.begin() + 1, entry.config.cmd.end());
    }
    return result;
}

void ExecTable::saw_exit(const monitor::Exited& exit) {
    auto entries = entries_.lock();
    auto found = entries->find(exit.exec_id);
    if (found != entries->end() && found->second.phase != Phase::Ended) {
        found->second.exit_code = exit.code;
    }
}

Result<void>
ExecTable::resize(const std::string& exec_id, std::uint32_t height, std::uint32_t width) {
    ContainerPtr container;
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found == entries->end()) {
            return no_such_exec(exec_id);
        }
        // A client resizes as soon as it has the answer to its start, which is sent before the
        // command runs.
        if (found->second.phase == Phase::Created) {
            if (found->second.config.tty) {
                found->second.config.console_size = {height, width};
            }
            return ok();
        }
        const auto is_beginning = [&] {
            found = entries->find(exec_id);
            return found != entries->end() && found->second.phase == Phase::Starting;
        };
        if (!started_or_ended_.wait_for(
                entries.lock(), longest_start, [&] { return !is_beginning(); })) {
            return conflict("timeout waiting for exec session ready");
        }
        if (found == entries->end()) {
            return no_such_exec(exec_id);
        }
        if (found->second.phase != Phase::Running) {
            return conflict("cannot resize a stopped exec: " + exec_id);
        }
        container = found->second.container;
    }
    std::shared_ptr<monitor::MonitorClient> client = container->state.lock()->monitor;
    if (client == nullptr) {
        return conflict("container " + container->id + " is not running");
    }
    return client->resize(
        exec_id,
        {.rows = static_cast<std::uint16_t>(height), .columns = static_cast<std::uint16_t>(width)});
}

Result<void> ExecTable::kill(const std::string& exec_id, int signal) {
    ContainerPtr container;
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found == entries->end()) {
            return no_such_exec(exec_id);
        }
        container = found->second.container;
    }
    std::shared_ptr<monitor::MonitorClient> client = container->state.lock()->monitor;
    if (client == nullptr) {
        return conflict("container " + container->id + " is not running");
    }
    return client->signal(exec_id, signal);
}

void ExecTable::on_end(const std::string& exec_id, Ended ended) {
    std::int64_t exit_code = 0;
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found != entries->end() && found->second.phase != Phase::Ended) {
            found->second.listeners.push_back(std::move(ended));
            return;
        }
        exit_code = found != entries->end() ? found->second.exit_code.value_or(0) : 0;
    }
    ended(exit_code);
}

void ExecTable::finish(const std::string& exec_id, std::int64_t exit_code) {
    std::vector<Ended> listeners;
    {
        auto entries = entries_.lock();
        auto found = entries->find(exec_id);
        if (found == entries->end() || found->second.phase == Phase::Ended) {
            return;
        }
        found->second.phase = Phase::Ended;
        found->second.exit_code = exit_code;
        listeners = std::move(found->second.listeners);
        auto state = found->second.container->state.lock();
        std::erase(state->exec_ids, exec_id);
    }
    started_or_ended_.notify_all();
    for (const Ended& listener : listeners) {
        listener(exit_code);
    }
    forget_later(exec_id);
}

void ExecTable::forget_later(const std::string& exec_id) {
    core_.after(keep_ended, [this, exec_id] { entries_.lock()->erase(exec_id); });
}

void ExecTable::handle_exit(const ContainerPtr& container, const monitor::Exited& exit) {
    finish(exit.exec_id, exit.code);
    core_.publish(
        *view_of(*container).definition,
        "exec_die",
        {{"execID", exit.exec_id}, {"exitCode", std::to_string(exit.code)}});
}

void ExecTable::handle_container_exit(const std::string& container_id) {
    std::vector<std::string> ended;
    {
        auto entries = entries_.lock();
        for (const auto& [id, entry] : *entries) {
            if (entry.container->id == container_id && entry.phase != Phase::Created &&
                entry.phase != Phase::Ended) {
                ended.push_back(id);
            }
        }
    }
    for (const std::string& id : ended) {
        finish(id, killed_exit_code); // the kernel ends a pid namespace with its init
    }
}

void ExecTable::forget_container(const std::string& container_id) {
    auto entries = entries_.lock();
    std::erase_if(*entries, [&container_id](const auto& item) {
        return item.second.container->id == container_id;
    });
}

void ExecTable::adopt(const ContainerPtr& container, const monitor::StatusReply& status) {
    for (const monitor::ExecStatus& exec : status.execs) {
        Entry entry{.id = exec.exec_id, .container = container};
        entry.pid = exec.pid;
        entry.phase = exec.running ? Phase::Running : Phase::Ended;
        if (exec.running) {
            container->state.lock()->exec_ids.push_back(exec.exec_id);
        } else {
            entry.exit_code = exec.exit.code;
            forget_later(exec.exec_id);
        }
        entries_.lock()->emplace(exec.exec_id, std::move(entry));
    }
    for (const monitor::Exited& exit : status.told) {
        Entry entry{.id = exit.exec_id, .container = container};
        entry.phase = Phase::Ended;
        entry.exit_code = exit.code;
        if (entries_.lock()->emplace(exit.exec_id, std::move(entry)).second) {
            forget_later(exit.exec_id);
        }
    }
}

} // namespace berth::engine
