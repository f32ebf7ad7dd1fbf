// SPDX-License-Identifier: Apache-2.0
// Global flags, the table of commands, and where errors go.
#include "runtime/command_line/command_line.h"

#include "base/file.h"
#include "codec/json.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/flags.h"

#include <boost/json/object.hpp>

#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

struct Command {
    std::string_view name;
    Result<int> (*run)(const Globals&, const Arguments&);
    std::string_view summary;
};

constexpr auto commands = std::to_array<Command>(
    {{"create", create, "create a container"},
     {"delete", remove, "delete a container"},
     {"exec", exec, "execute a process in a container"},
     {"features", features, "what this runtime supports"},
     {"kill", kill, "send a signal to a container"},
     {"list", list, "list containers"},
     {"pause", pause, "suspend all processes of a container"},
     {"ps", processes, "list the processes of a container"},
     {"resume", resume, "resume a paused container"},
     {"run", run_container, "create and start a container"},
     {"spec", spec, "write a config.json to start from"},
     {"start", start, "start a created container"},
     {"state", state, "the state of a container"},
     {"update", update, "change the resources of a container"}});

void print(int fd, std::string_view text) {
    [[maybe_unused]] Result<void> written = write_all(FdRef::unowned(fd), text);
}

void print_usage(int fd) {
    std::string text = "usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] "
                       "COMMAND …\n\ncommands:\n";
    for (const Command& command : commands) {
        text += "  " + std::string(command.name) + std::string(10 - command.name.size(), ' ') +
                std::string(command.summary) + "\n";
    }
    print(fd, text);
}

struct LogFile {
    std::string path;
    bool as_json = false;
};

// containerd and Docker read the last error from the log file.
void report(const Error& error, const LogFile& log) {
    const std::string time = format_rfc3339(Timestamp{Timestamp::now().seconds() * 1'000'000'000});
    const std::string quoted = json::serialize(json::Value(error.message()));
    std::string text = "time=\"" + time + "\" level=error msg=" + quoted + "\n";
    print(STDERR_FILENO, text);
    if (log.path.empty()) {
        return;
    }
    if (log.as_json) {
        text = "{\"level\":\"error\",\"msg\":" + quoted + ",\"time\":\"" + time + "\"}\n";
    }
    Result<UniqueFd> file = open_file(log.path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file.ok()) {
        [[maybe_unused]] Result<void> written = write_all(*file, text);
    }
}

Result<Flags> parse_globals(const std::vector<std::string>& arguments) {
    return Flags::parse(
        arguments,
        {{"root", "", FlagKind::Value},
         {"log", "", FlagKind::Value},
         {"log-format", "", FlagKind::Value},
         {"criu", "", FlagKind::Value},
         {"rootless", "", FlagKind::Value},
         {"debug", "", FlagKind::Switch},
         {"systemd-cgroup", "", FlagKind::Switch},
         {"version", "v", FlagKind::Switch},
         {"help", "h", FlagKind::Switch}});
}

Result<int> dispatch(const Flags& flags) {
    if (flags.is_set("systemd-cgroup")) {
        return not_implemented("--systemd-cgroup is not implemented: use the cgroupfs driver");
    }
    if (flags.value("rootless") == "true") {
        return not_implemented("--rootless is not implemented");
    }
    Globals globals;
    if (!flags.value("root").empty()) {
        globals.root = flags.value("root");
    }
    const std::string& name = flags.rest()[0];
    for (const Command& command : commands) {
        if (command.name == name) {
            return command.run(globals, Arguments(flags.rest().begin() + 1, flags.rest().end()));
        }
    }
    return invalid_argument("unknown command \"" + name + "\"");
}

} // namespace

int run(const std::vector<std::string>& arguments) {
    Result<Flags> flags = parse_globals(arguments);
    if (!flags.ok()) {
        report(flags.error(), {});
        return 1;
    }
    if (flags->is_set("version")) {
        print(STDOUT_FILENO, "berth-runtime version " BERTH_VERSION "\nspec: 1.2.0\n");
        return 0;
    }
    if (flags->is_set("help") || flags->rest().empty() || flags->rest()[0] == "help") {
        print_usage(STDOUT_FILENO);
        return 0;
    }
    const LogFile log{flags->value("log"), flags->value("log-format") == "json"};
    Result<int> status = dispatch(*flags);
    if (!status.ok()) {
        report(status.error(), log);
        return 1;
    }
    return *status;
}

bool enters_containers(const std::vector<std::string>& arguments) {
    Result<Flags> flags = parse_globals(arguments);
    if (!flags.ok() || flags->rest().empty()) {
        return false;
    }
    const std::string& name = flags->rest()[0];
    return name == "create" || name == "run" || name == "exec";
}

} // namespace berth::runtime::command_line
