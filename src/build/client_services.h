// SPDX-License-Identifier: Apache-2.0
// What the one who asked for a build lends to its RUN steps: secrets and an SSH agent.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace berth::build {

// BuildKit's limit, too.
inline constexpr std::size_t secret_limit = 500U << 10;

// Serves an agent's socket until destroyed.
class AgentForward {
  public:
    AgentForward() = default;
    AgentForward(const AgentForward&) = delete;
    AgentForward& operator=(const AgentForward&) = delete;
    virtual ~AgentForward() = default;
};

class ClientServices {
  public:
    ClientServices() = default;
    ClientServices(const ClientServices&) = delete;
    ClientServices& operator=(const ClientServices&) = delete;
    virtual ~ClientServices() = default;

    // nullopt: the client has none of that name.
    virtual Result<std::optional<std::string>>
    secret(const std::stop_token& stop, const std::string& id) = 0;

    // Connects those who come to `listener` with the client's agent; nullptr: there is none of that
    // name.
    virtual Result<std::unique_ptr<AgentForward>>
    forward_agent(const std::stop_token& stop, const std::string& id, UniqueFd listener) = 0;
};

} // namespace berth::build
