// SPDX-License-Identifier: Apache-2.0
// A build's files from its client's session, as BuildKit's Dockerfile frontend asks for them: the
// Dockerfile from the directory "dockerfile", the rest from "context".
#pragma once

#include "build/client_sessions.h"
#include "build/context_source.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace berth::build {

class SessionContext final : public ContextSource {
  public:
    SessionContext(
        std::shared_ptr<ClientSession> session, std::function<void(std::uint64_t bytes)> received)
        : session_(std::move(session))
        , received_(std::move(received)) {}

    Result<std::string> dockerfile(const ContextPlace& place, const std::string& name) override;
    Result<BuildContext> files(const ContextPlace& place) override;

  private:
    Result<std::string> ignore_file(const ContextPlace& place) const;

    std::shared_ptr<ClientSession> session_;
    std::function<void(std::uint64_t bytes)> received_;
    std::string ignored_; // of a file beside the Dockerfile
    bool has_ignored_ = false;
};

} // namespace berth::build
