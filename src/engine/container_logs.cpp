// SPDX-License-Identifier: Apache-2.0
// Tables by container; the work itself happens on two pools of threads that start on demand.
#include "engine/container_logs.h"

#include "base/log.h"
#include "engine/container_record.h"
#include "engine/core.h"
#include "engine/log_compression.h"
#include "engine/log_config.h"
#include "engine/log_info.h"

#include <atomic>
#include <future>

#include <sys/resource.h>
#include <unistd.h>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t forwarding_threads = 64;
constexpr std::size_t forwarding_queue = 1U << 16;
constexpr milliseconds compression_delay{5000};
constexpr milliseconds handing_on_limit{10'000}; // moby's loggerCloseTimeout

// Of the calling thread only, as Linux has it.
void be_nice() {
    constexpr int least_priority = 19;
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), least_priority);
}

} // namespace

ContainerLogs::ContainerLogs(Core& core)
    : core_(core)
    , log_watch_(core.log_watch)
    , forwarding_(
          {.threads = forwarding_threads, .queue_limit = forwarding_queue, .name = "log-forward"})
    , compressing_({.threads = 1, .queue_limit = forwarding_queue, .name = "log-compress"}) {
    auto watch = io::LogWatch::create(core.loop(), io::LogWatch::Tells::NewFiles);
    if (watch.ok()) {
        file_watch_ = std::move(watch).value();
    } else {
        log::warn("logs are not compressed, ignoring", {{"error", watch.error().message()}});
    }
}

ContainerLogs::~ContainerLogs() = default;

void ContainerLogs::close() {
    stop_.request_stop();
    Tables doomed;
    {
        auto locked = tables_.lock();
        std::swap(doomed, *locked);
        locked->closed = true;
    }
    for (const auto& [id, forwarder] : doomed.forwarders) {
        forwarder->request_stop();
    }
    for (const auto& [id, forwarder] : doomed.forwarders) {
        forwarder->cancel();
    }
    doomed = {};
    std::promise<void> passed;
    core_.loop().post([this, &passed] {
        file_watch_.reset(); // in the loop's thread, as they want
        log_watch_.reset();
        passed.set_value();
    });
    passed.get_future().wait();
    forwarding_.wait_idle();
    compressing_.wait_idle();
}

Result<void> ContainerLogs::begin(const ContainerDefinition& definition) {
    const LogConfig& log = definition.host_config.log_config;
    TRY(prepare_log_files(log_info_of(definition), log, core_.directory(definition.id)));
    if (is_remote_log_driver(log.type)) {
        TRY(begin_forwarding(definition, Peer::Required));
    }
    begin_compression(definition);
    return ok();
}

void ContainerLogs::adopt(const ContainerDefinition& definition) {
    if (is_remote_log_driver(definition.host_config.log_config.type)) {
        if (auto begun = begin_forwarding(definition, Peer::Optional); !begun.ok()) {
            log::warn(
                "log not handed on, ignoring",
                {{"id", definition.id}, {"error", begun.error().message()}});
        }
    }
    begin_compression(definition);
}

Result<void> ContainerLogs::begin_forwarding(const ContainerDefinition& definition, Peer peer) {
    const std::string files = core_.log_directory(definition.id);
    {
        auto locked = tables_.lock();
        const auto found = locked->forwarders.find(definition.id);
        if (found != locked->forwarders.end() && found->second->resume()) {
            return ok(); // it still hands on what the last run has left
        }
    }
    auto driver =
        TRY(make_log_driver(definition.host_config.log_config.type, log_info_of(definition)));
    auto forwarder = std::make_shared<LogForwarder>(
        LogForwarder::Place{.id = definition.id, .directory = files},
        std::move(driver),
        core_.loop(),
        forwarding_);
    if (peer == Peer::Required) {
        TRY(forwarder->connect());
    }
    TRY(make_directories(files, 0700));
    if (!log_watch_) {
        return Error(ErrorKind::Cancelled, "the engine stops");
    }
    TRY(forwarder->start(*log_watch_));
    auto locked = tables_.lock();
    if (locked->closed) {
        return Error(ErrorKind::Cancelled, "the engine stops");
    }
    locked->forwarders.insert_or_assign(definition.id, std::move(forwarder));
    return ok();
}

