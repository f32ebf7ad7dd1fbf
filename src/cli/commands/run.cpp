// SPDX-License-Identifier: Apache-2.0
// run and create: a container from an image, with the image pulled where it is missing.
#include "base/file.h"
#include "base/strings.h"
#include "cli/attach_session.h"
#include "cli/commands/commands.h"
#include "cli/commands/pull.h"
#include "cli/exit_wait.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_options.h"
#include "cli/session.h"
#include "io/terminal.h"

#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr int engine_error = 125;
constexpr int cannot_invoke = 126;
constexpr int not_found_inside = 127;

// The exit codes of a shell for a command that cannot be run or is not there; 125 for the rest.
int exit_code_of(const Error& error) {
    const std::string& text = error.message();
    auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
    if (has("executable file not found") || has("no such file or directory") ||
        has("system cannot find the file")) {
        return has("exec:") || has("executable file") ? not_found_inside : engine_error;
    }
    if (has("permission denied") || has("is a directory") || has("exec format error")) {
        return has("exec") ? cannot_invoke : engine_error;
    }
    return engine_error;
}

int report(const Invocation& invocation, const Error& error) {
    print_error(
        "berth: " + error.message() + "\n\nRun 'berth " + std::string(invocation.command.path) +
        " --help' for more information\n");
    return exit_code_of(error);
}

Result<json::Value> create_container(
    Session& session,
    const RunOptions& options,
    const std::string& image,
    const json::Value& body) {
    const auto pull = [&]() -> Result<void> {
        const auto reference = TRY(oci::Reference::parse_normalized(image));
        return pull_image(
            session,
            {.reference = reference.with_default_tag(), .platform = options.platform},
            PullOutput::Stderr);
    };
    auto create = [&] { return session.post("/containers/create" + options.create_query(), body); };
    if (options.pull == "always") {
        TRY(pull());
    } else if (options.pull != "missing" && options.pull != "never") {
        return invalid_argument(
            "invalid pull option: '" + options.pull +
            "': must be one of \"always\", \"missing\" or \"never\"");
    }
    Result<json::Value> created = create();
    bool missing = !created.ok() && created.error().kind() == ErrorKind::NotFound &&
                   created.error().message().find("No such image") != std::string::npos;
    if (!missing || options.pull != "missing") {
        return created;
    }
    print_error("Unable to find image '" + TRY(familiar_with_tag(image)) + "' locally\n");
    TRY(pull());
    return create();
}

Result<void> write_cid_file(const std::string& path, const std::string& id) {
    if (path.empty()) {
        return ok();
    }
    return replace_file(path, id, 0644, Sync::No);
}

struct Attachment {
    bool input = false;
    bool output = false;
    bool error = false;

    bool any() const { return input || output || error; }
};

Attachment attachment_of(const json::Value& body) {
    return {
        flag_of(body, "AttachStdin"), flag_of(body, "AttachStdout"), flag_of(body, "AttachStderr")};
}

std::string
attach_target(const std::string& id, const Attachment& attachment, const std::string& detach_keys) {
    Query query;
    query.add("stream", true);
    query.add("stdin", attachment.input);
    query.add("stdout", attachment.output);
    query.add("stderr", attachment.error);
    if (!detach_keys.empty()) {
        query.add("detachKeys", detach_keys);
    }
    return "/containers/" + id + "/attach" + query.text();
}

Result<int> run_attached(
    Session& session,
    const RunOptions& options,
    const std::string& id,
    const Attachment& attachment,
    bool proxy) {
    AttachSession attached = TRY(AttachSession::create(
        session,
        {.terminal = options.tty,
         .input = attachment.input,
         .resize_target = "/containers/" + id + "/resize",
         .detach_keys = options.detach_keys,
         .signal_target = proxy ? "/containers/" + id + "/kill" : ""}));
    Session::Hijacked connection =
        TRY(session.hijack(attach_target(id, attachment, options.detach_keys)));
    ExitWait wait =
        TRY(ExitWait::open(session, "/containers/" + id, options.remove ? "removed" : "next-exit"));
    TRY(session.post("/containers/" + id + "/start"));
    attached.send_size();
    if (TRY(attached.run(std::move(connection))) == AttachSession::End::Detached) {
        return 0;
    }
    return exit_code_in(TRY(wait.finish()));
}

struct RunFlags {
    RunOptions options;
    bool detach = false;
    bool signal_proxy = true;
    std::string cid_file;
    bool quiet = false;
};

Result<int>
run_container(Session& session, const RunFlags& flags, const std::vector<std::string>& arguments) {
    const RunOptions& options = flags.options;
    json::Value body = TRY(options.create_body(arguments));
    json::Object& config = body.as_object();
    if (flags.detach) {
        if (!options.attach.empty()) {
            return invalid_argument(
                "conflicting options: cannot specify both --attach and --detach");
        }
        for (const char* stream : {"AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"}) {
            config[stream] = false;
        }
    }
    Attachment attachment = attachment_of(body);
    if (options.tty && attachment.input && !io::is_terminal(FdRef::unowned(STDIN_FILENO))) {
        return invalid_argument("the input device is not a TTY");
    }
    json::Value created = TRY(create_container(session, options, arguments[0], body));
    print_warnings(created);
    std::string id = text_of(created, "Id");
    TRY(write_cid_file(flags.cid_file, id));
    if (flags.detach || !attachment.any()) {
        TRY(session.post("/containers/" + id + "/start"));
        TRY(print(id + "\n"));
        return 0;
    }
    return run_attached(session, options, id, attachment, flags.signal_proxy && !options.tty);
}

} // namespace

Result<int> run(Session& session, const Invocation& invocation) {
    Flags flags(Flags::Interspersed::No);
    RunFlags chosen;
    chosen.options.declare(flags);
    flags.boolean(
        "detach", 'd', chosen.detach, "Run container in background and print container ID");
    flags.boolean("sig-proxy", 0, chosen.signal_proxy, "Proxy received signals to the process");
    flags.text("cidfile", 0, chosen.cid_file, "Write the container ID to the file");
    flags.boolean("quiet", 'q', chosen.quiet, "Suppress the pull output");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1);
    Result<int> code = run_container(session, chosen, arguments);
    return code.ok() ? code : Result<int>(report(invocation, code.error()));
}

Result<int> create(Session& session, const Invocation& invocation) {
    Flags flags(Flags::Interspersed::No);
    RunOptions options;
    std::string cid_file;
    options.declare(flags);
    flags.text("cidfile", 0, cid_file, "Write the container ID to the file");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1);
    auto create = [&]() -> Result<int> {
        json::Value body = TRY(options.create_body(arguments));
        json::Value created = TRY(create_container(session, options, arguments[0], body));
        print_warnings(created);
        TRY(write_cid_file(cid_file, text_of(created, "Id")));
        TRY(print(text_of(created, "Id") + "\n"));
        return 0;
    };
    Result<int> code = create();
    if (!code.ok()) {
        (void)report(invocation, code.error());
        return 1; // nothing was to run: docker's 125 to 127 are those of run and exec
    }
    return code;
}

} // namespace berth::cli::commands
