// SPDX-License-Identifier: Apache-2.0
// A source that is read on a thread of its own, a few blocks ahead of its consumer, so that
// downloading, decompressing and hashing go on while files are being written.
#pragma once

#include "codec/stream.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace berth::store {

class ReadAheadSource final : public ByteSource {
  public:
    // Starts reading at once; source must outlive this object and belongs to its thread until then.
    explicit ReadAheadSource(ByteSource& source);
    // Waits for a read that is going on.
    ~ReadAheadSource() override;

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    void run();

    ByteSource& source_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> blocks_;
    std::deque<std::string> spare_;
    std::optional<Error> error_;
    bool ended_ = false;
    bool stopped_ = false;

    // Of the consumer alone.
    std::string current_;
    std::size_t position_ = 0;

    std::thread thread_;
};

} // namespace berth::store