void ContainerLogs::end(const ContainerDefinition& definition) {
    auto locked = tables_.lock();
    if (const auto found = locked->forwarders.find(definition.id);
        found != locked->forwarders.end()) {
        found->second->finish();
    }
}

void ContainerLogs::when_handed_on(const std::string& id, std::function<void()> job) {
    std::shared_ptr<LogForwarder> forwarder;
    {
        auto locked = tables_.lock();
        if (const auto found = locked->forwarders.find(id); found != locked->forwarders.end()) {
            forwarder = found->second;
        }
    }
    if (!forwarder) {
        job();
        return;
    }
    const auto done = std::make_shared<std::atomic<bool>>(false);
    const auto once = [done, job = std::move(job)] {
        if (!done->exchange(true)) {
            job();
        }
    };
    forwarder->on_finished([this, once] { core_.in_background(once); });
    core_.after(handing_on_limit, once);
}

void ContainerLogs::forget(const std::string& id) {
    std::shared_ptr<LogForwarder> forwarder;
    std::unique_ptr<io::LogWatch::Subscription> watch;
    {
        auto locked = tables_.lock();
        if (auto node = locked->forwarders.extract(id)) {
            forwarder = std::move(node.mapped());
        }
        if (auto node = locked->compressions.extract(id)) {
            watch = std::move(node.mapped().watch);
        }
    }
    if (forwarder) {
        forwarder->cancel();
    }
}

// Compression

void ContainerLogs::begin_compression(const ContainerDefinition& definition) {
    const LogConfig& config = definition.host_config.log_config;
    if (!file_watch_ || !compresses_log(config)) {
        return;
    }
    const std::string& id = definition.id;
    const std::string directory = core_.directory(id);
    Compression compression{.log = log_output_options(config, id, directory), .watch = {}};
    const bool is_json = compression.log.form == io::LogForm::Json;
    const std::string& watched = is_json ? directory : compression.log.directory;
    if (!make_directories(watched, 0700).ok() || tables_.lock()->compressions.contains(id)) {
        return;
    }
    auto watch = file_watch_->subscribe(watched, [this, id] { compress_later(id); });
    if (!watch.ok()) {
        log::warn(
            "rotated logs are not compressed, ignoring",
            {{"id", id}, {"error", watch.error().message()}});
        return;
    }
    compression.watch = std::move(watch).value();
    {
        auto locked = tables_.lock();
        if (locked->closed || !locked->compressions.emplace(id, std::move(compression)).second) {
            return;
        }
    }
    core_.loop().post([this, id] { compress_later(id); }); // what is there already
}

// In the loop's thread.
void ContainerLogs::compress_later(const std::string& id) {
    {
        auto locked = tables_.lock();
        const auto found = locked->compressions.find(id);
        if (found == locked->compressions.end() || found->second.due) {
            return;
        }
        found->second.due = true;
    }
    core_.loop().add_timer(compression_delay, [this, id] {
        if (tables_.lock()->closed) {
            return;
        }
        if (!compressing_.submit([this, id] { compress(id); }).ok()) {
            log::warn("rotated logs are not compressed yet", {{"id", id}});
        }
    });
}

void ContainerLogs::compress(const std::string& id) {
    be_nice();
    io::LogOptions log;
    {
        auto locked = tables_.lock();
        const auto found = locked->compressions.find(id);
        if (found == locked->compressions.end()) {
            return;
        }
        found->second.due = false;
        log = found->second.log;
    }
    const auto younger = compress_rotated_logs(log, compression_delay, stop_.get_token());
    if (!younger.ok() && younger.error().kind() != ErrorKind::Cancelled) {
        log::warn(
            "rotated log not compressed, ignoring",
            {{"id", id}, {"error", younger.error().message()}});
    }
    if (younger.ok() && *younger && !stop_.stop_requested()) {
        core_.loop().post([this, id] { compress_later(id); });
    }
}

} // namespace berth::engine
