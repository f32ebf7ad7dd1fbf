// SPDX-License-Identifier: Apache-2.0
// UniqueFd owns a file descriptor and closes it; FdRef borrows one from an owner that lives longer.
#pragma once

#include "base/result.h"

#include <utility>

namespace berth {

class UniqueFd {
  public:
    UniqueFd() = default;

    // Takes ownership of fd; -1 is "none".
    explicit UniqueFd(int fd)
        : fd_(fd) {}

    UniqueFd(UniqueFd&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)) {}

    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.fd_, -1));
        }
        return *this;
    }

    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;

    ~UniqueFd() { reset(); }

    int get() const { return fd_; }

    explicit operator bool() const { return fd_ >= 0; }

    // Gives ownership away.
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

    void reset(int fd = -1);

    // A second owner of the same open file, close-on-exec.
    Result<UniqueFd> duplicate() const;

  private:
    int fd_ = -1;
};

class FdRef {
  public:
    FdRef(const UniqueFd& owner)
        : fd_(owner.get()) {}

    // For AT_FDCWD and standard streams, which nobody owns.
    static FdRef unowned(int fd) { return FdRef(fd); }

    int get() const { return fd_; }

  private:
    explicit FdRef(int fd)
        : fd_(fd) {}

    int fd_;
};

// pipe2(2) with O_CLOEXEC.
struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;

    static Result<Pipe> create();
};

} // namespace berth
