// SPDX-License-Identifier: Apache-2.0
// Execs as the API reads and writes them.
#pragma once

#include "codec/json.h"
#include "engine/container_config_json.h"
#include "engine/execs.h"

#include <array>
#include <cstdint>
#include <optional>

namespace berth::api::wire {

struct ExecStartBody {
    bool detach = false;
    bool tty = false;
    std::optional<std::array<std::uint32_t, 2>> console_size;
};

// Cmd may be one string.
void widen_command(json::Value& document);
json::Value encode_exec(const engine::ExecInspect& exec);

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::ExecStartBody> {
    using T = api::wire::ExecStartBody;
    static constexpr auto table = std::tuple{
        field("Detach", &T::detach),
        field("Tty", &T::tty),
        field("ConsoleSize", &T::console_size, OmitEmpty)};
};

template <>
struct Fields<engine::ExecConfig> {
    using T = engine::ExecConfig;
    static constexpr auto table = std::tuple{
        field("User", &T::user),
        field("Privileged", &T::privileged),
        field("Tty", &T::tty),
        field("ConsoleSize", &T::console_size, OmitEmpty),
        field("AttachStdin", &T::attach_stdin),
        field("AttachStdout", &T::attach_stdout),
        field("AttachStderr", &T::attach_stderr),
        field("DetachKeys", &T::detach_keys),
        field("Env", &T::env),
        field("WorkingDir", &T::working_dir),
        field("Cmd", &T::cmd)};
};

} // namespace berth::json
