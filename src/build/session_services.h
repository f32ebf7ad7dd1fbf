// SPDX-License-Identifier: Apache-2.0
// What a client's session lends: secrets, an SSH agent, credentials for registries.
#pragma once

#include "build/client_services.h"
#include "build/client_sessions.h"

#include <memory>
#include <string>

namespace berth::build {

struct SessionCredentials {
    std::string username; // empty with a secret: that is an identity token
    std::string secret;
};

class SessionServices final : public ClientServices {
  public:
    explicit SessionServices(std::shared_ptr<ClientSession> session)
        : session_(std::move(session)) {}

    Result<std::optional<std::string>>
    secret(const std::stop_token& stop, const std::string& id) override;
    Result<std::unique_ptr<AgentForward>>
    forward_agent(const std::stop_token& stop, const std::string& id, UniqueFd listener) override;

    // Of a registry ("docker.io"); empty ones when the client has none.
    Result<SessionCredentials> credentials(const std::stop_token& stop, const std::string& host);

  private:
    std::shared_ptr<ClientSession> session_;
};

} // namespace berth::build
