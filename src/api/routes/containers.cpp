// SPDX-License-Identifier: Apache-2.0
// /containers: everything that answers at once.
#include "api/array_reply.h"
#include "api/context.h"
#include "api/create_compatibility.h"
#include "api/docker_py.h"
#include "api/route.h"
#include "api/wire/container.h"
#include "api/wire/empty_lists.h"
#include "base/strings.h"
#include "engine/container_config_json.h"

#include <algorithm>
#include <array>

namespace berth::api {

namespace {

Result<void> list_containers(Context& context) {
    const auto limit = TRY(context.number("limit"));
    auto filters = TRY(context.filters());
    engine::ListOptions options{
        .all = context.flag("all"),
        .limit = limit.value_or(0),
        .size = context.flag("size"),
        .filters = std::move(filters),
    };
    for (const char* name : {"since", "before"}) {
        if (std::string value = context.query(name); !value.empty()) {
            options.filters.add(name, std::move(value));
        }
    }
    ArrayReply reply(context.response());
    TRY(context.engine().containers().list(options, [&](engine::ContainerSummary container) {
        wire::append_summary(reply.begin_element(), std::move(container), context.version());
    }));
    return reply.finish();
}

// Config's members stand beside these two; without any there is no configuration.
bool has_configuration(const json::Value& document) {
    if (!document.is_object()) {
        return false;
    }
    const json::Object& members = document.get_object();
    return std::any_of(members.begin(), members.end(), [](const auto& member) {
        return !equals_ignoring_case(member.key(), "HostConfig") &&
               !equals_ignoring_case(member.key(), "NetworkingConfig");
    });
}

Result<void> create_container(Context& context) {
    auto document = TRY(context.json_body());
    if (!document) {
        return invalid_argument("invalid JSON: got EOF while reading request body");
    }
    if (!document->is_object() && !document->is_null()) {
        return invalid_argument("invalid JSON: expected an object");
    }
    if (!has_configuration(*document)) {
        return invalid_argument("config cannot be empty in order to create a container");
    }
    wire::widen_string_lists(*document);
    auto body = json::decode<wire::CreateBody>(*document);
    if (!body.ok()) {
        return std::move(body).error().with_context("invalid JSON");
    }
    engine::CreateRequest request{
        .name = context.query("name"),
        .platform = context.before(41) ? "" : context.query("platform"),
        .config = std::move(body->config),
        .host_config = std::move(body->host_config),
        .networking_config = std::move(body->networking_config),
    };
    request.host_config.empty_lists = wire::empty_lists_of(*document);
    const auto warnings = TRY(adapt_to_version(request, context.version()));
    auto created = TRY(context.engine().containers().create(std::move(request)));
    created.warnings.insert(created.warnings.end(), warnings.begin(), warnings.end());
    return context.reply_with(201, created);
}

Result<void> inspect_container(Context& context) {
    auto container =
        TRY(context.engine().containers().inspect(context.parameter(), context.flag("size")));
    // docker-py's run() returns the output of json-file and journald, and None with any other
    // driver. Nobody asked for ours.
    engine::LogConfig& logs = container.host_config.log_config;
    if (logs.type == "local" && logs.config.empty() && is_docker_py(context.request())) {
        logs.type = "json-file";
    }
    return context.reply(200, wire::encode_inspect(container, context.version()));
}

Result<void> start_container(Context& context) {
    // A JSON object with a member has seven bytes at least.
    if (context.body().length().value_or(8) > 7) {
        return invalid_argument("starting container with non-empty request body was deprecated "
                                "since API v1.22 and removed in v1.24");
    }
    if (!context.query("checkpoint").empty()) {
        return not_implemented("starting a container from a checkpoint is not implemented");
    }
    TRY(context.engine().containers().start(context.parameter(), context.stop()));
    return context.reply_empty(204);
}

struct StopParameters {
    std::optional<std::int64_t> timeout;
    std::string signal;
};

Result<StopParameters> stop_parameters(const Context& context) {
    return StopParameters{
        .timeout = TRY(context.number("t")),
        .signal = context.before(42) ? "" : context.query("signal"),
    };
}

Result<void> stop_container(Context& context) {
    const auto parameters = TRY(stop_parameters(context));
    TRY(context.engine().containers().stop(
        context.parameter(), parameters.timeout, parameters.signal));
    return context.reply_empty(204);
}

Result<void> restart_container(Context& context) {
    const auto parameters = TRY(stop_parameters(context));
    TRY(context.engine().containers().restart(
        context.parameter(), parameters.timeout, parameters.signal));
    return context.reply_empty(204);
}

Result<void> kill_container(Context& context) {
    auto killed = context.engine().containers().kill(context.parameter(), context.query("signal"));
    if (!killed.ok()) {
        return std::move(killed).error().with_context(
            "cannot kill container: " + context.parameter());
    }
    return context.reply_empty(204);
}

Result<void> pause_container(Context& context) {
    TRY(context.engine().containers().pause(context.parameter()));
    return context.reply_empty(204);
}

Result<void> unpause_container(Context& context) {
    TRY(context.engine().containers().unpause(context.parameter()));
    return context.reply_empty(204);
}

Result<void> rename_container(Context& context) {
    TRY(context.engine().containers().rename(context.parameter(), context.query("name")));
    return context.reply_empty(204);
}

Result<void> remove_container(Context& context) {
    TRY(context.engine().containers().remove(
        context.parameter(),
        {.force = context.flag("force"),
         .volumes = context.flag("v"),
         .link = context.flag("link")}));
    return context.reply_empty(204);
}

Result<void> update_container(Context& context) {
    auto document = TRY(context.json_body()).value_or(json::Value(json::Object{}));
    engine::UpdateRequest request;
    auto decoded = json::decode_into(request.resources, document);
    if (!decoded.ok()) {
        return std::move(decoded).error().with_context("invalid JSON");
    }
    if (context.before(40)) {
        request.resources.pids_limit.reset();
    }
    if (request.resources.pids_limit && *request.resources.pids_limit <= 0) {
        request.resources.pids_limit = 0;
    }
    if (!request.resources.restart_policy.name.empty()) {
        request.restart_policy = request.resources.restart_policy;
    }
    const std::vector<std::string> warnings =
        TRY(context.engine().containers().update(context.parameter(), request));
    json::Array list(warnings.begin(), warnings.end());
    return context.reply(
        200,
        json::Object{
            {"Warnings", list.empty() ? json::Value(nullptr) : json::Value(std::move(list))}});
}

Result<void> resize_container(Context& context) {
    const auto height = TRY(context.terminal_dimension("h"));
    const auto width = TRY(context.terminal_dimension("w"));
    TRY(context.engine().containers().resize(context.parameter(), height, width));
    return context.reply_empty(200);
}

Result<void> list_processes(Context& context) {
    const auto processes =
        TRY(context.engine().containers().top(context.parameter(), context.query("ps_args")));
    return context.reply_with(200, processes);
}

Result<void> prune_containers(Context& context) {
    const auto filters = TRY(context.filters());
    const auto report = TRY(context.engine().containers().prune(filters));
    json::Value deleted(nullptr);
    if (!report.deleted.empty()) {
        deleted = json::encode(report.deleted);
    }
    return context.reply(
        200,
        json::Object{
            {"ContainersDeleted", std::move(deleted)}, {"SpaceReclaimed", report.space_reclaimed}});
}

} // namespace

std::span<const Route> container_routes() {
    static constexpr auto routes = std::to_array<Route>({
        {"GET", "/containers/json", list_containers},
        {"POST", "/containers/create", create_container},
        {"POST", "/containers/prune", prune_containers},
        {"GET", "/containers/{id...}/json", inspect_container},
        {"GET", "/containers/{id}/top", list_processes},
        {"POST", "/containers/{id}/start", start_container},
        {"POST", "/containers/{id}/stop", stop_container},
        {"POST", "/containers/{id}/restart", restart_container},
        {"POST", "/containers/{id}/kill", kill_container},
        {"POST", "/containers/{id}/pause", pause_container},
        {"POST", "/containers/{id}/unpause", unpause_container},
        {"POST", "/containers/{id}/rename", rename_container},
        {"POST", "/containers/{id}/update", update_container},
        {"POST", "/containers/{id}/resize", resize_container},
        {"DELETE", "/containers/{id...}", remove_container},
    });
    return routes;
}

} // namespace berth::api
