// SPDX-License-Identifier: Apache-2.0
// runc 1.3's commands and flags; docs/man/berth-runtime.8.md says what each does.
#include "runtime/command_line/command_table.h"

#include <algorithm>
#include <array>

namespace berth::runtime::command_line {

namespace {

using enum FlagKind;

constexpr FlagSpec bundle_flag{"bundle", "b", Value, "folder of config.json (default: .)"};
constexpr FlagSpec console_socket_flag{
    "console-socket", "", Value, "unix socket that gets the terminal's master side"};
constexpr FlagSpec pidfd_socket_flag{
    "pidfd-socket", "", Value, "unix socket that gets a pidfd of the process"};
constexpr FlagSpec pid_file_flag{"pid-file", "", Value, "file to write the process id to"};
constexpr FlagSpec preserve_fds_flag{
    "preserve-fds", "", Number, "pass on this many descriptors after stderr"};
constexpr FlagSpec no_pivot_flag{
    "no-pivot", "", Switch, "do not use pivot_root (for a root on a ramdisk)"};
constexpr FlagSpec no_new_keyring_flag{"no-new-keyring", "", Switch, "keep the session keyring"};
constexpr FlagSpec no_subreaper_flag{"no-subreaper", "", Switch, "accepted; there is no subreaper"};
constexpr FlagSpec detach_flag{"detach", "d", Switch, "do not wait for the process"};

constexpr auto program_flags = std::to_array<FlagSpec>(
    {{"debug", "", Switch, "log debug messages"},
     {"log", "", Value, "file to log to (default: stderr)"},
     {"log-format", "", Value, "text or json"},
     {"root", "", Value, "folder of the containers' state"},
     {"criu", "", Value, "accepted, without use"},
     {"systemd-cgroup", "", Switch, "let systemd make the cgroups"},
     {"rootless", "", Value, "ignore missing rights on cgroups: true, false or auto"},
     {"version", "v", Switch, "print the version"},
     {"help", "h", Switch, "print this"}});

constexpr auto create_flags = std::to_array<FlagSpec>(
    {bundle_flag,
     console_socket_flag,
     pidfd_socket_flag,
     pid_file_flag,
     no_pivot_flag,
     no_new_keyring_flag,
     preserve_fds_flag});

constexpr auto run_flags = std::to_array<FlagSpec>(
    {bundle_flag,
     console_socket_flag,
     pidfd_socket_flag,
     pid_file_flag,
     no_pivot_flag,
     no_new_keyring_flag,
     preserve_fds_flag,
     detach_flag,
     {"keep", "", Switch, "do not delete the container after it has ended"},
     no_subreaper_flag});

constexpr auto exec_flags = std::to_array<FlagSpec>(
    {console_socket_flag,
     pidfd_socket_flag,
     {"cwd", "", Value, "working directory"},
     {"env", "e", Value, "NAME=VALUE to add to the environment"},
     {"tty", "t", Switch, "allocate a terminal"},
     {"user", "u", Value, "UID[:GID]"},
     {"additional-gids", "g", Number, "supplementary group"},
     {"process", "p", Value, "process.json to run"},
     detach_flag,
     pid_file_flag,
     {"process-label", "", Value, "SELinux label"},
     {"apparmor", "", Value, "AppArmor profile"},
     {"no-new-privs", "", Switch, "set no_new_privs"},
     {"cap", "c", Value, "capability to add"},
     preserve_fds_flag,
     {"cgroup", "", Value, "[controller,…:]path of a group below the container's"},
     {"ignore-paused", "", Switch, "allow it in a paused container"},
     no_subreaper_flag});

constexpr auto kill_flags =
    std::to_array<FlagSpec>({{"all", "a", Switch, "signal every process of the container"}});

constexpr auto delete_flags =
    std::to_array<FlagSpec>({{"force", "f", Switch, "kill it first if it runs; absent is fine"}});

constexpr auto list_flags = std::to_array<FlagSpec>(
    {{"format", "f", Value, "table or json"}, {"quiet", "q", Switch, "ids only"}});

constexpr auto ps_flags = std::to_array<FlagSpec>({{"format", "f", Value, "table or json"}});

constexpr auto events_flags = std::to_array<FlagSpec>(
    {{"interval", "", Value, "time between statistics (default: 5s)"},
     {"stats", "", Switch, "print the statistics once"}});

constexpr auto spec_flags = std::to_array<FlagSpec>(
    {bundle_flag, {"rootless", "", Switch, "for a container without root's rights"}});

constexpr auto update_flags = std::to_array<FlagSpec>(
    {{"resources", "r", Value, "file with the new limits as JSON; - for stdin"},
     {"blkio-weight", "", Number, "block I/O weight, 10 to 1000"},
     {"cpu-period", "", Value, "CPU period in microseconds"},
     {"cpu-quota", "", Value, "CPU time of a period in microseconds"},
     {"cpu-burst", "", Value, "CPU time that may be saved up, in microseconds"},
     {"cpu-share", "", Value, "CPU shares"},
     {"cpu-rt-period", "", Value, "period of realtime processes in microseconds"},
     {"cpu-rt-runtime", "", Value, "time of realtime processes in microseconds"},
     {"cpuset-cpus", "", Value, "processors"},
     {"cpuset-mems", "", Value, "memory nodes"},
     {"kernel-memory", "", Value, "obsolete: Linux has no such limit any more"},
     {"kernel-memory-tcp", "", Value, "obsolete: Linux has no such limit any more"},
     {"memory", "", Value, "memory"},
     {"memory-reservation", "", Value, "soft limit of memory"},
     {"memory-swap", "", Value, "memory and swap together; -1: no limit"},
     {"pids-limit", "", Number, "processes"},
     {"l3-cache-schema", "", Value, "Intel RDT schema of the L3 cache"},
     {"mem-bw-schema", "", Value, "Intel RDT schema of the memory bandwidth"},
     {"cpu-idle", "", Value, "1: runs only when nothing else does"}});

constexpr auto checkpoint_flags = std::to_array<FlagSpec>(
    {{"image-path", "", Value, ""},
     {"work-path", "", Value, ""},
     {"parent-path", "", Value, ""},
     {"leave-running", "", Switch, ""},
     {"tcp-established", "", Switch, ""},
     {"tcp-skip-in-flight", "", Switch, ""},
     {"ext-unix-sk", "", Switch, ""},
     {"shell-job", "", Switch, ""},
     {"lazy-pages", "", Switch, ""},
     {"link-remap", "", Switch, ""},
     {"status-fd", "", Number, ""},
     {"page-server", "", Value, ""},
     {"file-locks", "", Switch, ""},
     {"pre-dump", "", Switch, ""},
     {"manage-cgroups-mode", "", Value, ""},
     {"empty-ns", "", Value, ""},
     {"auto-dedup", "", Switch, ""}});

constexpr auto restore_flags = std::to_array<FlagSpec>(
    {console_socket_flag,
     bundle_flag,
     detach_flag,
     pid_file_flag,
     no_subreaper_flag,
     no_pivot_flag,
     {"image-path", "", Value, ""},
     {"work-path", "", Value, ""},
     {"tcp-established", "", Switch, ""},
     {"ext-unix-sk", "", Switch, ""},
     {"shell-job", "", Switch, ""},
     {"file-locks", "", Switch, ""},
     {"manage-cgroups-mode", "", Value, ""},
     {"empty-ns", "", Value, ""},
     {"auto-dedup", "", Switch, ""},
     {"lazy-pages", "", Switch, ""},
     {"link-remap", "", Switch, ""},
     {"lsm-profile", "", Value, ""},
     {"lsm-mount-context", "", Value, ""}});

constexpr std::string_view id_argument = "CONTAINER";

constexpr auto all_commands = std::to_array<Command>(
    {{"checkpoint", checkpoint, id_argument, "not there yet", 1, 1, checkpoint_flags},
     {"create", create, id_argument, "create a container", 1, 1, create_flags},
     {"delete", remove, id_argument, "delete a container", 1, 1, delete_flags},
     {"events", events, id_argument, "statistics and out-of-memory events", 1, 1, events_flags},
     {"exec",
      exec,
      "CONTAINER [COMMAND [ARG…]]",
      "execute a process in a container",
      1,
      any_number,
      exec_flags,
      FlagOrder::First},
     {"features", features, "", "print what this runtime supports as JSON", 0, 0},
     {"kill", kill, "CONTAINER [SIGNAL]", "send a signal (default: TERM)", 1, 2, kill_flags},
     {"list", list, "", "list containers", 0, 0, list_flags},
     {"pause", pause, id_argument, "suspend all processes of a container"},
     {"ps",
      processes,
      "CONTAINER [PS OPTION…]",
      "list the processes of a container",
      1,
      any_number,
      ps_flags,
      FlagOrder::First},
     {"restore", restore, id_argument, "not there yet", 1, 1, restore_flags},
     {"resume", resume, id_argument, "go on with a paused container"},
     {"run", run_container, id_argument, "create and start a container", 1, 1, run_flags},
     {"spec", spec, "", "write a config.json to start from", 0, 0, spec_flags},
     {"start", start, id_argument, "start a created container"},
     {"state", state, id_argument, "print the state of a container as JSON"},
     {"update", update, id_argument, "change the resources of a container", 1, 1, update_flags}});

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size() + 1), ' ');
    return text;
}

