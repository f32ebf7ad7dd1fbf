// SPDX-License-Identifier: Apache-2.0
// What the engine asks a monitor for.
#include "monitor/monitor.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace berth::monitor {
namespace {

Result<UniqueFd> take_connection(std::vector<UniqueFd>& descriptors) {
    if (descriptors.size() != 1) {
        return invalid_argument("a client's connection is one descriptor");
    }
    return std::move(descriptors.front());
}

Error not_running() {
    return conflict("the container is not running");
}

} // namespace

Notice Monitor::answer(Request request, std::vector<UniqueFd>& descriptors) {
    Result<Notice> notice =
        std::visit([&](auto& specific) { return handle(specific, descriptors); }, request);
    return notice.ok() ? std::move(notice).value() : Notice(Failed{std::move(notice).error()});
}

Result<Notice> Monitor::handle(const AwaitCreated&, std::vector<UniqueFd>&) {
    if (failure_) {
        return Error(*failure_);
    }
    return Notice(Done{.pid = pid_});
}

Result<Notice> Monitor::handle(const Start&, std::vector<UniqueFd>&) {
    if (failure_) {
        return Error(*failure_);
    }
    if (phase_ != ContainerPhase::Created) {
        return conflict("the container was started before");
    }
    Result<void> started = container_->start();
    if (!started.ok()) {
        fail(started.error());
        return std::move(started).error();
    }
    phase_ = ContainerPhase::Running;
    started_ = Timestamp::now();
    scratch_.trim_soon();
    loop_->post([this] { keep_mounts(); }); // after this has been answered
    return Notice(Done{.pid = pid_});
}

Result<Notice> Monitor::handle(Attach& request, std::vector<UniqueFd>& descriptors) {
    if (failure_) {
        return Error(*failure_);
    }
    UniqueFd connection = TRY(take_connection(descriptors));
    ProcessStreams* streams = TRY(find_streams(request.exec_id));
    TRY(streams->attach(std::move(connection), std::move(request.streams)));
    return Notice(Done{});
}

Result<runtime::Container*> Monitor::running_container() {
    if (phase_ != ContainerPhase::Running && phase_ != ContainerPhase::Paused) {
        return not_running();
    }
    return &*container_;
}

Monitor::ExecProcess* Monitor::find_exec(const std::string& id) {
    const auto found = std::find_if(
        execs_.begin(), execs_.end(), [&](const ExecPtr& exec) { return exec->id == id; });
    return found == execs_.end() ? nullptr : found->get();
}

Result<ProcessStreams*> Monitor::find_streams(const std::string& exec_id) {
    if (exec_id.empty()) {
        if (!streams_) {
            return not_running();
        }
        return streams_.get();
    }
    ExecProcess* exec = find_exec(exec_id);
    if (exec == nullptr) {
        return not_found("No such exec instance: " + exec_id);
    }
    return exec->streams.get();
}

Result<Notice> Monitor::handle(Exec& request, std::vector<UniqueFd>& descriptors) {
    if (request.exec_id.empty() || find_exec(request.exec_id) != nullptr) {
        return conflict("exec " + request.exec_id + " exists or has no id");
    }
    UniqueFd connection;
    if (request.attached) {
        connection = TRY(take_connection(descriptors));
    }
    auto exec = std::make_unique<ExecProcess>();
    ExecProcess* pointer = exec.get();
    exec->id = request.exec_id;
    exec->streams = std::make_unique<ProcessStreams>(
        *loop_,
        scratch_,
        ProcessStreams::Options{
            .terminal = request.terminal,
            .open_stdin = request.open_stdin,
            .close_stdin_with_client = true},
        ProcessStreams::Handlers{
            .on_drained = [this, pointer] { finish_exec(*pointer); },
            .on_idle = [this] { loop_->post([this] { sweep_execs(); }); },
            .on_detach = [this, pointer] { tell(Detached{.exec_id = pointer->id}); }});
    exec->pid = TRY(start_exec(*exec, request));
    scratch_.trim_soon();
    Result<void> opened = exec->streams->open();
    if (opened.ok() && connection) {
        opened = exec->streams->attach(std::move(connection), std::move(request.streams));
    }
    if (!opened.ok()) {
        (void)::kill(exec->pid, SIGKILL); // reaped as an orphan
        return std::move(opened).error();
    }
    execs_.push_back(std::move(exec));
    return Notice(Done{.pid = pointer->pid});
}

