// SPDX-License-Identifier: Apache-2.0
// After moby's pkg/plugins/discovery.go.
#include "engine/plugin_endpoint.h"

#include "base/file.h"
#include "base/strings.h"
#include "codec/json.h"

#include <sys/stat.h>

namespace berth::engine {
namespace {

constexpr std::size_t specification_limit = 64U << 10;

// A name becomes a path.
bool is_plugin_name(std::string_view name) {
    return !name.empty() && name.find('/') == std::string_view::npos && !name.starts_with('.');
}

std::vector<std::string>
places_in(const std::string& folder, const std::string& name, const char* extension) {
    return {folder + "/" + name + extension, folder + "/" + name + "/" + name + extension};
}

} // namespace

bool is_plugin_socket(const std::string& path) {
    struct stat status {};

    return stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

Result<http::Endpoint> find_plugin(const PluginPlaces& places, const std::string& name) {
    const Error missing = not_found("plugin \"" + name + "\" not found");
    if (!is_plugin_name(name)) {
        return missing;
    }
    for (const std::string& path : places_in(places.sockets, name, ".sock")) {
        if (is_plugin_socket(path)) {
            http::Endpoint endpoint;
            endpoint.path = path;
            return endpoint;
        }
    }
    for (const std::string& folder : places.specifications) {
        for (const std::string& path : places_in(folder, name, ".spec")) {
            if (exists(path)) {
                const std::string text = TRY(read_file(path, specification_limit));
                return http::Endpoint::parse(trim(text));
            }
        }
        for (const std::string& path : places_in(folder, name, ".json")) {
            if (exists(path)) {
                const std::string text = TRY(read_file(path, specification_limit));
                const json::Value document = TRY_CONTEXT(json::parse(text), path);
                return http::Endpoint::parse(json::find_string(document, "Addr"));
            }
        }
    }
    return missing;
}

} // namespace berth::engine
