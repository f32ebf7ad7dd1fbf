// SPDX-License-Identifier: Apache-2.0
// The execs of all containers, in memory. Thread-safe.
#pragma once

#include "engine/core.h"
#include "engine/execs.h"

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace berth::engine {

class ExecTable {
  public:
    explicit ExecTable(Core& core)
        : core_(core) {}

    Result<std::string> create(const ContainerPtr& container, ExecConfig config);
    Result<void> check_start(const std::string& exec_id) const;
    Result<void>
    start(const std::string& exec_id, const ExecStart& options, std::optional<ExecStream> stream);
    Result<ExecInspect> inspect(const std::string& exec_id) const;
    // What has not begun begins with this size; what is beginning is waited for.
    Result<void> resize(const std::string& exec_id, std::uint32_t height, std::uint32_t width);
    Result<void> kill(const std::string& exec_id, int signal);

    // Called once when the exec ends, from an engine thread, also when it ended already.
    using Ended = std::function<void(std::int64_t exit_code)>;
    void on_end(const std::string& exec_id, Ended ended);

    // From the monitors' notices: at once in the loop, so that inspect() knows, and the rest of it
    // in the background.
    void saw_exit(const monitor::Exited& exit);
    void handle_exit(const ContainerPtr& container, const monitor::Exited& exit);
    // All that run in a container end with it.
    void handle_container_exit(const std::string& container_id);
    void forget_container(const std::string& container_id);
    // Execs that outlived an earlier engine are known by id, pid and exit code only.
    void adopt(const ContainerPtr& container, const monitor::StatusReply& status);

  private:
    enum class Phase : std::uint8_t { Created, Starting, Running, Ended };

    struct Entry {
        std::string id;
        ContainerPtr container;
        ExecConfig config;
        Phase phase = Phase::Created;
        pid_t pid = 0;
        std::optional<std::int64_t> exit_code;
        std::vector<Ended> listeners;
    };

    using Entries = std::map<std::string, Entry>;

    Result<ExecInspect> look_at(const std::string& exec_id) const;
    Result<std::string> process_of(LiveContainer& container, const ExecConfig& config) const;
    Result<void> begin_start(const std::string& exec_id, Entry& copy);
    void finish(const std::string& exec_id, std::int64_t exit_code);
    void forget_later(const std::string& exec_id);

    Core& core_;
    Synchronized<Entries> entries_;
    std::condition_variable started_or_ended_;
};

} // namespace berth::engine
