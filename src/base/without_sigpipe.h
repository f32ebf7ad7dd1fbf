// SPDX-License-Identifier: Apache-2.0
// Keeps the calling thread from SIGPIPE where a call knows no MSG_NOSIGNAL (write(2), sendfile(2),
// splice(2)): they end with EPIPE alone. A library must not rely on the signal being ignored.
#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>

#include <pthread.h>

namespace berth {

// Drops the signal that was raised meanwhile.
class WithoutSigpipe {
  public:
    WithoutSigpipe() {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }

    // errno stays that of the guarded call.
    ~WithoutSigpipe() {
        const int error_number = errno;
        if (!was_pending_) {
            timespec now{};
            sigtimedwait(&pipe_, nullptr, &now);
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error_number;
    }

    WithoutSigpipe(const WithoutSigpipe&) = delete;
    WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

  private:
    sigset_t pipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
};

} // namespace berth
