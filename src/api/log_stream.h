// SPDX-License-Identifier: Apache-2.0
// docker logs: records as frames of Docker's multiplexed stream, or raw for a container with a
// terminal; followed ones go on without a thread.
#pragma once

#include "api/context.h"
#include "engine/containers.h"

namespace berth::api {

struct LogFormat {
    bool timestamps = false;
    bool details = false; // the log driver has none: an empty column
    bool multiplexed = true;
};

// Writes records; one object for each stream, because a line may come in several records.
class LogFormatter {
  public:
    explicit LogFormatter(LogFormat format)
        : format_(format) {}

    void append(std::string& out, const engine::LogRecord& record);

  private:
    LogFormat format_;
    bool in_line_[2] = {false, false}; // by stream: the last record had no newline
};

Result<void> stream_logs(Context& context, const engine::LogOptions& options, LogFormat format);

} // namespace berth::api
