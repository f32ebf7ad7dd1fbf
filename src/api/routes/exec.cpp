// SPDX-License-Identifier: Apache-2.0
// /exec: further processes in running containers.
#include "api/wire/exec.h"

#include "api/context.h"
#include "api/hijack.h"
#include "api/route.h"
#include "base/log.h"

#include <array>

namespace berth::api {

namespace {

Result<void> create_exec(Context& context) {
    auto document = TRY(context.json_body()).value_or(json::Value(json::Object{}));
    wire::widen_command(document);
    auto body = json::decode<engine::ExecConfig>(document);
    if (!body.ok()) {
        return std::move(body).error().with_context("invalid JSON");
    }
    if (body->cmd.empty()) {
        return invalid_argument("No exec command specified");
    }
    if (context.before(42)) {
        body->console_size.reset();
    }
    const std::string id =
        TRY(context.engine().execs().create(context.parameter(), *std::move(body)));
    return context.reply(201, json::Object{{"Id", id}});
}

Result<void> start_exec(Context& context) {
    auto body = TRY(context.decode_body<wire::ExecStartBody>());
    const std::string& id = context.parameter();
    if (context.before(42) || !body.tty) {
        body.console_size.reset();
    }
    TRY(context.engine().execs().check_start(id));
    engine::ExecStart options{
        .detach = body.detach, .tty = body.tty, .console_size = body.console_size};
    if (body.detach) {
        TRY(context.engine().execs().start(id, options, std::nullopt));
        return context.reply_empty(200);
    }
    auto hijacked = TRY(hijack_stream(context, body.tty ? Streams::Raw : Streams::Multiplexed));
    auto started = context.engine().execs().start(
        id,
        options,
        engine::ExecStream{
            .connection = std::move(hijacked.fd), .leftover = std::move(hijacked.leftover)});
    if (!started.ok()) {
        // The head is sent: the stream has told the client what there was to tell.
        log::debug("exec did not start", {{"exec", id}, {"error", started.error().message()}});
    }
    return ok();
}

Result<void> resize_exec(Context& context) {
    const auto height = TRY(context.terminal_dimension("h"));
    const auto width = TRY(context.terminal_dimension("w"));
    TRY(context.engine().execs().resize(context.parameter(), height, width));
    return context.reply_empty(200);
}

Result<void> inspect_exec(Context& context) {
    const auto exec = TRY(context.engine().execs().inspect(context.parameter()));
    return context.reply(200, wire::encode_exec(exec));
}

} // namespace

std::span<const Route> exec_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/containers/{id}/exec", create_exec},
        {"POST", "/exec/{id}/start", start_exec},
        {"POST", "/exec/{id}/resize", resize_exec},
        {"GET", "/exec/{id}/json", inspect_exec},
    });
    return routes;
}

} // namespace berth::api
