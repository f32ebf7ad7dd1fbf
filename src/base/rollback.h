// SPDX-License-Identifier: Apache-2.0
// Rollback: undo steps of a multi-step set-up, run in reverse order unless commit() was called.
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace berth {

class Rollback {
  public:
    Rollback() = default;
    Rollback(const Rollback&) = delete;
    Rollback& operator=(const Rollback&) = delete;

    ~Rollback() {
        for (auto undo = undos_.rbegin(); undo != undos_.rend(); ++undo) {
            (*undo)();
        }
    }

    void push(std::function<void()> undo) { undos_.push_back(std::move(undo)); }

    void commit() { undos_.clear(); }

  private:
    std::vector<std::function<void()>> undos_;
};

} // namespace berth
