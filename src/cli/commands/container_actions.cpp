// SPDX-License-Identifier: Apache-2.0
// Commands that do one thing to each container named: stop, kill, rm and their like.
#include "cli/commands/commands.h"
#include "cli/exit_wait.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_options.h"
#include "cli/session.h"

#include <functional>

namespace berth::cli::commands {

namespace {

// Goes on after a failure, as docker does, and fails in the end.
Result<int> for_each_name(
    const std::vector<std::string>& names,
    const std::function<Result<void>(const std::string&)>& act) {
    int exit_code = 0;
    for (const std::string& name : names) {
        Result<void> done = act(name);
        if (done.ok()) {
            TRY(print(name + "\n"));
        } else {
            print_error("berth: " + done.error().message() + "\n");
            exit_code = 1;
        }
    }
    return exit_code;
}

std::string path_of(const std::string& name, std::string_view action) {
    return "/containers/" + percent_encode(name) + "/" + std::string(action);
}

Result<int> simple_action(Session& session, const Invocation& invocation, std::string_view action) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        TRY(session.post(path_of(name, action)));
        return ok();
    });
}

Result<int> timed_action(Session& session, const Invocation& invocation, std::string_view action) {
    Flags flags;
    std::optional<std::int64_t> timeout;
    std::string signal;
    flags.number("timeout", 't', timeout, "Seconds to wait before killing the container");
    flags.number("time", 0, timeout, "Seconds to wait before killing the container");
    flags.text("signal", 's', signal, "Signal to send to the container");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    Query query;
    if (timeout) {
        query.add("t", std::to_string(*timeout));
    }
    if (!signal.empty()) {
        query.add("signal", signal);
    }
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        Result<json::Value> done = session.post(path_of(name, action) + query.text());
        if (!done.ok() && done.error().kind() != ErrorKind::NotModified) {
            return std::move(done).error();
        }
        return ok();
    });
}

} // namespace

Result<int> stop(Session& session, const Invocation& invocation) {
    return timed_action(session, invocation, "stop");
}

Result<int> restart(Session& session, const Invocation& invocation) {
    return timed_action(session, invocation, "restart");
}

Result<int> pause(Session& session, const Invocation& invocation) {
    return simple_action(session, invocation, "pause");
}

Result<int> unpause(Session& session, const Invocation& invocation) {
    return simple_action(session, invocation, "unpause");
}

Result<int> kill(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string signal;
    flags.text("signal", 's', signal, "Signal to send to the container");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    Query query;
    if (!signal.empty()) {
        query.add("signal", signal);
    }
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        TRY(session.post(path_of(name, "kill") + query.text()));
        return ok();
    });
}

Result<int> rename(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 2, .most = 2);
    Query query;
    query.add("name", names[1]);
    TRY(session.post(path_of(names[0], "rename") + query.text()));
    return 0;
}

Result<int> rm(Session& session, const Invocation& invocation) {
    Flags flags;
    bool force = false;
    bool volumes = false;
    bool link = false;
    flags.boolean("force", 'f', force, "Force the removal of a running container (uses SIGKILL)");
    flags.boolean(
        "volumes", 'v', volumes, "Remove anonymous volumes associated with the container");
    flags.boolean("link", 'l', link, "Remove the specified link");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    Query query;
    if (force) {
        query.add("force", true);
    }
    if (volumes) {
        query.add("v", true);
    }
    if (link) {
        query.add("link", true);
    }
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        Result<json::Value> done =
            session.remove("/containers/" + percent_encode(name) + query.text());
        // With --force an absent container is what was asked for.
        if (!done.ok() && !(force && done.error().kind() == ErrorKind::NotFound)) {
            return std::move(done).error();
        }
        return ok();
    });
}

Result<int> update(Session& session, const Invocation& invocation) {
    Flags flags;
    RunOptions options;
    options.declare_update(flags);
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    const json::Value body = TRY(options.update_body());
    if (body.as_object().empty()) {
        return invalid_argument("you must provide one or more flags when using this command");
    }
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        print_warnings(TRY(session.post(path_of(name, "update"), body)));
        return ok();
    });
}

Result<int> wait(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    int exit_code = 0;
    for (const std::string& name : names) {
        auto ended = [&]() -> Result<json::Value> {
            const std::string path = "/containers/" + percent_encode(name);
            ExitWait waiting = TRY(ExitWait::open(session, path, "not-running"));
            return waiting.finish();
        }();
        if (ended.ok()) {
            TRY(print(std::to_string(number_of(*ended, "StatusCode")) + "\n"));
        } else {
            print_error("berth: " + ended.error().message() + "\n");
            exit_code = 1;
        }
    }
    return exit_code;
}

} // namespace berth::cli::commands
