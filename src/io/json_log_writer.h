// SPDX-License-Identifier: Apache-2.0
// Docker's json-file, byte for byte: <id>-json.log is written, .1, .2 … are older.
#pragma once

#include "base/unique_fd.h"
#include "io/log_lines.h"
#include "io/log_output.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::io {

class JsonLogWriter final : public LogOutput {
  public:
    static Result<std::unique_ptr<JsonLogWriter>> open(const LogOptions& options);

    Result<void> append(Stream stream, Timestamp time, std::string_view bytes) override;
    Result<void> finish(Stream stream) override;

    bool has_room(std::size_t) override { return true; }

    void trim() override { batch_ = std::string(); }

  private:
    JsonLogWriter(LogOptions options, UniqueFd file, std::uint64_t size, std::string attributes)
        : options_(std::move(options))
        , file_(std::move(file))
        , size_(size)
        , attributes_(std::move(attributes)) {}

    void write_line(const LogLine& line);
    void rotate();
    void flush();

    LogOptions options_;
    UniqueFd file_;
    std::uint64_t size_;
    std::string attributes_; // an object, or empty
    LogLines lines_;
    std::string batch_; // lines that go out with one write
    std::array<std::string, 2> tails_;
    std::array<Timestamp, 2> tail_times_;
    Result<void> outcome_ = ok(); // the first failure of the call under way
};

} // namespace berth::io
