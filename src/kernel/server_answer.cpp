// SPDX-License-Identifier: Apache-2.0
// The descriptor is the sender's own context: what is done to it is done for the sender. The exit
// code is errno.
#include "kernel/server_answer.h"

#include "kernel/mount.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::kernel {
namespace {

int number_of(const Result<void>& done) {
    return done.ok() ? 0 : std::max(done.error().error_number(), 1);
}

} // namespace

Result<void> reach_server(const std::string& path) {
    struct statx status {};

    if (::statx(
            AT_FDCWD,
            path.c_str(),
            AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC,
            STATX_BASIC_STATS,
            &status) < 0) {
        return errno_error("stat " + path);
    }
    return ok();
}

std::optional<int> answer_server_question(std::span<const char* const> arguments) {
    if (arguments.size() == 1 && std::strcmp(arguments[0], create_word) == 0) {
        return number_of(create_file_system(FdRef::unowned(context_fd)));
    }
    if (arguments.size() == 2 && std::strcmp(arguments[0], reach_word) == 0) {
        return number_of(reach_server(arguments[1]));
    }
    return std::nullopt;
}

} // namespace berth::kernel
