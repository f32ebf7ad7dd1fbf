// SPDX-License-Identifier: Apache-2.0
// Deleting an image's 20,000 files takes a second; docker rm and docker rmi answer before.
#include "store/janitor.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "store/disk_error.h"
#include "store/tree_removal.h"

#include <cerrno>
#include <cstdio>

namespace berth::store {

namespace {

constexpr std::string_view trash_prefix = "trash-";
// A pull publishes one layer after the other; one sync serves them all.
constexpr std::chrono::seconds sync_delay{3};

} // namespace

Janitor::Janitor(std::string root, std::function<void()> sync)
    : root_(std::move(root))
    , sync_(std::move(sync)) {
    auto names = list_directory(root_ + "/tmp");
    trash_ = false;
    if (names.ok()) {
        for (const std::string& name : names.value()) {
            trash_ = trash_ || name.starts_with(trash_prefix);
        }
    }
    if (trash_) {
        std::unique_lock lock(mutex_);
        wake(lock);
    }
}

Janitor::~Janitor() {
    {
        std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Janitor::wake(std::unique_lock<std::mutex>&) {
    if (!thread_.joinable()) {
        thread_ = std::thread([this] { run(); });
    }
    changed_.notify_all();
}

Result<void> Janitor::discard(const std::string& path) {
    std::string trash = root_ + "/tmp/" + std::string(trash_prefix) + random_hex(16);
    if (rename(path.c_str(), trash.c_str()) != 0) {
        return errno == ENOENT ? ok() : disk_error(errno_error("discard " + path));
    }
    std::unique_lock lock(mutex_);
    trash_ = true;
    wake(lock);
    return ok();
}

void Janitor::request_sync() {
    std::unique_lock lock(mutex_);
    sync_at_ = Clock::now() + sync_delay;
    wake(lock);
}

void Janitor::wait_idle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_ || (!trash_ && !working_); });
}

void Janitor::run() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
        if (trash_) {
            trash_ = false;
            working_ = true;
            lock.unlock();
            empty_trash();
            lock.lock();
            working_ = false;
            changed_.notify_all();
        } else if (sync_at_ && *sync_at_ <= Clock::now()) {
            sync_at_.reset();
            lock.unlock();
            sync_();
            lock.lock();
        } else if (sync_at_) {
            changed_.wait_until(lock, *sync_at_);
        } else {
            changed_.wait(lock);
        }
    }
}

void Janitor::empty_trash() {
    auto names = list_directory(root_ + "/tmp");
    if (!names.ok()) {
        return;
    }
    for (const std::string& name : names.value()) {
        if (!name.starts_with(trash_prefix)) {
            continue;
        }
        {
            std::lock_guard lock(mutex_);
            if (stopped_) {
                return;
            }
        }
        if (Result<void> removed = remove_tree_of(root_ + "/tmp/" + name); !removed.ok()) {
            log::warn("cannot delete, ignoring", {{"error", removed.error().message()}});
        }
    }
}

} // namespace berth::store
