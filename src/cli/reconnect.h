// SPDX-License-Identifier: Apache-2.0
// Commands that watch something (wait, logs -f, events, what is attached) outlive the engine that
// they watch through: they wait for the next one and go on there.
#pragma once

#include "base/result.h"
#include "cli/session.h"

#include <chrono>
#include <optional>
#include <string>

namespace berth::cli {

// The engine has hung up or is not there; other errors are answers.
bool is_lost(const Error& error);

class Reconnect {
  public:
    explicit Reconnect(Session& session);

    // Waits until an engine answers; an error when none does in $BERTH_RECONNECT_TIME seconds
    // (300).
    Result<void> wait(const Error& lost);

    // Of a stream that has ended: without an error false, where its engine was lost true once there
    // is another, else its error.
    Result<bool> goes_on(const std::optional<Error>& ended);

  private:
    Session& session_;
    std::chrono::seconds patience_;
};

// Asks until there is an answer. Only for a command that had an engine before.
Result<json::Value> get_again(Session& session, const std::string& target);

} // namespace berth::cli
