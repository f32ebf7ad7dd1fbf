// SPDX-License-Identifier: Apache-2.0
// exec: errors of its own end it with 255, so that its caller can tell them from the program's
// status.
#include "runtime/command_line/commands.h"
#include "runtime/command_line/foreground.h"
#include "runtime/command_line/hand_over.h"
#include "runtime/command_line/log_output.h"
#include "runtime/command_line/process_flags.h"
#include "runtime/container.h"

#include <csignal>

namespace berth::runtime::command_line {

namespace {

constexpr int exec_failed = 255;

Result<int> exec_in_container(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    Container container = TRY(Container::load(globals.root, id));
    const bool detached = flags.is_set("detach");
    ExecOptions options;
    options.process = TRY(exec_process(container, flags));
    TRY(check_console_flags(options.process.terminal, detached, flags.value("console-socket")));
    options.stdio = TRY(Stdio::inherit());
    options.preserve_fds = TRY(preserved_fds(globals, flags));
    options.cgroups = TRY(parse_sub_cgroups(flags.values("cgroup")));
    options.ignore_paused = flags.is_set("ignore-paused");
    std::optional<Foreground> foreground;
    if (!detached) {
        foreground = TRY(Foreground::create());
        if (options.process.terminal && !options.process.console_size) {
            options.process.console_size = Foreground::own_size();
        }
    }
    Process process = TRY(container.exec(std::move(options)));
    Result<void> handed = hand_over(flags, process.pidfd, process.terminal, process.pid);
    if (!handed.ok()) {
        ::kill(process.pid, SIGKILL);
        return std::move(handed).error();
    }
    return detached ? Result<int>(0)
                    : foreground->stand_for(process.pid, std::move(process.terminal));
}

} // namespace

Result<int> exec(const Globals& globals, const Flags& flags) {
    Result<int> status = exec_in_container(globals, flags);
    if (status.ok()) {
        return status;
    }
    report(std::move(status).error().with_context("exec failed"));
    return exec_failed;
}

} // namespace berth::runtime::command_line
