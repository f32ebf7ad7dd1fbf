// SPDX-License-Identifier: Apache-2.0
// Syncs a file system on a thread of its own, while its owner goes on.
// https://man7.org/linux/man-pages/man2/syncfs.2.html
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "store/disk_error.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace berth::store {

class BackgroundSync {
  public:
    // Of the file system that has `path`, with all that was written to it so far.
    static Result<std::unique_ptr<BackgroundSync>> start(const std::string& path) {
        UniqueFd directory = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
        return std::unique_ptr<BackgroundSync>(new BackgroundSync(path, std::move(directory)));
    }

    ~BackgroundSync() { join(); }

    BackgroundSync(const BackgroundSync&) = delete;
    BackgroundSync& operator=(const BackgroundSync&) = delete;

    // Waits, and says how it went.
    Result<void> finish() {
        join();
        return error_ ? Result<void>(*error_) : ok();
    }

  private:
    BackgroundSync(const std::string& path, UniqueFd directory)
        : directory_(std::move(directory))
        , thread_([this, path] {
            if (syncfs(directory_.get()) != 0) {
                error_ = disk_error(errno_error("sync " + path));
            }
        }) {}

    void join() {
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    UniqueFd directory_;
    std::optional<Error> error_; // the thread's until it has ended
    std::thread thread_;
};

} // namespace berth::store
