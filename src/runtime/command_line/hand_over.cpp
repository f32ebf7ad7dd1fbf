// SPDX-License-Identifier: Apache-2.0
// runc: tty.go, utils_linux.go.
#include "runtime/command_line/hand_over.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/socket.h"

#include <cstdlib>

namespace berth::runtime::command_line {

namespace {

// The name goes with the descriptor; callers only show it.
Result<void> send_descriptor(const std::string& path, FdRef descriptor, std::string_view name) {
    UniqueFd socket = TRY(kernel::connect_unix(path));
    const int fd = descriptor.get();
    TRY(kernel::send_with_descriptors(socket, name, std::span<const int>(&fd, 1)));
    return ok();
}

} // namespace

Result<void> check_console_flags(bool terminal, bool detached, const std::string& socket) {
    if (terminal && detached && socket.empty()) {
        return invalid_argument("cannot allocate tty if berth-runtime will detach without setting "
                                "console socket");
    }
    if ((!detached || !terminal) && !socket.empty()) {
        return invalid_argument(
            "cannot use console socket if berth-runtime will not detach or allocate tty");
    }
    return ok();
}

Result<void> hand_over(const Flags& flags, FdRef pidfd, const UniqueFd& terminal, pid_t pid) {
    const std::string console = flags.value("console-socket");
    if (terminal && !console.empty()) {
        TRY_CONTEXT(send_descriptor(console, terminal, "/dev/ptmx"), "console socket");
    }
    const std::string pidfd_socket = flags.value("pidfd-socket");
    if (!pidfd_socket.empty()) {
        TRY_CONTEXT(send_descriptor(pidfd_socket, pidfd, "pidfd"), "pidfd socket");
    }
    const std::string file = flags.value("pid-file");
    return file.empty() ? ok() : replace_file(file, std::to_string(pid), 0644, Sync::No);
}

Result<int> preserved_fds(const Globals& globals, const Flags& flags) {
    const char* text = std::getenv("LISTEN_FDS");
    const int activated =
        text == nullptr ? 0 : parse_number<int>(std::string_view(text)).value_or(0);
    const int count = flags.number("preserve-fds") + activated;
    if (count < 0 || count > globals.passed_descriptors) {
        return invalid_argument(
            "preserve-fds: unable to stat preserved-fd " +
            std::to_string(3 + globals.passed_descriptors) + " (of " + std::to_string(count) +
            "): it is not open");
    }
    return count;
}

} // namespace berth::runtime::command_line
