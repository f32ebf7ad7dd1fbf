// SPDX-License-Identifier: Apache-2.0
// An image's configuration: OCI's fields and those that Docker adds (Healthcheck, OnBuild, Shell,
// the container that it was committed from).
#pragma once

#include "base/time.h"
#include "codec/json.h"
#include "oci/digest.h"
#include "oci/platform.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::oci {

// Times in nanoseconds; zero means "inherit". test: {} inherit, {"NONE"} off,
// {"CMD", …} or {"CMD-SHELL", line}.
struct HealthConfig {
    std::vector<std::string> test;
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    int retries = 0;

    bool operator==(const HealthConfig&) const = default;
};

// What a container of this image gets when its creator says nothing else.
struct ContainerDefaults {
    std::string user;
    std::map<std::string, json::Empty> exposed_ports; // "80/tcp"
    std::vector<std::string> env;                     // "NAME=value"
    std::vector<std::string> entrypoint;
    std::vector<std::string> cmd;
    std::optional<HealthConfig> healthcheck;
    bool args_escaped = false;
    std::map<std::string, json::Empty> volumes;
    std::string working_dir;
    std::map<std::string, std::string> labels;
    std::vector<std::string> on_build;
    std::string stop_signal;
    std::optional<int> stop_timeout;
    std::vector<std::string> shell;

    bool operator==(const ContainerDefaults&) const = default;
};

struct RootFilesystem {
    std::string type = "layers";
    std::vector<Digest> diff_ids;

    bool operator==(const RootFilesystem&) const = default;
};

struct HistoryEntry {
    Timestamp created;
    std::string created_by;
    std::string author;
    std::string comment;
    bool empty_layer = false;

    bool operator==(const HistoryEntry&) const = default;
};

struct ImageConfig {
    Platform platform;
    Timestamp created;
    std::string author;
    ContainerDefaults config;
    RootFilesystem rootfs;
    std::vector<HistoryEntry> history;
    // Docker's own, all optional.
    std::string comment;
    std::string container;
    std::string docker_version;
    std::string parent; // of images that `docker build` made here

    // InvalidArgument when it is no configuration (no rootfs, a type other than "layers", more
    // layers in the history than diff ids).
    static Result<ImageConfig> parse(std::string_view bytes);
    std::string serialize() const;

    // The chain id of all layers; empty for an image without any (FROM scratch).
    Digest chain_id() const;

    bool operator==(const ImageConfig&) const = default;
};

// https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
// chain_id of a layer on a parent; the diff id itself when the parent is empty.
Digest chain_id(const Digest& parent, const Digest& diff_id);

} // namespace berth::oci

template <>
struct berth::json::Fields<berth::oci::HealthConfig> {
    using T = oci::HealthConfig;
    static constexpr auto table = std::tuple{
        field("Test", &T::test, OmitEmpty),
        field("Interval", &T::interval, OmitEmpty),
        field("Timeout", &T::timeout, OmitEmpty),
        field("StartPeriod", &T::start_period, OmitEmpty),
        field("StartInterval", &T::start_interval, OmitEmpty),
        field("Retries", &T::retries, OmitEmpty)};
};

template <>
struct berth::json::Fields<berth::oci::ContainerDefaults> {
    using T = oci::ContainerDefaults;
    static constexpr auto table = std::tuple{
        field("User", &T::user, OmitEmpty),
        field("ExposedPorts", &T::exposed_ports, OmitEmpty),
        field("Env", &T::env, OmitEmpty),
        field("Entrypoint", &T::entrypoint, OmitEmpty),
        field("Cmd", &T::cmd, OmitEmpty),
        field("Healthcheck", &T::healthcheck, OmitEmpty),
        field("ArgsEscaped", &T::args_escaped, OmitEmpty),
        field("Volumes", &T::volumes, OmitEmpty),
        field("WorkingDir", &T::working_dir, OmitEmpty),
        field("Labels", &T::labels, OmitEmpty),
        field("OnBuild", &T::on_build, OmitEmpty),
        field("StopSignal", &T::stop_signal, OmitEmpty),
        field("StopTimeout", &T::stop_timeout, OmitEmpty),
        field("Shell", &T::shell, OmitEmpty)};
};

template <>
struct berth::json::Fields<berth::oci::RootFilesystem> {
    using T = oci::RootFilesystem;
    static constexpr auto table =
        std::tuple{field("type", &T::type), field("diff_ids", &T::diff_ids)};
};

template <>
struct berth::json::Fields<berth::oci::HistoryEntry> {
    using T = oci::HistoryEntry;
    static constexpr auto table = std::tuple{
        field("created", &T::created, OmitEmpty),
        field("created_by", &T::created_by, OmitEmpty),
        field("author", &T::author, OmitEmpty),
        field("comment", &T::comment, OmitEmpty),
        field("empty_layer", &T::empty_layer, OmitEmpty)};
};

template <>
struct berth::json::Fields<berth::oci::ImageConfig> {
    using T = oci::ImageConfig;
    static constexpr auto table = std::tuple{
        embedded(&T::platform),
        field("created", &T::created, OmitEmpty),
        field("author", &T::author, OmitEmpty),
        field("config", &T::config),
        field("rootfs", &T::rootfs),
        field("history", &T::history, OmitEmpty),
        field("comment", &T::comment, OmitEmpty),
        field("container", &T::container, OmitEmpty),
        field("docker_version", &T::docker_version, OmitEmpty),
        field("parent", &T::parent, OmitEmpty)};
};
