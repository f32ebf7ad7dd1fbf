// SPDX-License-Identifier: Apache-2.0
// Synchronized<T>: a value that can be reached only with its mutex held. Never hold it across a
// blocking call.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

namespace berth {

template <class T>
class Synchronized {
  public:
    class Guard {
      public:
        explicit Guard(Synchronized& owner)
            : lock_(owner.mutex_)
            , value_(&owner.value_) {}

        T* operator->() { return value_; }

        T& operator*() { return *value_; }

        std::unique_lock<std::mutex>& lock() { return lock_; }

      private:
        std::unique_lock<std::mutex> lock_;
        T* value_;
    };

    Synchronized() = default;

    explicit Synchronized(T value)
        : value_(std::move(value)) {}

    Guard lock() { return Guard(*this); }

    Guard lock() const { return Guard(const_cast<Synchronized&>(*this)); }

  private:
    std::mutex mutex_;
    T value_{};
};

} // namespace berth
