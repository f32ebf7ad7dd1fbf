// SPDX-License-Identifier: Apache-2.0
// A container's state: the specification's object, and what state.json keeps between commands.
// https://github.com/opencontainers/runtime-spec/blob/main/runtime.md#state
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/json.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::runtime {

enum class Status : std::uint8_t { Creating, Created, Running, Paused, Stopped };

std::string_view to_string(Status status);

struct State {
    std::string oci_version;
    std::string id;
    Status status = Status::Creating;
    pid_t pid = 0; // 0 once stopped
    std::string bundle;
    std::string rootfs;
    Timestamp created;
    std::map<std::string, std::string> annotations;
};

// {"ociVersion":…,"id":…,"status":…,"pid":…,"bundle":…,"annotations":…} for hooks and `state`.
json::Value state_object(const State& state);

} // namespace berth::runtime
