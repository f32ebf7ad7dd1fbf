// SPDX-License-Identifier: Apache-2.0
// docker logs: records as frames of Docker's multiplexed stream, or raw for a container with a
// terminal; followed ones go on without a thread.
#pragma once

#include "api/context.h"
#include "engine/containers.h"

namespace berth::api {

struct LogFormat {
    bool timestamps = false;
    bool details = false;
    bool multiplexed = true;
    bool bookmarks = false; // frames, also of a terminal, each with one behind it of where to go on
    std::string attributes = {}; // with details; of all lines, and often none
};

// Appends a record as frames, one a line, or raw. REQUIRES: with times or details, a record of one
// line.
void append_log_record(std::string& out, const engine::LogRecord& record, const LogFormat& format);

Result<void> stream_logs(Context& context, const engine::LogOptions& options, LogFormat format);

} // namespace berth::api
