// SPDX-License-Identifier: Apache-2.0
// The engine's events, and those of the engines after it.
#pragma once

#include "base/result.h"
#include "cli/query.h"
#include "cli/session.h"
#include "codec/json.h"

#include <functional>
#include <string>

namespace berth::cli {

// Until the stream ends, which without the parameter until it does not. `since` may be empty: an
// engine that comes later is asked for what has happened from the last event on.
Result<void> follow_events(
    Session& session,
    const Query& query,
    std::string since,
    const std::function<Result<void>(const json::Value& event)>& show);

} // namespace berth::cli
