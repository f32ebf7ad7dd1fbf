// SPDX-License-Identifier: Apache-2.0
// Terminals over termios, TIOCGWINSZ and TIOCGPTPEER.
#include "io/terminal.h"

#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace berth::io {

bool is_terminal(FdRef fd) {
    return isatty(fd.get()) == 1;
}

Result<TerminalSize> terminal_size(FdRef fd) {
    winsize size{};
    if (ioctl(fd.get(), TIOCGWINSZ, &size) != 0) {
        return errno_error("read the terminal's size");
    }
    return TerminalSize{.rows = size.ws_row, .columns = size.ws_col};
}

Result<void> set_terminal_size(FdRef fd, TerminalSize size) {
    winsize wanted{};
    wanted.ws_row = size.rows;
    wanted.ws_col = size.columns;
    if (ioctl(fd.get(), TIOCSWINSZ, &wanted) != 0) {
        return errno_error("set the terminal's size");
    }
    return ok();
}

Result<RawMode> RawMode::enter(FdRef fd) {
    termios saved{};
    if (tcgetattr(fd.get(), &saved) != 0) {
        return errno_error("read the terminal's mode");
    }
    termios raw = saved;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(fd.get(), TCSANOW, &raw) != 0) {
        return errno_error("set the terminal's mode");
    }
    return RawMode(fd.get(), saved);
}

Result<RawMode> RawMode::without_echo(FdRef fd) {
    termios saved{};
    if (tcgetattr(fd.get(), &saved) != 0) {
        return errno_error("read the terminal's mode");
    }
    termios silent = saved;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (tcsetattr(fd.get(), TCSANOW, &silent) != 0) {
        return errno_error("set the terminal's mode");
    }
    return RawMode(fd.get(), saved);
}

RawMode::RawMode(RawMode&& other) noexcept
    : fd_(std::exchange(other.fd_, -1))
    , saved_(other.saved_) {}

RawMode& RawMode::operator=(RawMode&& other) noexcept {
    if (this != &other) {
        restore();
        fd_ = std::exchange(other.fd_, -1);
        saved_ = other.saved_;
    }
    return *this;
}

RawMode::~RawMode() {
    restore();
}

void RawMode::restore() {
    if (fd_ >= 0) {
        (void)tcsetattr(fd_, TCSANOW, &saved_);
        fd_ = -1;
    }
}

Result<PseudoTerminal> PseudoTerminal::open() {
    PseudoTerminal pair;
    pair.master = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!pair.master) {
        return errno_error("open /dev/ptmx");
    }
    unsigned number = 0;
    if (unlockpt(pair.master.get()) != 0 || ioctl(pair.master.get(), TIOCGPTN, &number) != 0) {
        return errno_error("unlock a pseudo terminal");
    }
    pair.slave_path = "/dev/pts/" + std::to_string(number);
    // By the master and not by path: /dev/pts may be another instance than /dev/ptmx.
    pair.slave = UniqueFd(ioctl(pair.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!pair.slave) {
        return errno_error("open " + pair.slave_path);
    }
    return pair;
}

} // namespace berth::io
