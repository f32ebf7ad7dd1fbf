// SPDX-License-Identifier: Apache-2.0
// Terminals: size, raw mode with a guard, new pseudo terminals.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>

#include <termios.h>

namespace berth::io {

struct TerminalSize {
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;

    bool operator==(const TerminalSize&) const = default;
};

bool is_terminal(FdRef fd);
Result<TerminalSize> terminal_size(FdRef fd);

// The kernel sends SIGWINCH to the foreground group when the size changes.
Result<void> set_terminal_size(FdRef fd, TerminalSize size);

// Puts a terminal into raw mode, output too: the container's terminal has made lines of its output
// already, and what a full-screen program sends must arrive as it is. The destructor restores what
// was there. The descriptor must outlive the guard.
class RawMode {
  public:
    static Result<RawMode> enter(FdRef fd);
    // The usual mode, but what is typed is not shown: for passwords.
    static Result<RawMode> without_echo(FdRef fd);
    RawMode(RawMode&& other) noexcept;
    RawMode& operator=(RawMode&& other) noexcept;
    ~RawMode();

  private:
    RawMode(int fd, const termios& saved)
        : fd_(fd)
        , saved_(saved) {}

    void restore();

    int fd_;
    termios saved_;
};

// A pseudo terminal of the host's devpts instance.
struct PseudoTerminal {
    UniqueFd master;
    UniqueFd slave;
    std::string slave_path;

    static Result<PseudoTerminal> open();
};

} // namespace berth::io
