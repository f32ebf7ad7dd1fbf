// SPDX-License-Identifier: Apache-2.0
// Where a container's output is kept, whatever the form of its files: records of our own
// (log_file.h) or Docker's json-file. The monitor writes through it.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "io/stream_multiplexer.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::io {

enum class LogForm : std::uint8_t { Records, Json };

// What becomes of the oldest file when somebody else has still to read it (log_cursor.h).
enum class LogBacklog : std::uint8_t { DropOldest, Wait };

struct LogOptions {
    // Holds log.<number> files, or the cursor and the attributes beside Docker's; made when absent.
    std::string directory;
    std::uint64_t max_file_size = 20U << 20; // 0: no rotation
    std::uint32_t max_files = 5;             // at least 1
    LogForm form = LogForm::Records;
    std::string json_file = {}; // with LogForm::Json: <id>-json.log
    LogBacklog backlog = LogBacklog::DropOldest;
};

class LogOutput {
  public:
    // A torn end that an earlier writer left is cut off.
    static Result<std::unique_ptr<LogOutput>> open(const LogOptions& options);

    LogOutput() = default;
    LogOutput(const LogOutput&) = delete;
    LogOutput& operator=(const LogOutput&) = delete;
    virtual ~LogOutput() = default;

    // What one read of the container's output gave: lines, several, or a piece of one.
    virtual Result<void> append(Stream stream, Timestamp time, std::string_view bytes) = 0;

    // The process has closed this stream: what there is of a last line is written.
    virtual Result<void> finish(Stream stream) = 0;

    // False while so many bytes would push a file out that has still to be read, with
    // LogBacklog::Wait. What is appended all the same makes the file larger than its limit.
    virtual bool has_room(std::size_t bytes) = 0;

    // Nothing has happened for a moment: gives memory back.
    virtual void trim() {}

  protected:
    LogOutput(LogOutput&&) = default;
    LogOutput& operator=(LogOutput&&) = default;

    static Result<UniqueFd> open_to_append(const std::string& file);
};

} // namespace berth::io
