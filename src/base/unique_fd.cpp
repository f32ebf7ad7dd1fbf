// SPDX-License-Identifier: Apache-2.0
// Descriptor ownership over close(2), fcntl(2) and pipe2(2).
#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth {

void UniqueFd::reset(int fd) {
    if (fd_ >= 0) {
        // Linux closes the descriptor even when close reports EINTR: a retry could hit another
        // thread's.
        ::close(fd_);
    }
    fd_ = fd;
}

Result<UniqueFd> UniqueFd::duplicate() const {
    int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return errno_error("cannot duplicate descriptor");
    }
    return UniqueFd(fd);
}

Result<Pipe> Pipe::create() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) < 0) {
        return errno_error("cannot create pipe");
    }
    return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

} // namespace berth
