// SPDX-License-Identifier: Apache-2.0
// Additional processes in running containers. An exec exists from create until its container is
// removed or five minutes after it ended; it lives in memory only (Docker's do too), but one
// that runs survives the daemon inside its monitor. All methods are thread-safe and blocking.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/container_config.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::engine {

struct ExecConfig {
    std::string user;
    bool privileged = false;
    bool tty = false;
    std::optional<std::array<std::uint32_t, 2>> console_size; // height, width
    bool attach_stdin = false;
    bool attach_stdout = false;
    bool attach_stderr = false;
    std::optional<std::string> detach_keys;
    std::vector<std::string> env;
    std::string working_dir;
    std::vector<std::string> cmd;
};

struct ExecInspect {
    std::string id;
    std::string container_id;
    bool running = false;
    std::optional<std::int64_t> exit_code;
    std::int64_t pid = 0;
    bool can_remove = false;
    std::string entrypoint;
    std::vector<std::string> arguments;
    ExecConfig config;
};

// The client's connection, taken over from HTTP after the answer 101 or 200 was written.
struct ExecStream {
    UniqueFd connection;
    std::string leftover; // bytes the client sent behind its request
};

struct ExecStart {
    bool detach = false;
    bool tty = false;
    std::optional<std::array<std::uint32_t, 2>> console_size;
};

class ContainerSupervisor;

class Execs {
  public:
    explicit Execs(ContainerSupervisor& supervisor)
        : supervisor_(supervisor) {}

    // "No such container: x", "container <id> is not running", "Container x is paused, unpause the
    // container before exec", "No exec command specified".
    Result<std::string> create(const std::string& container, ExecConfig config);

    // Says before the connection is taken over whether a start can work: NotFound
    // "No such exec instance: x", Conflict when it ran already or the container stopped.
    Result<void> check_start(const std::string& exec_id) const;

    // Without a stream (detach) only starts. The monitor serves the stream from here on; a command
    // that cannot be started is told on the stream, and in the returned error when detached.
    Result<void>
    start(const std::string& exec_id, ExecStart options, std::optional<ExecStream> stream);

    Result<ExecInspect> inspect(const std::string& exec_id) const;
    Result<void> resize(const std::string& exec_id, std::uint32_t height, std::uint32_t width);

  private:
    ContainerSupervisor& supervisor_;
};

} // namespace berth::engine
