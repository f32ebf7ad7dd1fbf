// SPDX-License-Identifier: Apache-2.0
// Threads by pthread_create: std::thread cannot set a stack size, and a request thread needs
// little.
#include "base/worker_pool.h"

#include "base/verify.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include <pthread.h>

namespace berth {

struct WorkerPool::State {
    explicit State(Options chosen)
        : options(std::move(chosen)) {}

    static void* run(void* self) {
        static_cast<State*>(self)->work();
        return nullptr;
    }

    void work() {
        std::unique_lock lock(mutex);
        while (true) {
            ++idle;
            wake.wait(lock, [this] { return stopping || !queue.empty(); });
            --idle;
            if (queue.empty()) {
                return;
            }
            std::function<void()> job = std::move(queue.front());
            queue.pop_front();
            ++busy;
            lock.unlock();
            job();
            job = nullptr;
            lock.lock();
            --busy;
            if (busy == 0 && queue.empty()) {
                drained.notify_all();
            }
        }
    }

    // A thread that is idle and for which no job waits, or a new one. REQUIRES: the lock.
    bool ensure_thread() {
        return queue.size() < idle || (threads.size() < options.threads && start_thread());
    }

    void push(std::function<void()> job) {
        queue.push_back(std::move(job));
        wake.notify_one();
    }

    bool start_thread() {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, options.stack_bytes);
        pthread_t thread{};
        int error = pthread_create(&thread, &attributes, &State::run, this);
        pthread_attr_destroy(&attributes);
        if (error != 0) {
            return false;
        }
        pthread_setname_np(thread, options.name.substr(0, 15).c_str());
        threads.push_back(thread);
        return true;
    }

    const Options options;
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable drained;
    std::deque<std::function<void()>> queue;
    std::vector<pthread_t> threads;
    std::size_t idle = 0;
    std::size_t busy = 0;
    bool stopping = false;
};

WorkerPool::WorkerPool(Options options)
    : state_(std::make_shared<State>(std::move(options))) {}

WorkerPool::~WorkerPool() {
    {
        std::lock_guard lock(state_->mutex);
        state_->stopping = true;
    }
    state_->wake.notify_all();
    for (pthread_t thread : state_->threads) {
        pthread_join(thread, nullptr);
    }
}

Result<void> WorkerPool::submit(std::function<void()> job) {
    std::lock_guard lock(state_->mutex);
    VERIFY(!state_->stopping);
    if (!state_->ensure_thread()) {
        if (state_->threads.empty()) {
            return Error(ErrorKind::ResourceExhausted, "cannot start a worker thread");
        }
        if (state_->queue.size() >= state_->options.queue_limit) {
            return Error(
                ErrorKind::ResourceExhausted,
                "too many requests: " + std::to_string(state_->options.queue_limit) +
                    " wait already");
        }
    }
    state_->push(std::move(job));
    return ok();
}

bool WorkerPool::submit_at_once(std::function<void()> job) {
    std::lock_guard lock(state_->mutex);
    VERIFY(!state_->stopping);
    if (!state_->ensure_thread()) {
        return false;
    }
    state_->push(std::move(job));
    return true;
}

void WorkerPool::wait_idle() {
    std::unique_lock lock(state_->mutex);
    state_->drained.wait(lock, [this] { return state_->busy == 0 && state_->queue.empty(); });
}

} // namespace berth
