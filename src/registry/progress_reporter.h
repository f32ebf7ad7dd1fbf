// SPDX-License-Identifier: Apache-2.0
// Serializes progress events of several threads and thins out byte counts. Internal.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "registry/progress.h"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

namespace berth::registry {

class ProgressReporter {
  public:
    explicit ProgressReporter(const ProgressCallback& callback)
        : callback_(callback) {}

    void send(const Progress& progress) {
        if (callback_) {
            std::lock_guard lock(mutex_);
            callback_(progress);
        }
    }

    void message(std::string status) { send({.status = std::move(status)}); }

    void state(std::string id, std::string status) {
        send({.id = std::move(id), .status = std::move(status)});
    }

  private:
    std::mutex mutex_;
    const ProgressCallback& callback_;
};

// Counts of one transfer: at most ten a second, as Docker sends them.
class TransferProgress {
  public:
    TransferProgress(
        ProgressReporter& reporter, std::string id, std::string status, std::int64_t total)
        : reporter_(reporter)
        , id_(std::move(id))
        , status_(std::move(status))
        , total_(total) {}

    void update(std::uint64_t current) {
        auto now = std::chrono::steady_clock::now();
        if (now - last_ >= std::chrono::milliseconds(100)) {
            last_ = now;
            report(current);
        }
    }

    void report(std::uint64_t current) {
        reporter_.send(
            {.id = id_,
             .status = status_,
             .current = static_cast<std::int64_t>(current),
             .total = total_,
             .has_detail = true});
    }

  private:
    ProgressReporter& reporter_;
    std::string id_;
    std::string status_;
    std::int64_t total_;
    std::chrono::steady_clock::time_point last_{};
};

// Reports what passes, and ends with Cancelled when stopped.
class WatchedSource final : public ByteSource {
  public:
    WatchedSource(
        ByteSource& source,
        std::stop_token stop,
        TransferProgress progress,
        std::uint64_t start = 0)
        : source_(source)
        , stop_(std::move(stop))
        , progress_(std::move(progress))
        , count_(start) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "context canceled");
        }
        std::size_t count = TRY(source_.read(buffer));
        count_ += count;
        if (!silent_) {
            progress_.update(count_);
        }
        return count;
    }

    // What is still read is told no more.
    void silence() { silent_ = true; }

  private:
    ByteSource& source_;
    std::stop_token stop_;
    TransferProgress progress_;
    std::uint64_t count_;
    bool silent_ = false;
};

} // namespace berth::registry
