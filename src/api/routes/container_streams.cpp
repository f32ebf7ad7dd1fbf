// SPDX-License-Identifier: Apache-2.0
// /containers: what streams or waits. Attach leaves the daemon with its connection; the others wait
// in the server's loop without a thread.
#include "api/context.h"
#include "api/hijack.h"
#include "api/later.h"
#include "api/log_stream.h"
#include "api/route.h"
#include "api/stats_stream.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/synchronized.h"

#include <array>

namespace berth::api {

namespace {

using engine::WaitCondition;

// ---- attach ----

engine::AttachOptions attach_options(const Context& context) {
    return {
        .logs = context.flag("logs"),
        .stream = context.flag("stream"),
        .standard_input = context.flag("stdin"),
        .standard_output = context.flag("stdout"),
        .standard_error = context.flag("stderr"),
        .detach_keys = context.query("detachKeys"),
    };
}

// The head is sent: closing the connection is all that is left to say of an error.
void attach_stream(
    const Context& context, const engine::AttachOptions& options, engine::AttachStream stream) {
    const std::string& container = context.parameter();
    auto attached = context.engine().containers().attach(container, options, std::move(stream));
    if (!attached.ok()) {
        log::debug(
            "attach failed", {{"container", container}, {"error", attached.error().message()}});
    }
}

Result<void> attach_container(Context& context) {
    const engine::AttachOptions options = attach_options(context);
    const bool tty = TRY(context.engine().containers().check_attach(context.parameter(), options));
    auto hijacked = TRY(hijack_stream(context, tty ? Streams::Raw : Streams::Multiplexed));
    attach_stream(
        context,
        options,
        {.connection = std::move(hijacked.fd), .leftover = std::move(hijacked.leftover)});
    return ok();
}

// https://github.com/moby/moby/blob/v28.5.2/api/server/router/container/container_routes.go
// (wsContainersAttach): messages are bare bytes, of text before 1.28; before 1.42 all three streams
// are attached whatever the query says.
Result<void> attach_websocket(Context& context) {
    engine::AttachOptions options = attach_options(context);
    options.multiplexed = false;
    if (context.before(42)) {
        options.standard_input = true;
        options.standard_output = true;
        options.standard_error = true;
    }
    TRY(context.engine().containers().check_attach(context.parameter(), options));
    TRY(context.discard_body());
    UniqueFd connection = TRY(context.response().hijack_websocket(
        context.before(28) ? http::Websocket::Kind::Text : http::Websocket::Kind::Binary));
    attach_stream(context, options, {.connection = std::move(connection), .leftover = {}});
    return ok();
}

// ---- wait ----

Result<WaitCondition> wait_condition(const Context& context) {
    const std::string text = context.before(30) ? "" : context.query("condition");
    if (text.empty() || text == "not-running") {
        return WaitCondition::NotRunning;
    }
    if (text == "next-exit") {
        return WaitCondition::NextExit;
    }
    if (text == "removed") {
        return WaitCondition::Removed;
    }
    return invalid_argument("invalid condition: \"" + text + "\"");
}

std::string wait_answer(const engine::ExitResult& result) {
    json::Object answer{{"StatusCode", result.exit_code}};
    if (!result.error.empty()) {
        answer["Error"] = json::Object{{"Message", result.error}};
    }
    return json::serialize(answer) + "\n";
}

// An exit can come before the head is sent; it then waits here for the stream.
class Waiter {
  public:
    void exited(const engine::ExitResult& result) {
        auto state = state_.lock();
        state->answer = wait_answer(result);
        if (state->stream) {
            deliver(*state);
        }
    }

    void stream_ready(std::shared_ptr<http::Stream> stream) {
        auto state = state_.lock();
        state->stream = std::move(stream);
        if (!state->answer.empty()) {
            deliver(*state);
        }
    }

  private:
    struct State {
        std::string answer;
        std::shared_ptr<http::Stream> stream;
    };

    static void deliver(State& state) {
        state.stream->send(std::move(state.answer));
        state.stream->finish();
        state.stream.reset();
    }

    Synchronized<State> state_;
};

Result<void> wait_for_container(Context& context) {
    const WaitCondition condition = TRY(wait_condition(context));
    auto waiter = std::make_shared<Waiter>();
    auto subscription =
        std::make_shared<engine::Subscription>(TRY(context.engine().containers().on_exit(
            context.parameter(), condition, [waiter](const engine::ExitResult& result) {
                waiter->exited(result);
            })));
    // The head is sent at once: `docker run` starts the container only when it has seen it.
    auto stream = TRY(context.response().into_stream(200, json_headers()));
    // The stream keeps the subscription for as long as somebody wants the answer.
    stream->on_close([subscription, &loop = context.engine().loop()] {
        cancel_later(loop, std::move(*subscription));
    });
    waiter->stream_ready(std::move(stream));
    return ok();
}

// ---- logs ----

Result<void> send_logs(Context& context) {
    const bool standard_output = context.flag("stdout");
    const bool standard_error = context.flag("stderr");
    if (!standard_output && !standard_error) {
        return invalid_argument("Bad parameters: you must choose at least one stream");
    }
    const auto since = TRY(context.timestamp("since"));
    const auto until = TRY(context.timestamp("until"));
    engine::LogOptions options{
        .standard_output = standard_output,
        .standard_error = standard_error,
        .follow = context.flag("follow"),
        .since = since,
        .until = until,
        .tail = {},
        .split_lines = context.flag("timestamps") || context.flag("details"),
        // Ours: docs/api-extensions.md.
        .bookmarks = context.flag("bookmarks"),
        .bookmark = context.query("bookmark"),
    };
    // dockerd takes anything that is no number, and anything negative, for "all".
    if (auto tail = parse_number<std::int64_t>(context.query("tail")); tail.ok() && *tail >= 0) {
        options.tail = *tail;
    }
    return stream_logs(
        context,
        options,
        {.timestamps = context.flag("timestamps"), .details = context.flag("details")});
}

Result<void> send_stats(Context& context) {
    return stream_stats(context);
}

} // namespace

std::span<const Route> container_stream_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"POST", "/containers/{id}/attach", attach_container},
        {"GET", "/containers/{id}/attach/ws", attach_websocket},
        {"POST", "/containers/{id}/wait", wait_for_container},
        {"GET", "/containers/{id}/logs", send_logs},
        {"GET", "/containers/{id}/stats", send_stats},
    });
    return routes;
}

} // namespace berth::api
