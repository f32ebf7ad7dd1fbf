// SPDX-License-Identifier: Apache-2.0
// An SSH agent's socket in a build step, whose other end is the client's agent.
#pragma once

#include "base/unique_fd.h"
#include "build/client_services.h"
#include "build/client_sessions.h"

#include <memory>
#include <string>

namespace berth::build {

Result<std::unique_ptr<AgentForward>>
start_agent_forward(std::shared_ptr<ClientSession> session, std::string id, UniqueFd listener);

} // namespace berth::build
