// SPDX-License-Identifier: Apache-2.0
// attach, start -a and exec: a person's streams on something that runs or is about to.
#include "base/strings.h"
#include "cli/attach_session.h"
#include "cli/commands/commands.h"
#include "cli/exit_wait.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_options.h"
#include "cli/session.h"
#include "io/terminal.h"

#include <cstdlib>

#include <unistd.h>

namespace berth::cli::commands {

namespace {

// attach and exec end so, with exit code 1; run and start, which made what runs on, end well.
Error detached() {
    return Error(ErrorKind::Cancelled, "read escape sequence");
}

struct AttachTo {
    std::string container;
    bool input = true;
    bool signal_proxy = true;
    std::string detach_keys;
    bool start = false;
};

Result<int> attach_to(Session& session, const AttachTo& what) {
    std::string path = "/containers/" + percent_encode(what.container);
    json::Value container = TRY(session.get(path + "/json"));
    const json::Value* config = json::find(container, "Config");
    const json::Value* state = json::find(container, "State");
    if (!what.start && state && !flag_of(*state, "Running")) {
        return conflict("You cannot attach to a stopped container, start it first");
    }
    bool terminal = config && flag_of(*config, "Tty");
    bool input = what.input && config && flag_of(*config, "OpenStdin");
    if (terminal && input && !io::is_terminal(FdRef::unowned(STDIN_FILENO))) {
        return invalid_argument("the input device is not a TTY");
    }
    AttachSession attached = TRY(AttachSession::create(
        session,
        {.terminal = terminal,
         .input = input,
         .resize_target = path + "/resize",
         .detach_keys = what.detach_keys,
         .signal_target = what.signal_proxy && !terminal ? path + "/kill" : ""}));
    Query query;
    query.add("stream", true);
    query.add("stdin", input);
    query.add("stdout", true);
    query.add("stderr", true);
    if (!what.detach_keys.empty()) {
        query.add("detachKeys", what.detach_keys);
    }
    Session::Hijacked connection = TRY(session.hijack(path + "/attach" + query.text()));
    ExitWait wait = TRY(ExitWait::open(session, path, what.start ? "next-exit" : "not-running"));
    if (what.start) {
        TRY(session.post(path + "/start"));
    }
    attached.send_size();
    if (TRY(attached.run(std::move(connection))) == AttachSession::End::Detached) {
        return what.start ? Result<int>(0) : detached();
    }
    return static_cast<int>(number_of(TRY(wait.finish()), "StatusCode"));
}

struct ExecFlags {
    bool detach = false;
    bool interactive = false;
    bool tty = false;
    bool privileged = false;
    std::vector<std::string> environment;
    std::vector<std::string> environment_files;
    std::string user;
    std::string working_directory;
    std::string detach_keys;
};

Result<json::Value> exec_body(const ExecFlags& flags, const std::vector<std::string>& arguments) {
    json::Array environment = TRY(collect_environment(flags.environment, flags.environment_files));
    json::Array command;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        command.emplace_back(arguments[i]);
    }
    return json::Value(json::Object{
        {"AttachStdin", flags.interactive && !flags.detach},
        {"AttachStdout", !flags.detach},
        {"AttachStderr", !flags.detach},
        {"DetachKeys", flags.detach_keys},
        {"Tty", flags.tty},
        {"Privileged", flags.privileged},
        {"User", flags.user},
        {"WorkingDir", flags.working_directory},
        {"Env", std::move(environment)},
        {"Cmd", std::move(command)}});
}

Result<int> exec_attached(Session& session, const ExecFlags& flags, const std::string& id) {
    AttachSession attached = TRY(AttachSession::create(
        session,
        {.terminal = flags.tty,
         .input = flags.interactive,
         .resize_target = "/exec/" + id + "/resize",
         .detach_keys = flags.detach_keys,
         .signal_target = ""}));
    json::Object start{{"Detach", false}, {"Tty", flags.tty}};
    if (flags.tty) {
        Result<io::TerminalSize> size = io::terminal_size(FdRef::unowned(STDOUT_FILENO));
        if (size.ok()) {
            start["ConsoleSize"] = json::Array{size->rows, size->columns};
        }
    }
    Session::Hijacked connection =
        TRY(session.hijack("/exec/" + id + "/start", json::Value(std::move(start))));
    attached.send_size();
    if (TRY(attached.run(std::move(connection))) == AttachSession::End::Detached) {
        return detached();
    }
    json::Value ended = TRY(get_again(session, "/exec/" + id + "/json"));
    return static_cast<int>(number_of(ended, "ExitCode"));
}

int exec_failure_code(const std::string& message) {
    if (message.find("executable file not found") != std::string::npos ||
        message.find("no such file or directory") != std::string::npos) {
        return 127;
    }
    return message.find("permission denied") != std::string::npos ? 126 : 1;
}

} // namespace

