// SPDX-License-Identifier: Apache-2.0
// create, run, start, exec, kill, delete: the life of a container.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/socket.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/flags.h"
#include "runtime/command_line/foreground.h"
#include "runtime/command_line/process_flags.h"
#include "runtime/container.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

struct SignalName {
    std::string_view name;
    int number;
};

constexpr auto signal_names = std::to_array<SignalName>(
    {{"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"ILL", SIGILL},
     {"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"IOT", SIGIOT},       {"BUS", SIGBUS},
     {"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV},
     {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM},
     {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP},
     {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
     {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
     {"WINCH", SIGWINCH},   {"IO", SIGIO},     {"POLL", SIGPOLL},     {"PWR", SIGPWR},
     {"SYS", SIGSYS}});

Result<int> parse_signal(std::string_view text) {
    if (Result<int> number = parse_number<int>(text);
        number.ok() && *number > 0 && *number < NSIG) {
        return number;
    }
    std::string name = to_upper(text);
    std::string_view plain = name;
    if (plain.starts_with("SIG")) {
        plain.remove_prefix(3);
    }
    for (const SignalName& entry : signal_names) {
        if (entry.name == plain) {
            return entry.number;
        }
    }
    return invalid_argument("unknown signal \"" + std::string(text) + "\"");
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
    return path.empty() ? ok() : replace_file(path, std::to_string(pid), 0644, Sync::No);
}

// The caller (containerd, conmon) listens; it gets the terminal's master.
Result<void> send_terminal(const std::string& socket_path, const UniqueFd& terminal) {
    UniqueFd socket = TRY(kernel::connect_unix(socket_path));
    const int fd = terminal.get();
    TRY(kernel::send_with_descriptors(socket, "/dev/ptmx", std::span<const int>(&fd, 1)));
    return ok();
}

Result<void> check_console_flags(bool terminal, bool detached, const std::string& socket) {
    if (terminal && detached && socket.empty()) {
        return invalid_argument(
            "cannot allocate tty if runc will detach without setting console socket");
    }
    if (!socket.empty() && !detached) {
        return invalid_argument(
            "cannot use console socket if runc will not detach or allocate tty");
    }
    return ok();
}

// systemd's socket activation: runc passes these on as it passes --preserve-fds.
int activation_fds() {
    const char* count = std::getenv("LISTEN_FDS");
    return count == nullptr ? 0 : parse_number<int>(std::string_view(count)).value_or(0);
}

constexpr auto create_flags = std::to_array<FlagSpec>(
    {{"bundle", "b", FlagKind::Value},
     {"console-socket", "", FlagKind::Value},
     {"pidfd-socket", "", FlagKind::Value},
     {"pid-file", "", FlagKind::Value},
     {"preserve-fds", "", FlagKind::Value},
     {"no-new-keyring", "", FlagKind::Switch},
     {"no-pivot", "", FlagKind::Switch},
     {"no-subreaper", "", FlagKind::Switch},
     {"keep", "", FlagKind::Switch},
     {"detach", "d", FlagKind::Switch}});

Result<Container> create_from_flags(const Globals& globals, const Flags& flags) {
    if (flags.is_set("no-pivot")) {
        return not_implemented("--no-pivot is not implemented");
    }
    if (!flags.value("pidfd-socket").empty()) {
        return not_implemented("--pidfd-socket is not implemented");
    }
    const std::string bundle = flags.value("bundle");
    CreateOptions options{
        .state_root = globals.root,
        .id = TRY(flags.container_id()),
        .bundle = bundle.empty() ? "." : bundle,
        .stdio = TRY(Stdio::inherit()),
        .preserve_fds = TRY(flags.number("preserve-fds", 0)) + activation_fds(),
        .no_new_keyring = flags.is_set("no-new-keyring")};
    return Container::create(std::move(options));
}

// Whatever fails after create() must not leave the container behind.
template <class Step>
Result<void> or_destroy(Container& container, Step step) {
    Result<void> done = step();
    if (!done.ok()) {
        [[maybe_unused]] Result<void> destroyed = container.destroy(Container::Force::Yes);
    }
    return done;
}

} // namespace

Result<int> create(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, create_flags));
    Container container = TRY(create_from_flags(globals, flags));
    const std::string socket = flags.value("console-socket");
    Result<void> finished = or_destroy(container, [&]() -> Result<void> {
        UniqueFd terminal = container.take_terminal();
        TRY(check_console_flags(static_cast<bool>(terminal), true, socket));
        if (terminal) {
            TRY(send_terminal(socket, terminal));
        }
        return write_pid_file(flags.value("pid-file"), container.pid());
    });
    TRY(std::move(finished));
    return 0;
}

Result<int> run_container(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, create_flags));
    const bool detached = flags.is_set("detach");
    const std::string socket = flags.value("console-socket");
    Container container = TRY(create_from_flags(globals, flags));
    UniqueFd terminal = container.take_terminal();
    Result<void> finished = or_destroy(container, [&]() -> Result<void> {
        TRY(check_console_flags(static_cast<bool>(terminal), detached, socket));
        if (terminal && detached) {
            TRY(send_terminal(socket, terminal));
        }
        TRY(write_pid_file(flags.value("pid-file"), container.pid()));
        return container.start();
    });
    TRY(std::move(finished));
    if (detached) {
        return 0;
    }
    int status = TRY(stand_for(container.pid(), std::move(terminal)));
    if (!flags.is_set("keep")) {
        TRY(container.destroy());
    }
    return status;
}

Result<int> start(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {}));
    std::string id = TRY(flags.container_id());
    Container container = TRY(Container::load(globals.root, id));
    TRY(container.start());
    return 0;
}

Result<int> exec(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, exec_flags));
    std::string id = TRY(flags.container_id());
    Container container = TRY(Container::load(globals.root, id));
    const bool detached = flags.is_set("detach");
    const std::string socket = flags.value("console-socket");
    ExecOptions options;
    options.process = TRY(exec_process(container, flags));
    TRY(check_console_flags(options.process.terminal, detached, socket));
    options.stdio = TRY(Stdio::inherit());
    options.preserve_fds = TRY(flags.number("preserve-fds", 0)) + activation_fds();
    if (!flags.value("cgroup").empty()) {
        options.cgroup = flags.value("cgroup");
    }
    Process process = TRY(container.exec(std::move(options)));
    TRY(write_pid_file(flags.value("pid-file"), process.pid));
    if (!detached) {
        return stand_for(process.pid, std::move(process.terminal));
    }
    if (process.terminal) {
        TRY(send_terminal(socket, process.terminal));
    }
    return 0;
}

Result<int> kill(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {{"all", "a", FlagKind::Switch}}));
    std::string id = TRY(flags.container_id());
    int signal = TRY(parse_signal(flags.rest().size() > 1 ? flags.rest()[1] : "TERM"));
    Container container = TRY(Container::load(globals.root, id));
    TRY(flags.is_set("all") ? container.kill_all(signal) : container.kill(signal));
    return 0;
}

Result<int> remove(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {{"force", "f", FlagKind::Switch}}));
    std::string id = TRY(flags.container_id());
    if (flags.is_set("force")) {
        // runc: a forced delete of what is not there is done.
        TRY(Container::remove_by_force(globals.root, id));
        return 0;
    }
    Container container = TRY(Container::load(globals.root, id));
    TRY(container.destroy());
    return 0;
}

} // namespace berth::runtime::command_line
