// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/buildkit/blob/v0.25.1/frontend/dockerui/config.go and attr.go
#include "api/frontend_attributes.h"

#include "base/strings.h"
#include "build/upload_context.h"

#include <array>

namespace berth::api {

namespace {

// "context:" and the like, with the words for who asked for it.
struct Refused {
    std::string_view name;
    std::string_view words;
};

constexpr std::array<Refused, 6> refused_prefixes{{
    {"context:", "named contexts (--build-context)"},
    {"attest:", "attestations (--provenance, --sbom)"},
    {"requestid", "checks and other requests to the frontend (--check, --call)"},
    {"input-metadata:", "a build's result as another one's context"},
    {"contextsubdir", "a directory of a remote context"},
    {"source", "other frontends"},
}};

Result<void> refuse_unknown(const std::string& name, const std::string& value) {
    for (const Refused& refused : refused_prefixes) {
        if (name.starts_with(refused.name)) {
            // What switches an attestation off asks for nothing.
            if (name.starts_with("attest:") &&
                (value == "disabled=true" || value.starts_with("disabled=true,"))) {
                return ok();
            }
            return not_implemented(
                std::string(refused.words) + " are not implemented (" + name + ")");
        }
    }
    if (name == "context" && !value.empty() && !build::upload_path(value)) {
        return not_implemented(
            "building from a remote context (" + value +
            ") is not implemented; use a directory or an archive");
    }
    if (name == "no-cache" && !value.empty()) {
        return not_implemented("--no-cache-filter is not implemented");
    }
    if (name == "multi-platform" && value == "true") {
        return not_implemented("building for several platforms at once is not implemented");
    }
    return ok();
}

Result<void> read_platform(const std::string& value, build::BuildRequest& request) {
    if (value.find(',') != std::string::npos) {
        return not_implemented("building for several platforms at once is not implemented");
    }
    request.platform = value;
    return ok();
}

// "name=ip,name=ip"
void read_hosts(const std::string& value, build::BuildRequest& request) {
    for (const std::string_view host : split(value, ',')) {
        if (const auto pair = cut(host, "=")) {
            request.extra_hosts.push_back(
                std::string(pair->before) + ":" + std::string(pair->after));
        }
    }
}

// "nofile=1024:2048,nproc=3"
Result<void> read_ulimits(const std::string& value, build::BuildRequest& request) {
    for (const std::string_view limit : split(value, ',')) {
        const auto pair = cut(limit, "=");
        if (!pair) {
            return invalid_argument("invalid ulimit argument: " + std::string(limit));
        }
        const auto values = cut(pair->after, ":");
        oci::Rlimit rlimit{.type = "RLIMIT_" + to_upper(pair->before), .hard = 0, .soft = 0};
        rlimit.soft = TRY(parse_number<std::uint64_t>(values ? values->before : pair->after));
        rlimit.hard = values ? TRY(parse_number<std::uint64_t>(values->after)) : rlimit.soft;
        request.rlimits.push_back(std::move(rlimit));
    }
    return ok();
}

Result<void>
read_attribute(const std::string& name, const std::string& value, build::BuildRequest& request) {
    const std::string_view key = name;
    if (key.starts_with("build-arg:")) {
        request.build_args[std::string(key.substr(10))] = value;
    } else if (key.starts_with("label:")) {
        request.labels[std::string(key.substr(6))] = value;
    } else if (key == "filename") {
        request.dockerfile = value;
    } else if (key == "target") {
        request.target = value;
    } else if (key == "no-cache") {
        request.no_cache = true;
    } else if (key == "image-resolve-mode") {
        request.pull = value == "pull";
    } else if (key == "platform") {
        return read_platform(value, request);
    } else if (key == "add-hosts") {
        read_hosts(value, request);
    } else if (key == "force-network-mode") {
        request.network_mode = value == "sandbox" ? "default" : value;
    } else if (key == "cgroup-parent") {
        request.cgroup_parent = value;
    } else if (key == "shm-size") {
        request.shm_size = TRY(parse_number<std::int64_t>(value));
    } else if (key == "ulimit") {
        return read_ulimits(value, request);
    }
    return ok();
}

} // namespace

Result<build::BuildRequest> parse_frontend_attributes(const FrontendAttributes& attributes) {
    build::BuildRequest request;
    for (const auto& [name, value] : attributes) {
        TRY(refuse_unknown(name, value));
        TRY_CONTEXT(read_attribute(name, value, request), name);
    }
    return request;
}

} // namespace berth::api
