// SPDX-License-Identifier: Apache-2.0
// What the engine does about the logs of containers that run: hands them on to other programs, and
// compresses what was rotated.
#pragma once

#include "base/synchronized.h"
#include "base/worker_pool.h"
#include "engine/log_forwarder.h"
#include "io/log_output.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

namespace berth::engine {

struct Core;
struct ContainerDefinition;

class ContainerLogs {
  public:
    explicit ContainerLogs(Core& core);
    ContainerLogs(const ContainerLogs&) = delete;
    ContainerLogs& operator=(const ContainerLogs&) = delete;
    ~ContainerLogs();

    // Before the monitor is started; the container does not start where it fails.
    Result<void> begin(const ContainerDefinition& definition);

    // A container that was found running, or that ended while no engine was there.
    void adopt(const ContainerDefinition& definition);

    // The container has ended.
    void end(const ContainerDefinition& definition);

    // Does the job once what it wrote was handed on, or after as long as Docker waits; at once
    // where nothing is. REQUIRES: end().
    void when_handed_on(const std::string& id, std::function<void()> job);

    // The container is being removed.
    void forget(const std::string& id);

    // REQUIRES: the loop still runs. Nothing is begun afterwards.
    void close();

  private:
    struct Compression {
        io::LogOptions log;
        std::unique_ptr<io::LogWatch::Subscription> watch;
        bool due = false;
    };

    struct Tables {
        std::map<std::string, std::shared_ptr<LogForwarder>> forwarders;
        std::map<std::string, Compression> compressions;
        bool closed = false;
    };

    enum class Peer : bool { Optional, Required };

    Result<void> begin_forwarding(const ContainerDefinition& definition, Peer peer);
    void begin_compression(const ContainerDefinition& definition);
    void compress_later(const std::string& id);
    void compress(const std::string& id);

    Core& core_;
    std::shared_ptr<io::LogWatch> log_watch_;
    std::shared_ptr<io::LogWatch> file_watch_; // tells of new files only
    std::stop_source stop_;
    Synchronized<Tables> tables_;
    WorkerPool forwarding_;
    WorkerPool compressing_;
};

} // namespace berth::engine
