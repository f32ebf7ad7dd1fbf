// SPDX-License-Identifier: Apache-2.0
// Containers as the API writes them: create, inspect, list. Field names and presence are Docker's;
// the configuration structs' tables are engine/container_config_json.h.
#pragma once

#include "api/api_version.h"
#include "codec/json.h"
#include "engine/container.h"
#include "engine/container_config_json.h"
#include "engine/containers.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::api::wire {

// The body of POST /containers/create: Config's members beside HostConfig and NetworkingConfig.
struct CreateBody {
    engine::ContainerConfig config;
    engine::HostConfig host_config;
    engine::NetworkingConfig networking_config;
};

// Go's StrSlice: Cmd and Entrypoint may be one string. Rewrites the document to what the tables
// read.
void widen_string_lists(json::Value& document);

json::Value encode_inspect(const engine::ContainerInspect& container, ApiVersion version);
json::Value encode_summary(const engine::ContainerSummary& container, ApiVersion version);
// The text of encode_summary(), behind what is there: lists may be long.
void append_summary(std::string& text, engine::ContainerSummary container, ApiVersion version);
json::Value encode_ports(const engine::PortMap& ports);
json::Raw encode_networks(
    const std::map<std::string, engine::EndpointSettings>& networks, ApiVersion version);

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::CreateBody> {
    using T = api::wire::CreateBody;
    static constexpr auto table = std::tuple{
        embedded(&T::config),
        field("HostConfig", &T::host_config),
        field("NetworkingConfig", &T::networking_config)};
};

template <>
struct Fields<engine::CreateResult> {
    using T = engine::CreateResult;
    static constexpr auto table = std::tuple{field("Id", &T::id), field("Warnings", &T::warnings)};
};

template <>
struct Fields<engine::HealthResult> {
    using T = engine::HealthResult;
    static constexpr auto table = std::tuple{
        field("Start", &T::start),
        field("End", &T::end),
        field("ExitCode", &T::exit_code),
        field("Output", &T::output)};
};

template <>
struct Fields<engine::Health> {
    using T = engine::Health;
    static constexpr auto table = std::tuple{
        field("Status", &T::status),
        field("FailingStreak", &T::failing_streak),
        field("Log", &T::log)};
};

template <>
struct Fields<engine::MountPoint> {
    using T = engine::MountPoint;
    static constexpr auto table = std::tuple{
        field("Type", &T::type, OmitEmpty),
        field("Name", &T::name, OmitEmpty),
        field("Source", &T::source),
        field("Destination", &T::destination),
        field("Driver", &T::driver, OmitEmpty),
        field("Mode", &T::mode),
        field("RW", &T::read_write),
        field("Propagation", &T::propagation)};
};

template <>
struct Fields<engine::PortSummary> {
    using T = engine::PortSummary;
    static constexpr auto table = std::tuple{
        field("IP", &T::ip, OmitEmpty),
        field("PrivatePort", &T::private_port),
        field("PublicPort", &T::public_port, OmitEmpty),
        field("Type", &T::type)};
};

template <>
struct Fields<engine::GraphDriverData> {
    using T = engine::GraphDriverData;
    static constexpr auto table =
        std::tuple{field("Data", &T::data, NullWhenEmpty), field("Name", &T::name)};
};

template <>
struct Fields<engine::TopResult> {
    using T = engine::TopResult;
    static constexpr auto table =
        std::tuple{field("Processes", &T::processes), field("Titles", &T::titles)};
};

} // namespace berth::json
