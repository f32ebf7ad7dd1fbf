// SPDX-License-Identifier: Apache-2.0
// From a path to the resource that it names.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::registry {

enum class Resource : std::uint8_t {
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
};

inline constexpr std::size_t resource_count = 8;

// "manifest", as metrics call it.
std::string_view to_string(Resource resource);

struct Route {
    Resource resource = Resource::Base;
    std::string repository;
    std::string reference; // tag, digest or upload id
};

// nullopt for a path that is none of the specification's. The name is not checked yet.
std::optional<Route> parse_route(std::string_view path);

// The specification's [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* between slashes, at most 255 characters.
bool is_repository_name(std::string_view name);
// One part of a name.
bool is_name_component(std::string_view text);

} // namespace berth::registry
