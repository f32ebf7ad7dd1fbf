// SPDX-License-Identifier: Apache-2.0
// The blocks between producer and consumer are recycled: a layer of a gigabyte goes through the
// same few.
#include "store/read_ahead.h"

#include <algorithm>
#include <cstring>

namespace berth::store {

namespace {

constexpr std::size_t block_bytes = 256U << 10;
constexpr std::size_t blocks_limit = 12;

} // namespace

ReadAheadSource::ReadAheadSource(ByteSource& source)
    : source_(source)
    , thread_([this] { run(); }) {}

ReadAheadSource::~ReadAheadSource() {
    {
        std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void ReadAheadSource::run() {
    std::string block;
    for (;;) {
        block.resize(block_bytes);
        Result<std::size_t> count = read_full(source_, block);
        bool last = !count.ok() || *count < block_bytes;
        std::unique_lock lock(mutex_);
        if (!count.ok()) {
            error_ = std::move(count).error();
        } else if (*count > 0) {
            changed_.wait(lock, [this] { return stopped_ || blocks_.size() < blocks_limit; });
            block.resize(*count);
            blocks_.push_back(std::move(block));
        }
        ended_ = last;
        changed_.notify_all();
        if (ended_ || stopped_) {
            return;
        }
        block.clear();
        if (!spare_.empty()) {
            block = std::move(spare_.back());
            spare_.pop_back();
        }
    }
}

Result<std::size_t> ReadAheadSource::read(std::span<char> buffer) {
    if (position_ == current_.size()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ended_ || !blocks_.empty(); });
        if (!current_.empty()) {
            spare_.push_back(std::move(current_));
        }
        current_.clear();
        position_ = 0;
        if (blocks_.empty()) {
            return error_ ? Result<std::size_t>(*error_) : std::size_t{0};
        }
        current_ = std::move(blocks_.front());
        blocks_.pop_front();
        changed_.notify_all();
    }
    std::size_t count = std::min(buffer.size(), current_.size() - position_);
    std::memcpy(buffer.data(), current_.data() + position_, count);
    position_ += count;
    return count;
}

} // namespace berth::store
