// SPDX-License-Identifier: Apache-2.0
// Global flags, dispatching, and where the state lies.
#include "runtime/command_line/command_line.h"

#include "base/boolean.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernel/id_mapping.h"
#include "runtime/command_line/command_table.h"
#include "runtime/command_line/log_output.h"

#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

constexpr std::string_view system_root = "/run/berth-runtime";

constexpr FlagSpec help_flag{"help", "h", FlagKind::Switch, {}};

void print(std::string_view text) {
    [[maybe_unused]] Result<void> written = write_all(FdRef::unowned(STDOUT_FILENO), text);
}

Result<Flags> parse_globals(const std::vector<std::string>& arguments) {
    return Flags::parse(arguments, global_flags(), FlagOrder::First);
}

Result<Rootless> parse_rootless(const Flags& flags) {
    const std::string text = flags.value("rootless");
    if (text.empty() || text == "auto") {
        return Rootless::Auto;
    }
    if (const auto wanted = parse_boolean(text)) {
        return *wanted ? Rootless::Yes : Rootless::No;
    }
    return invalid_argument(
        "invalid value \"" + text + "\" for --rootless: it is true, false or auto");
}

// /tmp belongs to everybody: what somebody else has put there is not ours.
Result<std::string> root_in_tmp() {
    std::string path = "/tmp/berth-runtime-" + std::to_string(::geteuid());

    struct stat status {};

    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) {
        return errno_error("make " + path);
    }
    if (::lstat(path.c_str(), &status) < 0) {
        return errno_error(path);
    }
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
        return Error(
            ErrorKind::Forbidden,
            path + " is not a private folder of this user: use --root or XDG_RUNTIME_DIR");
    }
    return path;
}

// runc: with a user's session, also root's in a user namespace, the state is the session's.
Result<std::string> default_root() {
    const bool is_root = ::geteuid() == 0;
    if (is_root && !kernel::in_user_namespace()) {
        return std::string(system_root);
    }
    const char* session = std::getenv("XDG_RUNTIME_DIR");
    const char* user = std::getenv("USER");
    if (session != nullptr && *session == '/' &&
        !(is_root && user != nullptr && std::string_view(user) == "root")) {
        return std::string(session) + "/berth-runtime";
    }
    return is_root ? Result<std::string>(std::string(system_root)) : root_in_tmp();
}

// How many descriptors behind the standard ones are open without a gap.
int count_descriptors() {
    constexpr int most = 1024;
    int count = 0;
    while (count < most && ::fcntl(3 + count, F_GETFD) >= 0) {
        ++count;
    }
    return count;
}

Result<int> dispatch(const Flags& flags, int passed_descriptors) {
    const std::vector<std::string> arguments(flags.rest().begin() + 1, flags.rest().end());
    const std::string& name = flags.rest()[0];
    const Command* command = find_command(name);
    if (command == nullptr) {
        return invalid_argument("no such command: " + name);
    }
    std::vector<FlagSpec> specs(command->flags.begin(), command->flags.end());
    specs.push_back(help_flag);
    Flags own = TRY(Flags::parse(arguments, specs, command->order));
    if (own.is_set("help")) {
        print(command_help(*command));
        return 0;
    }
    TRY(check_arguments(*command, own));
    const Rootless rootless = TRY(parse_rootless(flags));
    Globals globals{
        .root = flags.value("root"),
        .root_is_given = flags.is_given("root"),
        .rootless = rootless,
        .systemd_cgroup = flags.is_set("systemd-cgroup"),
        .passed_descriptors = passed_descriptors};
    if (globals.root.empty()) {
        globals.root = TRY(default_root());
    }
    log::debug("command", {{"name", name}, {"root", globals.root}});
    return command->run(globals, own);
}

void print_help(const Flags& flags) {
    const Command* command = flags.rest().size() > 1 ? find_command(flags.rest()[1]) : nullptr;
    print(command != nullptr ? command_help(*command) : program_help());
}

} // namespace

int run(const std::vector<std::string>& arguments) {
    Result<Flags> flags = parse_globals(arguments);
    if (!flags.ok()) {
        report(flags.error());
        return 1;
    }
    if (flags->is_set("version")) {
        print("berth-runtime version " BERTH_VERSION "\nspec: 1.3.0\n");
        return 0;
    }
    if (flags->is_set("help") || flags->rest().empty() || flags->rest()[0] == "help" ||
        flags->rest()[0] == "h") {
        print_help(*flags);
        return 0;
    }
    const int passed = count_descriptors(); // before we open any
    Result<void> log = open_log(
        {.path = flags->value("log"),
         .format = flags->value("log-format"),
         .debug = flags->is_set("debug")});
    Result<int> status = log.ok() ? dispatch(*flags, passed) : Result<int>(std::move(log).error());
    if (!status.ok()) {
        report(status.error());
        return 1;
    }
    log::debug("command ended", {{"status", *status}});
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
