// SPDX-License-Identifier: Apache-2.0
// Finds the command among the words and runs it.
#include "cli/main_command.h"

#include "base/build_commit.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/spelling.h"

#include <algorithm>

namespace berth::cli {

namespace {

struct GlobalFlags {
    SessionOptions session;
    bool version = false;
    bool debug = false;
    std::string log_level;
    std::string context;

    void declare(Flags& flags) {
        flags.text("config", 0, session.config, "Location of client config files");
        flags.text("context", 'c', context, "Name of the context to use to connect to the daemon");
        flags.boolean("debug", 'D', debug, "Enable debug mode");
        flags.text("host", 'H', session.host, "Daemon socket to connect to");
        flags.text(
            "log-level",
            'l',
            log_level,
            "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")");
        flags.boolean("tls", 0, session.tls.enabled, "Use TLS; implied by --tlsverify");
        flags.text("tlscacert", 0, session.tls.ca_file, "Trust certs signed only by this CA");
        flags.text("tlscert", 0, session.tls.certificate_file, "Path to TLS certificate file");
        flags.text("tlskey", 0, session.tls.key_file, "Path to TLS key file");
        flags.boolean("tlsverify", 0, session.tls.verify, "Use TLS and verify the remote");
        flags.boolean("version", 'v', version, "Print version information and quit");
    }
};

std::string command_lines(bool common, std::string_view group) {
    std::string text;
    for (const Command& command : all_commands()) {
        bool grouped = command.path.find(' ') != std::string_view::npos;
        bool wanted =
            group.empty() ? common == !grouped : command.path.starts_with(std::string(group) + " ");
        if (wanted) {
            std::string name =
                "  " +
                std::string(group.empty() ? command.path : command.path.substr(group.size() + 1));
            name.resize(std::max<std::size_t>(name.size() + 2, 14), ' ');
            text += name + std::string(command.summary) + "\n";
        }
    }
    return text;
}

std::string overview(const Flags& flags) {
    return "Usage:  berth [OPTIONS] COMMAND\n\nPackage, run and ship any software\n\nCommands:\n" +
           command_lines(true, "") +
           "\nGroups: builder, container, image, network, system, volume (berth image --help lists "
           "its "
           "commands)\n\nGlobal Options:\n" +
           flags.help() + "\nRun 'berth COMMAND --help' for more information on a command.\n";
}

bool is_group(std::string_view word) {
    std::string prefix = std::string(word) + " ";
    return std::ranges::any_of(
        all_commands(), [&](const Command& command) { return command.path.starts_with(prefix); });
}

const Command* find_command(std::string_view path) {
    auto found = std::ranges::find_if(
        all_commands(), [&](const Command& command) { return command.path == path; });
    return found == all_commands().end() ? nullptr : &*found;
}

int unknown_command(const std::string& path) {
    print_error(
        "berth: unknown command: berth " + path + "\n\nRun 'berth --help' for more information\n");
    return 1;
}

int run_command(Session& session, const Command& command, std::vector<std::string> arguments) {
    Result<int> code = command.run(session, Invocation{command, std::move(arguments)});
    if (!code.ok()) {
        print_error("berth: " + code.error().message() + "\n");
        return 1;
    }
    return *code;
}

} // namespace

int run_command_line(const std::string& executable, const std::vector<std::string>& arguments) {
    Flags flags(Flags::Interspersed::No);
    GlobalFlags global;
    global.declare(flags);
    Result<std::vector<std::string>> words = flags.parse(arguments);
    if (!words.ok()) {
        print_error(
            "berth: " + words.error().message() + "\n\nRun 'berth --help' for more information\n");
        return usage_error_code;
    }
    if (global.version) {
        const std::string commit(build_commit());
        return print("Berth version " BERTH_VERSION ", build " + commit + "\n").ok() ? 0 : 1;
    }
    if (flags.help_requested() || words->empty() || (*words)[0] == "help") {
        return print(overview(flags)).ok() ? 0 : 1;
    }
    if (!global.context.empty() && global.context != "default") {
        print_error("berth: contexts are not supported: use --host or DOCKER_HOST\n");
        return 1;
    }
    global.session.executable = executable;
    Session session(global.session);
    std::string path = (*words)[0];
    std::size_t used = 1;
    // "port" is a command, and a group as well.
    const bool is_command = find_command(path) != nullptr;
    const auto names_subcommand = [&] {
        return words->size() > 1 &&
               find_command(first_spelling(path + " " + (*words)[1])) != nullptr;
    };
    if (is_group(path) && (!is_command || names_subcommand())) {
        if (words->size() == 1 || (*words)[1].starts_with('-')) {
            std::string text =
                "Usage:  berth " + path + " COMMAND\n\nCommands:\n" + command_lines(false, path);
            return print(text).ok() ? 0 : 1;
        }
        path += " " + (*words)[1];
        used = 2;
    }
    const Command* command = find_command(first_spelling(path));
    if (!command) {
        return unknown_command(path);
    }
    return run_command(
        session,
        *command,
        std::vector<std::string>(words->begin() + static_cast<std::ptrdiff_t>(used), words->end()));
}

} // namespace berth::cli