std::string flag_lines(std::span<const FlagSpec> flags) {
    std::string text;
    for (const FlagSpec& flag : flags) {
        std::string names = "--" + std::string(flag.name);
        if (!flag.short_name.empty()) {
            names += ", -" + std::string(flag.short_name);
        }
        names += flag.kind == Switch ? "" : " value";
        text += "   " + padded(names, 34) + std::string(flag.help) + "\n";
    }
    return text;
}

} // namespace

std::span<const Command> commands() {
    return all_commands;
}

const Command* find_command(std::string_view name) {
    auto found =
        std::find_if(all_commands.begin(), all_commands.end(), [name](const Command& entry) {
            return entry.name == name;
        });
    return found == all_commands.end() ? nullptr : &*found;
}

std::span<const FlagSpec> global_flags() {
    return program_flags;
}

std::string program_help() {
    std::string text = "NAME:\n   berth-runtime - Open Container Initiative runtime\n\nUSAGE:\n   "
                       "berth-runtime [global options] command [command options] "
                       "[arguments...]\n\nCOMMANDS:\n";
    for (const Command& command : all_commands) {
        text += "   " + padded(std::string(command.name), 12) + std::string(command.summary) + "\n";
    }
    return text + "\nGLOBAL OPTIONS:\n" + flag_lines(program_flags);
}

std::string command_help(const Command& command) {
    const std::string name(command.name);
    std::string text = "NAME:\n   berth-runtime " + name + " - " + std::string(command.summary) +
                       "\n\nUSAGE:\n   berth-runtime " + name +
                       (command.flags.empty() ? "" : " [command options]") +
                       (command.arguments.empty() ? "" : " ") + std::string(command.arguments) +
                       "\n";
    if (!command.flags.empty()) {
        text += "\nOPTIONS:\n" + flag_lines(command.flags);
    }
    return text;
}

Result<void> check_arguments(const Command& command, const Flags& flags) {
    const std::size_t count = flags.rest().size();
    auto refuse = [&](const std::string& what, std::size_t number) {
        return invalid_argument(
            "berth-runtime: \"" + std::string(command.name) + "\" requires " + what + " " +
            std::to_string(number) + " argument(s)");
    };
    if (command.min_arguments == command.max_arguments && count != command.min_arguments) {
        return refuse("exactly", command.min_arguments);
    }
    if (count < command.min_arguments) {
        return refuse("a minimum of", command.min_arguments);
    }
    return count > command.max_arguments
               ? Result<void>(refuse("a maximum of", command.max_arguments))
               : ok();
}

} // namespace berth::runtime::command_line
