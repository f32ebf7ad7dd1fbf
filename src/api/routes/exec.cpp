// SPDX-License-Identifier: Apache-2.0
// /exec: further processes in running containers.
#include "api/wire/exec.h"

#include "api/context.h"
#include "api/hijack.h"
#include "api/route.h"
#include "base/log.h"
#include "base/strings.h"

#include <array>

namespace berth::api {

namespace {

Result<void> create(Context& context) {
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

Result<void> start(Context& context) {
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

Result<std::uint32_t> dimension(const Context& context, std::string_view name) {
    auto value = parse_number<std::uint32_t>(context.query(name));
    if (!value.ok()) {
        return invalid_argument(
            "invalid resize " + std::string(name == "h" ? "height" : "width") + " \"" +
            context.query(name) + "\": invalid syntax");
    }
    return *value;
}

Result<void> resize(Context& context) {
    const auto height = TRY(dimension(context, "h"));
    const auto width = TRY(dimension(context, "w"));
    TRY(context.engine().execs().resize(context.parameter(), height, width));
    return context.reply_empty(200);
}

Result<void> inspect(Context& context) {
    const auto exec = TRY(context.engine().execs().inspect(context.parameter()));
    return context.reply(200, wire::encode_exec(exec));
}

constexpr auto routes = std::to_array<Route>({
    {"POST", "/containers/{id}/exec", create},
    {"POST", "/exec/{id}/start", start},
    {"POST", "/exec/{id}/resize", resize},
    {"GET", "/exec/{id}/json", inspect},
});

} // namespace

std::span<const Route> exec_routes() {
    return routes;
}

} // namespace berth::api
