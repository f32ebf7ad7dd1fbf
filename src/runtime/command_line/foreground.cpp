// SPDX-License-Identifier: Apache-2.0
// One poll loop: signals by signalfd, the terminal's master, standard input.
#include "runtime/command_line/foreground.h"

#include "base/file.h"
#include "kernel/process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

constexpr std::size_t buffer_size = 16U << 10;

class RawTerminal {
  public:
    RawTerminal() {
        if (::tcgetattr(STDIN_FILENO, &saved_) == 0) {
            termios raw = saved_;
            ::cfmakeraw(&raw);
            active_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
        }
    }

    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

    ~RawTerminal() {
        if (active_) {
            ::tcsetattr(STDIN_FILENO, TCSANOW, &saved_);
        }
    }

  private:
    termios saved_{};
    bool active_ = false;
};

void copy_window_size(const UniqueFd& terminal) {
    winsize size{};
    if (terminal && ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
        ::ioctl(terminal.get(), TIOCSWINSZ, &size);
    }
}

// False at the end of input.
bool copy_some(int from, int to) {
    std::array<char, buffer_size> buffer;
    ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    return write_all(
               FdRef::unowned(to), std::string_view(buffer.data(), static_cast<std::size_t>(got)))
        .ok();
}

Result<UniqueFd> watch_signals() {
    sigset_t all;
    sigfillset(&all);
    for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGPIPE, SIGURG}) {
        sigdelset(&all, number);
    }
    if (::sigprocmask(SIG_BLOCK, &all, nullptr) < 0) {
        return errno_error("sigprocmask");
    }
    UniqueFd watcher(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!watcher) {
        return errno_error("signalfd");
    }
    return watcher;
}

} // namespace

Result<Foreground> Foreground::create() {
    return Foreground(TRY(watch_signals()));
}

void Foreground::match_size(const UniqueFd& terminal) {
    copy_window_size(terminal);
}

std::optional<oci::ConsoleSize> Foreground::own_size() {
    winsize size{};
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0) {
        return std::nullopt;
    }
    return oci::ConsoleSize{.height = size.ws_row, .width = size.ws_col};
}

Result<int> Foreground::stand_for(pid_t pid, UniqueFd terminal) {
    kernel::Child child = TRY(kernel::Child::adopt(pid));
    std::optional<RawTerminal> raw;
    if (terminal) {
        raw.emplace();
        copy_window_size(terminal);
    }
    bool input_open = static_cast<bool>(terminal);
    while (true) {
        std::array<pollfd, 4> watched{
            {{child.pidfd().get(), POLLIN, 0},
             {signals_.get(), POLLIN, 0},
             {terminal.get(), POLLIN, 0},
             {input_open ? STDIN_FILENO : -1, POLLIN, 0}}};
        if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) {
            return errno_error("poll");
        }
        if (watched[2].revents != 0 && !copy_some(terminal.get(), STDOUT_FILENO)) {
            terminal.reset();
        }
        if (watched[3].revents != 0 && terminal) {
            input_open = copy_some(STDIN_FILENO, terminal.get());
        }
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            auto number = static_cast<int>(info.ssi_signo);
            if (number == SIGWINCH) {
                copy_window_size(terminal);
            } else if (number != SIGCHLD) {
                [[maybe_unused]] Result<void> sent = child.kill(number);
            }
        }
        // Output first: what the process wrote before its end is still in the terminal.
        if (watched[0].revents != 0 && watched[2].revents == 0) {
            return TRY(child.wait()).shell_code();
        }
    }
}

} // namespace berth::runtime::command_line
