// SPDX-License-Identifier: Apache-2.0
// POST /build: its query as a build::BuildRequest.
// https://github.com/moby/moby/blob/v28.2.2/api/server/router/build/build_routes.go
#include "api/build_request.h"

#include "base/strings.h"
#include "build/upload_context.h"
#include "engine/container_config_json.h"

namespace berth::api {

namespace {

// What would silently build something else than was asked for.
Result<void> refuse_unknown(const Context& context) {
    const std::string version = context.query("version");
    const bool in_session = version == "2";
    if (!in_session && !version.empty() && version != "1") {
        return invalid_argument("invalid version \"" + version + "\"");
    }
    const std::string remote = context.query("remote");
    const bool from_session = remote == "client-session" || build::upload_path(remote);
    if (in_session && !from_session && !remote.empty() && remote != upload_request) {
        return not_implemented(
            "building from a remote context (remote=" + remote +
            ") is not implemented; use a directory or an archive");
    }
    if (in_session && from_session && context.query("session").empty()) {
        return invalid_argument("building with remote=" + remote + " needs a session");
    }
    if (!in_session && !remote.empty()) {
        return not_implemented(
            "building from a remote context is not implemented; send the context as the body");
    }
    for (const char* name : {"securityopt", "outputs", "session"}) {
        if (in_session && name == std::string_view("session")) {
            continue;
        }
        const std::string value = context.query(name);
        if (!value.empty() && value != "[]" && value != "null") {
            return not_implemented(
                "the build parameter " + std::string(name) + " is not implemented");
        }
    }
    return ok();
}

template <class T>
Result<T> json_parameter(const Context& context, std::string_view name) {
    const std::string text = context.query(name);
    if (text.empty()) {
        return T{};
    }
    auto value = json::decode_text<T>(text);
    if (!value.ok()) {
        return std::move(value).error().with_context("error reading " + std::string(name));
    }
    return value;
}

// Numbers of a build are read as dockerd's Int64ValueOrZero.
void read_resources(const Context& context, build::BuildRequest& request) {
    const auto number = [&context](std::string_view name) {
        return context.request().query.number_or_zero(name);
    };
    oci::MemoryResources memory;
    if (const std::int64_t limit = number("memory"); limit != 0) {
        memory.limit = limit;
    }
    if (const std::int64_t swap = number("memswap"); swap != 0) {
        memory.swap = swap;
    }
    if (memory.limit || memory.swap) {
        request.resources.memory = memory;
    }
    oci::CpuResources cpu;
    if (const std::int64_t shares = number("cpushares"); shares > 0) {
        cpu.shares = static_cast<std::uint64_t>(shares);
    }
    if (const std::int64_t period = number("cpuperiod"); period > 0) {
        cpu.period = static_cast<std::uint64_t>(period);
    }
    if (const std::int64_t quota = number("cpuquota"); quota != 0) {
        cpu.quota = quota;
    }
    cpu.cpus = context.query("cpusetcpus");
    cpu.mems = context.query("cpusetmems");
    if (cpu.shares || cpu.period || cpu.quota || !cpu.cpus.empty() || !cpu.mems.empty()) {
        request.resources.cpu = cpu;
    }
    request.shm_size = number("shmsize");
}

Result<void> read_ulimits(const Context& context, build::BuildRequest& request) {
    for (const engine::Ulimit& limit :
         TRY(json_parameter<std::vector<engine::Ulimit>>(context, "ulimits"))) {
        if (limit.soft < 0 || limit.hard < 0) {
            return invalid_argument("ulimit " + limit.name + ": a limit cannot be negative");
        }
        request.rlimits.push_back(
            {.type = "RLIMIT_" + to_upper(limit.name),
             .hard = static_cast<std::uint64_t>(limit.hard),
             .soft = static_cast<std::uint64_t>(limit.soft)});
    }
    return ok();
}

} // namespace

Result<build::BuildRequest> parse_build_request(const Context& context) {
    TRY(refuse_unknown(context));
    build::BuildRequest request;
    if (std::string dockerfile = context.query("dockerfile"); !dockerfile.empty()) {
        request.dockerfile = std::move(dockerfile);
    }
    for (const std::string_view tag : context.request().query.get_all("t")) {
        if (!tag.empty()) {
            request.tags.emplace_back(tag);
        }
    }
    using Arguments = std::map<std::string, std::optional<std::string>>;
    using Labels = std::map<std::string, std::string>;
    request.build_args = TRY(json_parameter<Arguments>(context, "buildargs"));
    request.labels = TRY(json_parameter<Labels>(context, "labels"));
    request.target = context.query("target");
    request.platform = context.before(32) ? "" : context.query("platform");
    request.no_cache = context.flag("nocache");
    request.pull = context.flag("pull");
    request.quiet = context.flag("q");
    request.squash = context.flag("squash");
    request.remove = context.flag("rm", true);
    for (const std::string_view value : context.request().query.get_all("extrahosts")) {
        for (const std::string_view host : split(value, ',')) {
            if (!host.empty()) {
                request.extra_hosts.emplace_back(host);
            }
        }
    }
    request.cache_from = TRY(json_parameter<std::vector<std::string>>(context, "cachefrom"));
    request.network_mode = context.query("networkmode");
    request.cgroup_parent = context.query("cgroupparent");
    read_resources(context, request);
    TRY(read_ulimits(context, request));
    return request;
}

} // namespace berth::api
