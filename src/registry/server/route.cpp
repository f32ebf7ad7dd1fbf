// SPDX-License-Identifier: Apache-2.0
// A name may itself have a component "blobs" or "manifests": the last one that fits counts.
#include "registry/server/route.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::registry {

namespace {

constexpr std::size_t name_limit = 255;

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

} // namespace

std::string_view to_string(Resource resource) {
    switch (resource) {
    case Resource::Base:
        return "base";
    case Resource::Catalog:
        return "catalog";
    case Resource::Tags:
        return "tags";
    case Resource::Manifest:
        return "manifest";
    case Resource::Blob:
        return "blob";
    case Resource::Uploads:
        return "uploads";
    case Resource::Upload:
        return "upload";
    case Resource::Referrers:
        return "referrers";
    }
    return "";
}

std::optional<Route> parse_route(std::string_view path) {
    if (path == "/v2" || path == "/v2/") {
        return Route{.resource = Resource::Base};
    }
    if (!path.starts_with("/v2/")) {
        return std::nullopt;
    }
    path.remove_prefix(4);
    if (path == "_catalog") {
        return Route{.resource = Resource::Catalog};
    }
    if (path.ends_with("/tags/list")) {
        return Route{Resource::Tags, std::string(path.substr(0, path.size() - 10)), {}};
    }
    if (std::optional<Cut> parts = cut_last(path, "/blobs/uploads/");
        parts && parts->after.find('/') == std::string_view::npos) {
        Resource resource = parts->after.empty() ? Resource::Uploads : Resource::Upload;
        return Route{resource, std::string(parts->before), std::string(parts->after)};
    }
    std::optional<Cut> last = cut_last(path, "/");
    std::optional<Cut> kind = last ? cut_last(last->before, "/") : std::nullopt;
    if (!kind || last->after.empty()) {
        return std::nullopt;
    }
    if (last->after == "uploads" && kind->after == "blobs") {
        return Route{Resource::Uploads, std::string(kind->before), {}};
    }
    for (auto [name, resource] :
         {std::pair<std::string_view, Resource>{"manifests", Resource::Manifest},
          {"blobs", Resource::Blob},
          {"referrers", Resource::Referrers}}) {
        if (kind->after == name) {
            return Route{resource, std::string(kind->before), std::string(last->after)};
        }
    }
    return std::nullopt;
}

bool is_name_component(std::string_view text) {
    if (text.empty() || !is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) {
        return false;
    }
    for (std::size_t i = 0; i < text.size();) {
        if (is_alphanumeric(text[i])) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (!is_alphanumeric(text[end])) { // ends: the last character is alphanumeric
            ++end;
        }
        std::string_view separator = text.substr(i, end - i);
        bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
        if (!dashes && separator != "." && separator != "_" && separator != "__") {
            return false;
        }
        i = end;
    }
    return true;
}

bool is_repository_name(std::string_view name) {
    if (name.empty() || name.size() > name_limit) {
        return false;
    }
    std::vector<std::string_view> components = split(name, '/');
    return std::ranges::all_of(components, is_name_component);
}

} // namespace berth::registry
