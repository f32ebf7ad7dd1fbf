// SPDX-License-Identifier: Apache-2.0
// config.json of the OCI runtime specification (1.3), as far as Linux containers use it. Members
// that the specification does not know and those of other platforms are ignored, as it demands.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md
#pragma once

#include "oci/runtime_linux.h"
#include "oci/runtime_process.h"

#include <map>
#include <string>
#include <vector>

namespace berth::oci {

struct Root {
    std::string path;
    bool readonly = false;
};

struct Mount {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings = {}; // of an idmapped mount
    std::vector<IdMapping> gid_mappings = {};
};

struct Hook {
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::optional<std::int64_t> timeout; // seconds
};

struct Hooks {
    std::vector<Hook> prestart;
    std::vector<Hook> create_runtime;
    std::vector<Hook> create_container;
    std::vector<Hook> start_container;
    std::vector<Hook> poststart;
    std::vector<Hook> poststop;
};

struct RuntimeConfig {
    std::string oci_version = "1.2.0";
    std::optional<Process> process;
    Root root;
    std::string hostname;
    std::string domainname;
    std::vector<Mount> mounts;
    Hooks hooks;
    Linux linux_;
    std::map<std::string, std::string> annotations;
};

// Syntax and types; an error names the member ("process.args: expected an array"). What a value
// means is checked when the container is created, with the same names.
Result<RuntimeConfig> parse_runtime_config(std::string_view text);
std::string runtime_config_text(const RuntimeConfig& config);

} // namespace berth::oci

namespace berth::json {

template <>
struct Fields<oci::Root> {
    static constexpr auto table = std::tuple{
        field("path", &oci::Root::path), field("readonly", &oci::Root::readonly, OmitEmpty)};
};

template <>
struct Fields<oci::Mount> {
    static constexpr auto table = std::tuple{
        field("destination", &oci::Mount::destination),
        field("type", &oci::Mount::type, OmitEmpty),
        field("source", &oci::Mount::source, OmitEmpty),
        field("options", &oci::Mount::options, OmitEmpty),
        field("uidMappings", &oci::Mount::uid_mappings, OmitEmpty),
        field("gidMappings", &oci::Mount::gid_mappings, OmitEmpty)};
};

template <>
struct Fields<oci::Hook> {
    static constexpr auto table = std::tuple{
        field("path", &oci::Hook::path),
        field("args", &oci::Hook::args, OmitEmpty),
        field("env", &oci::Hook::env, OmitEmpty),
        field("timeout", &oci::Hook::timeout, OmitEmpty)};
};

template <>
struct Fields<oci::Hooks> {
    static constexpr auto table = std::tuple{
        field("prestart", &oci::Hooks::prestart, OmitEmpty),
        field("createRuntime", &oci::Hooks::create_runtime, OmitEmpty),
        field("createContainer", &oci::Hooks::create_container, OmitEmpty),
        field("startContainer", &oci::Hooks::start_container, OmitEmpty),
        field("poststart", &oci::Hooks::poststart, OmitEmpty),
        field("poststop", &oci::Hooks::poststop, OmitEmpty)};
};

template <>
struct Fields<oci::RuntimeConfig> {
    static constexpr auto table = std::tuple{
        field("ociVersion", &oci::RuntimeConfig::oci_version),
        field("process", &oci::RuntimeConfig::process, OmitEmpty),
        field("root", &oci::RuntimeConfig::root),
        field("hostname", &oci::RuntimeConfig::hostname, OmitEmpty),
        field("domainname", &oci::RuntimeConfig::domainname, OmitEmpty),
        field("mounts", &oci::RuntimeConfig::mounts, OmitEmpty),
        field("hooks", &oci::RuntimeConfig::hooks, OmitEmpty),
        field("annotations", &oci::RuntimeConfig::annotations, OmitEmpty),
        field("linux", &oci::RuntimeConfig::linux_, OmitEmpty)};
};

} // namespace berth::json
