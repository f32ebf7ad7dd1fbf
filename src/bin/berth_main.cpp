// SPDX-License-Identifier: Apache-2.0
// berth: the command line.
#include "cli/main_command.h"

#include <csignal>
#include <string>
#include <vector>

#include <unistd.h>

int main(int argc, char** argv) {
    // A closed pipe is an error of the write that meets it.
    std::signal(SIGPIPE, SIG_IGN);
    std::string executable(4096, '\0');
    ssize_t size = ::readlink("/proc/self/exe", executable.data(), executable.size());
    executable.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return berth::cli::run_command_line(
        executable, std::vector<std::string>(argv + 1, argv + argc));
}
