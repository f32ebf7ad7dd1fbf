// SPDX-License-Identifier: Apache-2.0
// Pseudo terminals: size and raw mode.
#include "io/terminal.h"

#include <gtest/gtest.h>

namespace berth::io {
namespace {

TEST(Terminal, SizeSetOnTheMasterIsSeenOnTheSlave) {
    const PseudoTerminal terminal = PseudoTerminal::open().value();
    ASSERT_TRUE(set_terminal_size(terminal.master, {.rows = 24, .columns = 80}).ok());
    EXPECT_EQ(terminal_size(terminal.slave).value(), (TerminalSize{.rows = 24, .columns = 80}));
    EXPECT_TRUE(is_terminal(terminal.slave));
}

TEST(Terminal, APipeIsNoTerminal) {
    const Pipe pipe = Pipe::create().value();
    EXPECT_FALSE(is_terminal(pipe.read_end));
    EXPECT_FALSE(RawMode::enter(pipe.read_end).ok());
}

TEST(Terminal, RawModeIsUndoneByItsGuard) {
    const PseudoTerminal terminal = PseudoTerminal::open().value();
    const auto echoes = [&] {
        termios mode{};
        tcgetattr(terminal.slave.get(), &mode);
        return (mode.c_lflag & ECHO) != 0;
    };
    ASSERT_TRUE(echoes());
    {
        Result<RawMode> raw = RawMode::enter(terminal.slave);
        ASSERT_TRUE(raw.ok());
        const RawMode moved = std::move(raw).value();
        EXPECT_FALSE(echoes());
    }
    EXPECT_TRUE(echoes());
}

} // namespace
} // namespace berth::io
