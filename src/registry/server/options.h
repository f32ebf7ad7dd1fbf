// SPDX-License-Identifier: Apache-2.0
// How a registry is set up: the members of its configuration file (docs/registry.md).
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace berth::registry {

// "90s", "1h30m" in the file.
struct Duration {
    std::chrono::seconds value{0};

    static Result<Duration> parse(std::string_view text);
};

// A number of bytes, or "10g" (k, m, g, t are powers of 1024) in the file.
struct ByteCount {
    std::uint64_t value = 0;

    static Result<ByteCount> parse(std::string_view text);
};

struct TlsFiles {
    std::string certificate; // PEM, with its chain; empty: no TLS
    std::string key;
    std::string client_ca;       // PEM; clients must have a certificate of these
    std::string minimum = "1.2"; // or "1.3"
};

struct HtpasswdOptions {
    std::string file; // empty: not used
    std::string realm = "Registry";
};

// https://distribution.github.io/distribution/spec/auth/token/
struct TokenOptions {
    std::string realm; // the token server's URL; empty: not used
    std::string service;
    std::string issuer;
    std::string root_certificates; // PEM
};

// Pull-through cache.
struct UpstreamOptions {
    std::string registry; // "docker.io", "registry.example.org:5000"; empty: none
    std::string username;
    std::string password;
    bool insecure = false;
    Duration revalidate{}; // how long a tag is taken to be still right
};

struct QuotaOptions {
    ByteCount total; // 0: none
    ByteCount repository;
};

struct CollectionOptions {
    Duration interval{std::chrono::hours(6)}; // 0: never by itself
    Duration grace{std::chrono::hours(24)};
    Duration upload_age{std::chrono::hours(7 * 24)};
    // With an upstream only: what nobody asked for since then goes. 0: all stays.
    Duration keep{std::chrono::hours(7 * 24)};
    bool untagged = false;
};

struct LimitOptions {
    std::size_t connections = 8192;
    std::size_t requests = 256; // that are served at once
    Duration head_time{std::chrono::seconds(30)};
    Duration idle_time{std::chrono::seconds(120)};
    Duration transfer_time{std::chrono::seconds(60)};
    Duration stop_time{std::chrono::seconds(10)};
    std::size_t open_uploads = 1024;
    std::size_t uploads = 16'384;
    std::size_t repositories = 100'000;
};

struct Options {
    std::string root;
    std::vector<std::string> listen;
    std::string metrics; // an address of its own; empty: none
    TlsFiles tls;
    HtpasswdOptions htpasswd;
    TokenOptions token;
    UpstreamOptions upstream;
    QuotaOptions quota;
    CollectionOptions collection;
    LimitOptions limits;
    bool read_only = false;
    bool deletion = true;
    std::uint64_t chunk_min_length = 0; // told to clients; 0: not
    std::string access_log;             // a file, "-" for standard output; empty: none

    // Adds what the file says. A name that is none of these is InvalidArgument.
    Result<void> read(const std::string& file);
    // What cannot be together, and what lacks.
    Result<void> check() const;
};

} // namespace berth::registry

template <>
struct berth::json::Codec<berth::registry::Duration> {
    static Result<registry::Duration> decode(const Value& value);
    static Value encode(const registry::Duration& duration);

    static bool is_empty(const registry::Duration& duration) { return duration.value.count() == 0; }
};

template <>
struct berth::json::Codec<berth::registry::ByteCount> {
    static Result<registry::ByteCount> decode(const Value& value);
    static Value encode(const registry::ByteCount& count);

    static bool is_empty(const registry::ByteCount& count) { return count.value == 0; }
};

template <>
struct berth::json::Fields<berth::registry::TlsFiles> {
    using T = registry::TlsFiles;
    static constexpr auto table = std::tuple{
        field("certificate", &T::certificate),
        field("key", &T::key),
        field("client-ca", &T::client_ca),
        field("minimum", &T::minimum)};
};

template <>
struct berth::json::Fields<berth::registry::HtpasswdOptions> {
    using T = registry::HtpasswdOptions;
    static constexpr auto table = std::tuple{field("file", &T::file), field("realm", &T::realm)};
};

template <>
struct berth::json::Fields<berth::registry::TokenOptions> {
    using T = registry::TokenOptions;
    static constexpr auto table = std::tuple{
        field("realm", &T::realm),
        field("service", &T::service),
        field("issuer", &T::issuer),
        field("root-certificates", &T::root_certificates)};
};

template <>
struct berth::json::Fields<berth::registry::UpstreamOptions> {
    using T = registry::UpstreamOptions;
    static constexpr auto table = std::tuple{
        field("registry", &T::registry),
        field("username", &T::username),
        field("password", &T::password),
        field("insecure", &T::insecure),
        field("revalidate", &T::revalidate)};
};

template <>
struct berth::json::Fields<berth::registry::QuotaOptions> {
    using T = registry::QuotaOptions;
    static constexpr auto table =
        std::tuple{field("total", &T::total), field("repository", &T::repository)};
};

template <>
struct berth::json::Fields<berth::registry::CollectionOptions> {
    using T = registry::CollectionOptions;
    static constexpr auto table = std::tuple{
        field("interval", &T::interval),
        field("grace", &T::grace),
        field("upload-age", &T::upload_age),
        field("keep", &T::keep),
        field("untagged", &T::untagged)};
};

template <>
struct berth::json::Fields<berth::registry::LimitOptions> {
    using T = registry::LimitOptions;
    static constexpr auto table = std::tuple{
        field("connections", &T::connections),
        field("requests", &T::requests),
        field("head-time", &T::head_time),
        field("idle-time", &T::idle_time),
        field("transfer-time", &T::transfer_time),
        field("stop-time", &T::stop_time),
        field("open-uploads", &T::open_uploads),
        field("uploads", &T::uploads),
        field("repositories", &T::repositories)};
};

template <>
struct berth::json::Fields<berth::registry::Options> {
    using T = registry::Options;
    static constexpr auto table = std::tuple{
        field("root", &T::root),
        field("listen", &T::listen),
        field("metrics", &T::metrics),
        field("tls", &T::tls),
        field("htpasswd", &T::htpasswd),
        field("token", &T::token),
        field("upstream", &T::upstream),
        field("quota", &T::quota),
        field("collection", &T::collection),
        field("limits", &T::limits),
        field("read-only", &T::read_only),
        field("deletion", &T::deletion),
        field("chunk-min-length", &T::chunk_min_length),
        field("access-log", &T::access_log)};
};