Result<pid_t> Monitor::start_exec(ExecProcess& exec, const Exec& request) {
    runtime::Container* container = TRY(running_container());
    runtime::ExecOptions options{
        .process = TRY(oci::parse_process_text(request.process)),
        .stdio = {},
        .on_parent_death = runtime::OnParentDeath::Kill};
    options.process.terminal = request.terminal;
    if (!request.terminal) {
        ProcessStreams::ProcessEnds ends = TRY(exec.streams->make_pipes());
        options.stdio = {std::move(ends.in), std::move(ends.out), std::move(ends.err)};
    }
    runtime::Process process = TRY(container->exec(std::move(options)));
    if (request.terminal) {
        exec.streams->set_terminal(std::move(process.terminal));
    }
    return process.pid;
}

Result<Notice> Monitor::handle(const Signal& request, std::vector<UniqueFd>&) {
    runtime::Container* container = TRY(running_container());
    if (request.everything) {
        TRY(container->kill_all(request.number));
    } else if (request.exec_id.empty()) {
        TRY(container->kill(request.number));
    } else {
        const ExecProcess* exec = find_exec(request.exec_id);
        // Not reaped yet, so the pid is still its own.
        if (exec == nullptr || exec->reaped || ::kill(exec->pid, request.number) != 0) {
            return not_found("No such exec instance: " + request.exec_id);
        }
    }
    return Notice(Done{});
}

Result<Notice> Monitor::handle(const Resize& request, std::vector<UniqueFd>&) {
    ProcessStreams* streams = TRY(find_streams(request.exec_id));
    TRY(streams->resize(request.size));
    return Notice(Done{});
}

Result<Notice> Monitor::handle(const Pause&, std::vector<UniqueFd>&) {
    runtime::Container* container = TRY(running_container());
    TRY(container->pause());
    phase_ = ContainerPhase::Paused;
    return Notice(Done{});
}

Result<Notice> Monitor::handle(const Resume&, std::vector<UniqueFd>&) {
    runtime::Container* container = TRY(running_container());
    TRY(container->resume());
    phase_ = ContainerPhase::Running;
    return Notice(Done{});
}

Result<Notice> Monitor::handle(const Status&, std::vector<UniqueFd>&) {
    if (failure_) {
        return Error(*failure_);
    }
    StatusReply reply{
        .id = options_.id, .phase = phase_, .pid = pid_, .started = started_, .exit = exit_};
    if (phase_ == ContainerPhase::Exited && !finished_) {
        reply.phase = ContainerPhase::Running; // its output is being read; the exit will be told
    }
    for (const ExecPtr& exec : execs_) {
        reply.execs.push_back({.exec_id = exec->id, .pid = exec->pid});
    }
    reply.told.assign(told_exits_.begin(), told_exits_.end());
    while (!untold_exits_.empty()) {
        Exited& exit = untold_exits_.front();
        reply.execs.push_back({.exec_id = exit.exec_id, .running = false, .exit = exit});
        keep_told(std::move(exit));
        untold_exits_.pop_front();
    }
    return Notice(std::move(reply));
}

Result<Notice> Monitor::handle(const Update& request, std::vector<UniqueFd>&) {
    runtime::Container* container = TRY(running_container());
    const auto resources = TRY(oci::parse_resources_text(request.resources));
    TRY(container->update(resources));
    scratch_.trim_soon();
    return Notice(Done{});
}

Result<Notice> Monitor::handle(const Launch&, std::vector<UniqueFd>&) {
    return conflict("the monitor has its container already");
}

Result<Notice> Monitor::handle(const Expect&, std::vector<UniqueFd>&) {
    return conflict("the monitor has its container already");
}

Result<Notice> Monitor::handle(const Release&, std::vector<UniqueFd>&) {
    released_ = true;
    loop_->post([this] { consider_quitting(); }); // after this has been answered
    return Notice(Done{});
}

} // namespace berth::monitor
