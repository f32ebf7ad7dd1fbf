// SPDX-License-Identifier: Apache-2.0
// Reads Docker's json-file through its rotated files, and follows it. Whatever no JSON line is
// passed over.
#pragma once

#include "base/unique_fd.h"
#include "io/json_log_format.h"
#include "io/log_file.h"

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::io {

class JsonLogReader final : public LogSource {
  public:
    // `tail` counts JSON lines, as Docker does.
    static Result<std::unique_ptr<JsonLogReader>>
    open(LogReadOptions options, std::string json_file);

    Result<std::optional<LogChunk>> next() override;

    bool ended() const override { return ended_; }

    std::string bookmark() const override;

  private:
    struct File {
        UniqueFd fd;
        bool is_compressed = false;
        ino_t inode = 0;
        Timestamp modified;
        std::uint64_t offset = 0; // where to begin
    };

    JsonLogReader(LogReadOptions options, std::string json_file)
        : options_(std::move(options))
        , json_file_(std::move(json_file)) {}

    std::deque<File> open_files() const;
    Result<void> begin_at_bookmark(std::deque<File>& files);
    Result<void> begin_at_tail(std::deque<File>& files, std::uint64_t lines) const;
    Result<bool> next_file();
    bool find_newer();
    Result<bool> fill();
    void notice_truncation();
    std::optional<std::string_view> take_line();
    bool is_wanted(Timestamp time, Stream stream) const;

    LogReadOptions options_;
    std::string json_file_;
    std::deque<File> waiting_; // newer than the one that is read
    File file_;
    bool newer_seen_ = false;

    std::string window_;        // bytes that were read
    std::size_t used_ = 0;      // of the window
    std::uint64_t read_to_ = 0; // in the file

    JsonLogParser parser_;
    std::string text_; // of the chunk that was handed out
    std::array<bool, 2> in_line_{};
    bool ended_ = false;
};

} // namespace berth::io
