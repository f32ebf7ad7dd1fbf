// SPDX-License-Identifier: Apache-2.0
// The faces that the API and others call: they find the container and hand over to the part that
// does it.
#include "base/log.h"
#include "base/moment.h"
#include "engine/container_archive.h"
#include "engine/containers.h"
#include "engine/execs.h"
#include "engine/log_config.h"
#include "engine/log_follower.h"
#include "engine/port_connector.h"
#include "engine/signals.h"
#include "engine/supervisor.h"
#include "io/detach_keys.h"
#include "io/stream_multiplexer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <stop_token>

namespace berth::engine {
namespace {

constexpr auto patience_without_client = std::chrono::seconds(5);

monitor::AttachRequest attach_request(const AttachOptions& options, bool tty, AttachStream stream) {
    monitor::AttachRequest request;
    request.connection = std::move(stream.connection);
    request.leftover = std::move(stream.leftover);
    request.want_stdin = options.standard_input;
    request.want_stdout = options.standard_output;
    request.want_stderr = options.standard_error;
    request.multiplexed = options.multiplexed && !tty;
    if (tty && options.standard_input) {
        request.detach_keys = options.detach_keys.empty() ? "ctrl-p,ctrl-q" : options.detach_keys;
    }
    return request;
}

LogFiles log_files_of(const Core& core, const ContainerView& view) {
    const ContainerDefinition& definition = *view.definition;
    return LogFiles::of(log_output_options(
        definition.host_config.log_config, definition.id, core.directory(definition.id)));
}

} // namespace

Result<CreateResult> Containers::create(CreateRequest request) {
    return measure(supervisor_.core.metrics.containers.create, [&] {
        return supervisor_.creator.create(std::move(request));
    });
}

// Not at once: there are clients that ask and go, and mean what they have asked for.
Result<void> Containers::start(const std::string& container, const std::stop_token& stop) {
    Core& core = supervisor_.core;
    const ContainerPtr found = TRY(core.index.find(container));
    const std::stop_source late;
    const std::stop_callback gone(stop, [&core, late] {
        core.after(patience_without_client, [late]() mutable { late.request_stop(); });
    });
    return measure(core.metrics.containers.start, [&] {
        return supervisor_.runner.start(found, late.get_token());
    });
}

Result<void> Containers::stop(
    const std::string& container, std::optional<std::int64_t> timeout, const std::string& signal) {
    return supervisor_.control.stop(TRY(supervisor_.core.index.find(container)), timeout, signal);
}

Result<void> Containers::restart(
    const std::string& container, std::optional<std::int64_t> timeout, const std::string& signal) {
    return supervisor_.control.restart(
        TRY(supervisor_.core.index.find(container)), timeout, signal);
}

Result<void> Containers::kill(const std::string& container, const std::string& signal) {
    if (!signal.empty()) {
        TRY(parse_signal(signal)); // before the container is looked for, as Docker does
    }
    return supervisor_.control.kill(TRY(supervisor_.core.index.find(container)), signal);
}

Result<void> Containers::pause(const std::string& container) {
    return supervisor_.control.pause(TRY(supervisor_.core.index.find(container)));
}

Result<void> Containers::unpause(const std::string& container) {
    return supervisor_.control.unpause(TRY(supervisor_.core.index.find(container)));
}

Result<void> Containers::rename(const std::string& container, const std::string& new_name) {
    return supervisor_.control.rename(TRY(supervisor_.core.index.find(container)), new_name);
}

Result<void> Containers::remove(const std::string& container, const RemoveOptions& options) {
    RemoveOptions named = options;
    named.asked_as = container;
    const ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return measure(supervisor_.core.metrics.containers.remove, [&] {
        return supervisor_.control.remove(found, named);
    });
}

Result<void>
Containers::resize(const std::string& container, std::uint32_t height, std::uint32_t width) {
    return supervisor_.control.resize(TRY(supervisor_.core.index.find(container)), height, width);
}

Result<std::vector<std::string>>
Containers::update(const std::string& container, const UpdateRequest& request) {
    return supervisor_.control.update(TRY(supervisor_.core.index.find(container)), request);
}

Result<PortMap> Containers::publish(const std::string& container, const PortMap& ports) {
    const ContainerPtr found = TRY(supervisor_.core.index.find(container));
    const auto published = TRY(PortConnector(supervisor_.core).publish(found, ports));
    PortMap shown;
    for (const PublishedPort& port : published) {
        shown[std::to_string(port.container_port) + "/" + port.protocol].push_back(
            {port.host_ip, port.host_port == 0 ? "" : std::to_string(port.host_port)});
    }
    return shown;
}

Result<void> Containers::withdraw(const std::string& container, const PortMap& ports) {
    return PortConnector(supervisor_.core)
        .withdraw(TRY(supervisor_.core.index.find(container)), ports);
}

Result<std::string> Containers::commit(
    std::stop_token stop, const std::string& container, const CommitRequest& request) {
    const ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return measure(supervisor_.core.metrics.containers.commit, [&] {
        return supervisor_.committer.commit(std::move(stop), found, request);
    });
}

Result<void>
Containers::export_files(std::stop_token stop, const std::string& container, ByteSink& sink) const {
    return supervisor_.committer.export_files(
        std::move(stop), TRY(supervisor_.core.index.find(container)), sink);
}

Result<PathStat>
Containers::stat_path(const std::string& container, const std::string& path) const {
    Core& core = supervisor_.core;
    return ContainerArchive(core, TRY(core.index.find(container)), container).stat(path);
}

Result<void> Containers::read_archive(
    std::stop_token stop,
    const std::string& container,
    const std::string& path,
    const ArchiveBegin& begin,
    ByteSink& sink) const {
    Core& core = supervisor_.core;
    return ContainerArchive(core, TRY(core.index.find(container)), container)
        .read(std::move(stop), path, begin, sink);
}

Result<void> Containers::write_archive(
    std::stop_token stop,
    const std::string& container,
    const ArchiveTarget& target,
    ByteSource& tar) const {
    Core& core = supervisor_.core;
    return ContainerArchive(core, TRY(core.index.find(container)), container)
        .write(std::move(stop), target, tar);
}

Result<void> Containers::add_mount(const std::string& container, const MountRequest& request) {
    return supervisor_.late_mounts.add(TRY(supervisor_.core.index.find(container)), request);
}

Result<void> Containers::remove_mount(const std::string& container, const std::string& target) {
    return supervisor_.late_mounts.remove(TRY(supervisor_.core.index.find(container)), target);
}

Result<std::shared_ptr<void>>
Containers::keep_quiet(const std::set<std::string>& ids, Pause pause) const {
    return supervisor_.late_mounts.keep_quiet(ids, pause);
}

Result<std::vector<store::Change>> Containers::changes(const std::string& container) const {
    const ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return measure(supervisor_.core.metrics.containers.changes, [&] {
        return supervisor_.committer.changes(found);
    });
}

Result<Subscription>
Containers::on_exit(const std::string& container, WaitCondition condition, ExitCallback callback) {
    ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return supervisor_.control.on_exit(found, condition, std::move(callback));
}

Result<ExitResult>
Containers::wait(std::stop_token stop, const std::string& container, WaitCondition condition) {
    struct Shared {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::optional<ExitResult> result;
    };

    auto shared = std::make_shared<Shared>();
    const Subscription waiting =
        TRY(on_exit(container, condition, [shared](const ExitResult& result) {
            const std::lock_guard lock(shared->mutex);
            shared->result = result;
            shared->changed.notify_all();
        }));
    std::unique_lock lock(shared->mutex);
    if (!shared->changed.wait(lock, stop, [&] { return shared->result.has_value(); })) {
        return Error(ErrorKind::Cancelled, "waiting for container " + container + " was cancelled");
    }
    return *shared->result;
}

Result<bool>
Containers::check_attach(const std::string& container, const AttachOptions& options) const {
    if (!options.detach_keys.empty()) {
        TRY(io::parse_detach_keys(options.detach_keys));
    }
    ContainerPtr found = TRY(supervisor_.core.index.find(container));
    TRY(check_in_reach(*found->state.lock()));
    const ContainerView view = view_of(*found);
    switch (view.life.state.status) {
    case ContainerStatus::Paused:
        return conflict(
            "container " + container + " is paused, unpause the container before attach");
    case ContainerStatus::Restarting:
        return conflict(
            "container " + container + " is restarting, wait until the container is running");
    case ContainerStatus::Created:
    case ContainerStatus::Running:
    case ContainerStatus::Removing:
    case ContainerStatus::Exited:
    case ContainerStatus::Dead:
        break;
    }
    return view.definition->config.tty;
}

Result<void> Containers::attach(
    const std::string& container, const AttachOptions& options, AttachStream stream) {
    ContainerPtr found = TRY(supervisor_.core.index.find(container));
    Core& core = supervisor_.core;
    const ContainerView view = view_of(*found);
    const bool tty = view.definition->config.tty;
    if (options.logs) {
        const LogOptions wanted{
            .standard_output = options.standard_output, .standard_error = options.standard_error};
        TRY(read_log(log_files_of(core, view), wanted, [&](const LogRecord& record) {
            std::string bytes;
            if (tty || !options.multiplexed) {
                bytes = record.bytes;
            } else {
                io::append_frame(bytes, static_cast<io::Stream>(record.stream), record.bytes);
            }
            return write_all(stream.connection, bytes).ok();
        }));
    }
    const bool nothing =
        !options.standard_input && !options.standard_output && !options.standard_error;
    // moby's daemon/attach.go: without any of the three it is over at once, but where the end of
    // the input would be the program's.
    const bool waits = view.definition->config.stdin_once && !tty && view.life.state.is_running();
    if (!options.stream || (nothing && !waits)) {
        core.publish(*view.definition, "attach");
        return ok();
    }
    monitor::AttachRequest request = attach_request(options, tty, std::move(stream));
    std::shared_ptr<monitor::MonitorClient> client;
    {
        auto state = found->state.lock();
        client = state->monitor;
        if (client == nullptr) {
            // Not started yet (or about to be): start() hands it over before the program runs.
            state->parked.push_back(std::move(request));
        }
    }
    core.publish(*view.definition, "attach");
    return client == nullptr ? ok() : client->attach(request);
}

Result<Subscription>
Containers::logs(const std::string& container, const LogOptions& options, LogSink sink) {
    Core& core = supervisor_.core;
    ContainerPtr found = TRY(core.index.find(container));
    const ContainerView view = view_of(*found);
    if (!options.standard_output && !options.standard_error) {
        return invalid_argument("You must choose at least one stream");
    }
    if (!is_log_readable(view.definition->host_config.log_config)) {
        return not_implemented("configured logging driver does not support reading");
    }
    const LogFiles files = log_files_of(core, view);
    if (!options.follow) {
        TRY(read_log(files, options, sink.record));
        sink.end();
        return Subscription();
    }
    TRY(make_directories(files.watched, 0700));
    auto follower = TRY(LogFollower::create(files, options, std::move(sink)));
    TRY(follower->start(*core.log_watch, files));
    // A container that does not run has said everything; one that was created may still be started.
    const bool may_start = view.life.state.status == ContainerStatus::Created;
    auto exit = std::make_shared<Subscription>(supervisor_.control.on_exit(
        found,
        may_start ? WaitCondition::NextExit : WaitCondition::NotRunning,
        [follower](const ExitResult&) { follower->finish(); }));
    return Subscription([follower, exit] {
        exit->reset();
        follower->cancel();
    });
}

Result<void>
Containers::check_bookmark(const std::string& container, const LogOptions& options) const {
    Core& core = supervisor_.core;
    const ContainerPtr found = TRY(core.index.find(container));
    TRY(LogFollower::create(log_files_of(core, view_of(*found)), options, {}));
    return ok();
}

Result<ContainerInspect> Containers::inspect(const std::string& container, bool size) const {
    return supervisor_.reader.inspect(TRY(supervisor_.core.index.find(container)), size);
}

Result<void> Containers::list(const ListOptions& options, const SummarySink& sink) const {
    return supervisor_.reader.list(options, sink);
}

Result<std::vector<ContainerSummary>> Containers::list(const ListOptions& options) const {
    std::vector<ContainerSummary> summaries;
    TRY(list(options, [&](ContainerSummary summary) { summaries.push_back(std::move(summary)); }));
    return summaries;
}

Result<std::string> Containers::resolve(const std::string& container) const {
    ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return found->id;
}

Result<TopResult>
Containers::top(const std::string& container, const std::string& ps_arguments) const {
    const ContainerPtr found = TRY(supervisor_.core.index.find(container));
    TopResult result = TRY(supervisor_.reader.top(found, ps_arguments));
    supervisor_.core.publish(*view_of(*found).definition, "top");
    return result;
}

Result<ContainerStats> Containers::stats(const std::string& container) const {
    return supervisor_.reader.stats(TRY(supervisor_.core.index.find(container)));
}

Result<PruneReport> Containers::prune(const Filters& filters) {
    TRY(filters.allow_only({"label", "label!", "until"}));
    std::optional<Timestamp> until;
    for (const std::string& text : filters.get("until")) {
        if (until) {
            return invalid_argument("more than one until filter specified");
        }
        until = TRY(parse_moment(text));
    }
    PruneReport report;
    for (const ContainerPtr& container : supervisor_.core.index.all()) {
        const ContainerView view = view_of(*container);
        const StringMap& labels = view.definition->config.labels;
        const bool is_stopped = view.life.state.status == ContainerStatus::Created ||
                                view.life.state.status == ContainerStatus::Exited ||
                                view.life.state.status == ContainerStatus::Dead;
        if (!is_stopped || (until && view.definition->created > *until) ||
            !filters.match_labels("label", labels) ||
            (filters.contains("label!") && filters.match_labels("label!", labels))) {
            continue;
        }
        const auto size = supervisor_.core.store->layers().usage(container->id);
        if (auto removed = supervisor_.control.remove(container, {}); !removed.ok()) {
            log::debug("container not pruned", {{"id", container->id}});
            continue;
        }
        report.deleted.push_back(container->id);
        report.space_reclaimed += size.ok() ? static_cast<std::int64_t>(*size) : 0;
    }
    supervisor_.core.events->publish(Event{
        .type = "container",
        .action = "prune",
        .actor_id = "",
        .attributes = {{"reclaimed", std::to_string(report.space_reclaimed)}},
        .time = {}});
    return report;
}

std::vector<std::string>
Containers::using_image(const std::string& image_id, bool running_only) const {
    std::vector<std::string> ids;
    for (const ContainerPtr& container : supervisor_.core.index.all()) {
        const ContainerView view = view_of(*container);
        const bool is_mounted =
            std::ranges::any_of(view.definition->mounts, [&image_id](const PlannedMount& mount) {
                return mount.point.type == "image" && mount.point.source == image_id;
            });
        if ((is_mounted || view.definition->image_id == image_id) &&
            (!running_only || view.life.state.is_running())) {
            ids.push_back(container->id);
        }
    }
    return ids;
}

Result<std::string> Execs::create(const std::string& container, ExecConfig config) {
    ContainerPtr found = TRY(supervisor_.core.index.find(container));
    return supervisor_.execs.create(found, std::move(config));
}

Result<void> Execs::check_start(const std::string& exec_id) const {
    return supervisor_.execs.check_start(exec_id);
}

Result<void>
Execs::start(const std::string& exec_id, ExecStart options, std::optional<ExecStream> stream) {
    return supervisor_.execs.start(exec_id, options, std::move(stream));
}

Result<ExecInspect> Execs::inspect(const std::string& exec_id) const {
    return supervisor_.execs.inspect(exec_id);
}

Result<void> Execs::resize(const std::string& exec_id, std::uint32_t height, std::uint32_t width) {
    return supervisor_.execs.resize(exec_id, height, width);
}

} // namespace berth::engine
