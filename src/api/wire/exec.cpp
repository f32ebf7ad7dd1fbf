// SPDX-License-Identifier: Apache-2.0
// Execs as the API reads and writes them.
#include "api/wire/exec.h"

#include "api/wire/container.h"

namespace berth::api::wire {

namespace {

struct ProcessConfig {
    bool tty = false;
    std::string entrypoint;
    std::vector<std::string> arguments;
    bool privileged = false;
    std::string user;
};

struct Exec {
    std::string id;
    bool running = false;
    std::optional<std::int64_t> exit_code;
    ProcessConfig process_config;
    bool open_stdin = false;
    bool open_stderr = false;
    bool open_stdout = false;
    bool can_remove = false;
    std::string container_id;
    std::string detach_keys;
    std::int64_t pid = 0;
};

} // namespace

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::ProcessConfig> {
    using T = api::wire::ProcessConfig;
    static constexpr auto table = std::tuple{
        field("tty", &T::tty),
        field("entrypoint", &T::entrypoint),
        field("arguments", &T::arguments),
        field("privileged", &T::privileged),
        field("user", &T::user, OmitEmpty)};
};

template <>
struct Fields<api::wire::Exec> {
    using T = api::wire::Exec;
    static constexpr auto table = std::tuple{
        field("ID", &T::id),
        field("Running", &T::running),
        field("ExitCode", &T::exit_code),
        field("ProcessConfig", &T::process_config),
        field("OpenStdin", &T::open_stdin),
        field("OpenStderr", &T::open_stderr),
        field("OpenStdout", &T::open_stdout),
        field("CanRemove", &T::can_remove),
        field("ContainerID", &T::container_id),
        field("DetachKeys", &T::detach_keys),
        field("Pid", &T::pid)};
};

} // namespace berth::json

namespace berth::api::wire {

void widen_command(json::Value& document) {
    widen_string_lists(document);
}

json::Value encode_exec(const engine::ExecInspect& exec) {
    return json::encode(Exec{
        .id = exec.id,
        .running = exec.running,
        .exit_code = exec.exit_code,
        .process_config =
            {.tty = exec.config.tty,
             .entrypoint = exec.entrypoint,
             .arguments = exec.arguments,
             .privileged = exec.config.privileged,
             .user = exec.config.user},
        .open_stdin = exec.config.attach_stdin,
        .open_stderr = exec.config.attach_stderr,
        .open_stdout = exec.config.attach_stdout,
        .can_remove = exec.can_remove,
        .container_id = exec.container_id,
        .detach_keys = exec.config.detach_keys.value_or(""),
        .pid = exec.pid,
    });
}

} // namespace berth::api::wire