Result<int> attach(Session& session, const Invocation& invocation) {
    Flags flags;
    bool no_stdin = false;
    AttachTo what;
    flags.boolean("no-stdin", 0, no_stdin, "Do not attach STDIN");
    flags.boolean("sig-proxy", 0, what.signal_proxy, "Proxy all received signals to the process");
    flags.text(
        "detach-keys", 0, what.detach_keys, "Override the key sequence for detaching a container");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    what.container = names[0];
    what.input = !no_stdin;
    return attach_to(session, what);
}

Result<int> start(Session& session, const Invocation& invocation) {
    Flags flags;
    bool attached = false;
    AttachTo what;
    what.start = true;
    what.input = false;
    flags.boolean("attach", 'a', attached, "Attach STDOUT/STDERR and forward signals");
    flags.boolean("interactive", 'i', what.input, "Attach container's STDIN");
    flags.text(
        "detach-keys", 0, what.detach_keys, "Override the key sequence for detaching a container");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    if (attached || what.input) {
        if (names.size() > 1) {
            return invalid_argument("you cannot start and attach multiple containers at once");
        }
        what.container = names[0];
        return attach_to(session, what);
    }
    std::vector<std::string> failed;
    for (const std::string& name : names) {
        Result<json::Value> started =
            session.post("/containers/" + percent_encode(name) + "/start");
        if (started.ok() || started.error().kind() == ErrorKind::NotModified) {
            TRY(print(name + "\n"));
        } else {
            print_error("berth: " + started.error().message() + "\n");
            failed.push_back(name);
        }
    }
    if (!failed.empty()) {
        print_error("berth: failed to start containers: " + join(failed, ", ") + "\n");
    }
    return failed.empty() ? 0 : 1;
}

Result<int> exec(Session& session, const Invocation& invocation) {
    Flags flags(Flags::Interspersed::No);
    ExecFlags chosen;
    flags.boolean("detach", 'd', chosen.detach, "Detached mode: run command in the background");
    flags.text(
        "detach-keys",
        0,
        chosen.detach_keys,
        "Override the key sequence for detaching a container");
    flags.list("env", 'e', chosen.environment, "Set environment variables");
    flags.list("env-file", 0, chosen.environment_files, "Read in a file of environment variables");
    flags.boolean("interactive", 'i', chosen.interactive, "Keep STDIN open even if not attached");
    flags.boolean("privileged", 0, chosen.privileged, "Give extended privileges to the command");
    flags.boolean("tty", 't', chosen.tty, "Allocate a pseudo-TTY");
    flags.text("user", 'u', chosen.user, "Username or UID (format: \"<name|uid>[:<group|gid>]\")");
    flags.text("workdir", 'w', chosen.working_directory, "Working directory inside the container");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2);
    if (chosen.tty && chosen.interactive && !chosen.detach &&
        !io::is_terminal(FdRef::unowned(STDIN_FILENO))) {
        return invalid_argument("the input device is not a TTY");
    }
    Result<json::Value> body = exec_body(chosen, arguments);
    if (!body.ok()) {
        print_error("berth: " + body.error().message() + "\n");
        return usage_error_code;
    }
    json::Value created =
        TRY(session.post("/containers/" + percent_encode(arguments[0]) + "/exec", *body));
    std::string id = text_of(created, "Id");
    Result<int> code = [&]() -> Result<int> {
        if (chosen.detach) {
            TRY(session.post(
                "/exec/" + id + "/start", json::Value(json::Object{{"Detach", true}})));
            return 0;
        }
        return exec_attached(session, chosen, id);
    }();
    if (!code.ok()) {
        print_error("berth: " + code.error().message() + "\n");
        return chosen.detach ? 1 : exec_failure_code(code.error().message());
    }
    return code;
}

} // namespace berth::cli::commands
