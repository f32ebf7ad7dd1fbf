// SPDX-License-Identifier: Apache-2.0
// A bounded pool of threads with small stacks and a bounded queue. Threads start on demand.
// submit() is thread-safe; the destructor asks running jobs to stop and waits for them.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace berth {

class WorkerPool {
  public:
    struct Options {
        std::size_t threads = 32;
        std::size_t queue_limit = 1024;
        std::size_t stack_bytes = 256U << 10;
        std::string name = "worker"; // at most 15 bytes: the thread's name
    };

    explicit WorkerPool(Options options);
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool();

    // ResourceExhausted when every thread is busy and the queue is full. A job must not throw.
    Result<void> submit(std::function<void()> job);

    // Runs the job without letting it wait; false when every thread is busy.
    bool submit_at_once(std::function<void()> job);

    // Returns once no job runs or waits.
    void wait_idle();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace berth
