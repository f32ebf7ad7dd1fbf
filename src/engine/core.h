// SPDX-License-Identifier: Apache-2.0
// What all parts that deal with containers share: the stores and services beside them, the tables
// of containers, and where things lie on disk.
#pragma once

#include "base/file.h"
#include "base/worker_pool.h"
#include "engine/collector.h"
#include "engine/container_index.h"
#include "engine/container_network.h"
#include "engine/container_record.h"
#include "engine/engine.h"
#include "engine/images.h"
#include "engine/metrics.h"
#include "engine/selinux.h"
#include "engine/spare_directories.h"
#include "io/event_loop.h"
#include "io/log_watch.h"
#include "monitor/spare_monitors.h"
#include "store/store.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::engine {

// Lives as long as the engine; the pointers are set once, before any service is reachable.
struct Core {
    EngineOptions options;
    std::unique_ptr<FileLock> lock;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<Events> events;
    std::unique_ptr<Volumes> volumes;
    std::unique_ptr<Images> images;
    std::unique_ptr<EndpointWatch> dns; // the embedded server
    std::unique_ptr<ContainerNetwork> network;
    std::unique_ptr<io::EventLoopThread> loop_thread;
    std::unique_ptr<Collector> collector;
    std::shared_ptr<io::LogWatch> log_watch;
    std::unique_ptr<monitor::SpareMonitors> spare_monitors;
    std::unique_ptr<SpareDirectories> spare_directories; // of the data root's file system
    UniqueFd empty_mounts; // what mount namespaces of containers begin as; may be empty
    std::unique_ptr<ContainerTable> table;
    ContainerIndex index;
    Metrics metrics;
    std::unique_ptr<SelinuxLabeler> selinux = std::make_unique<SelinuxLabeler>();
    // Exits, restarts and what is done behind a request. Never waits for a request.
    std::unique_ptr<WorkerPool> background;
    std::unique_ptr<WorkerPool> probes; // health checks, which wait for programs
    // What a restart policy does: a start may wait for a file server, and what is unhealthy is
    // waited for until it has ended. Exits must not wait for them.
    std::unique_ptr<WorkerPool> starts;
    std::atomic<bool> stopping = false;  // containers are not started any more
    std::atomic<bool> restoring = false; // restarts and removals wait for their turn
    std::atomic<bool> closed = false;    // jobs are dropped: the engine is being taken apart

    // What a reload replaces stays where it is, for those who have a reference.
    const DaemonConfig& config() const {
        const DaemonConfig* reloaded = reloaded_config.load(std::memory_order_acquire);
        return reloaded == nullptr ? options.config : *reloaded;
    }

    std::atomic<const DaemonConfig*> reloaded_config = nullptr;
    std::vector<std::unique_ptr<const DaemonConfig>> reloaded_configs; // one thread reloads

    // Whose files those of containers are shown to be; nullptr without --userns-remap.
    std::shared_ptr<const kernel::OwnerMap> owners;

    io::EventLoop& loop() { return loop_thread->loop(); }

    // <data root>/containers/<id>: hosts, hostname, resolv.conf, log.
    std::string directory(const std::string& id) const;

    std::string log_directory(const std::string& id) const { return directory(id) + "/log"; }

    // <exec root>/containers/<id>: config.json (it is the runtime's bundle, made anew for each
    // start), the monitor's socket, exit.json. The id is cut where the
    // socket's path would be longer than the 107 bytes that a unix socket's address holds.
    std::string run_directory(const std::string& id) const;

    std::string socket_path(const std::string& id) const {
        return run_directory(id) + "/monitor.sock";
    }

    std::string exit_path(const std::string& id) const { return run_directory(id) + "/exit.json"; }

    std::string runtime_root() const { return config().exec_root + "/runtime"; }

    std::string monitor_program() const { return options.program_directory + "/berth-monitor"; }

    // Ends the background work: no job runs or starts once it has returned.
    void close();

    // Runs the job on the background pool; a full queue is logged and the job runs here.
    void in_background(const std::function<void()>& job);

    // The same on the pool for starts.
    void in_starts(const std::function<void()>& job);

    // Calls the job on the background pool after a delay.
    void after(std::chrono::milliseconds delay, std::function<void()> job);

    // With the attributes that all container events have.
    void
    publish(const ContainerDefinition& definition, const std::string& action, StringMap extra = {});

    // "connect" or "disconnect", of the networks that the endpoints are in.
    void publish_network(
        const ContainerDefinition& definition,
        const std::vector<EndpointState>& endpoints,
        const std::string& action);

    // Tells the embedded DNS of a running container: it was found, or has another name.
    void announce(const ContainerDefinition& definition, const ContainerLife& life);

    // Writes the present life to the database. A failure is logged: the container goes on.
    void persist(LiveContainer& container, store::Durability durability);
};

// InvalidArgument when the exec root is so long that no socket fits below it.
Result<void> check_exec_root(const std::string& exec_root);

} // namespace berth::engine
