// SPDX-License-Identifier: Apache-2.0
// What is not ours to know stays as it was written.
#include "network/cni_configuration.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

namespace berth::network {
namespace {

constexpr std::array<std::string_view, 5> known_versions{
    "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
constexpr std::size_t configuration_size_limit = 1U << 20;
constexpr std::size_t plugin_limit = 64;
constexpr std::size_t file_limit = 1000; // in a directory
constexpr std::size_t depth_limit = 32;

std::size_t rank(std::string_view version) {
    return static_cast<std::size_t>(
        std::ranges::find(known_versions, version) - known_versions.begin());
}

bool is_name_character(char character) {
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '_' || character == '.' ||
           character == '-';
}

// As the specification wants it: it becomes a part of file names.
bool is_network_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, is_name_character) &&
           name.find_first_of("_.-") != 0;
}

// Booleans are written as text, too.
Result<bool> read_switch(const json::Value& document, std::string_view name) {
    const json::Value* value = json::find(document, name);
    if (value == nullptr || value->is_null()) {
        return false;
    }
    if (value->is_bool()) {
        return value->get_bool();
    }
    const std::string text = to_lower(json::find_string(document, name));
    if (text == "true" || text == "false") {
        return text == "true";
    }
    return invalid_argument(std::string(name) + ": expected true or false");
}

Result<std::vector<std::string>> read_versions(const json::Value& document) {
    std::vector<std::string> written;
    if (const auto one = json::find_string(document, "cniVersion"); !one.empty()) {
        written.emplace_back(one);
    }
    if (const json::Value* list = json::find(document, "cniVersions"); list && list->is_array()) {
        for (const json::Value& entry : list->get_array()) {
            if (!entry.is_string()) {
                return invalid_argument("cniVersions: expected a list of texts");
            }
            written.emplace_back(entry.get_string());
        }
    }
    std::vector<std::string> versions;
    for (const std::string_view version : known_versions) {
        if (std::ranges::find(written, version) != written.end()) {
            versions.emplace_back(version);
        }
    }
    if (!versions.empty()) {
        return versions;
    }
    if (written.empty()) {
        return invalid_argument("it names no cniVersion; 0.3.0 to 1.1.0 are supported");
    }
    return invalid_argument(
        "its cniVersion " + join(written, ", ") + " is not supported; 0.3.0 to 1.1.0 are");
}

Result<CniPluginConfiguration> read_plugin(const json::Value& value) {
    if (!value.is_object()) {
        return invalid_argument("a plugin is no object");
    }
    CniPluginConfiguration plugin{.type = std::string(json::find_string(value, "type"))};
    if (plugin.type.empty() || plugin.type.find('/') != std::string::npos) {
        return invalid_argument("a plugin has no type, which is the name of its program");
    }
    plugin.object = value.get_object();
    return plugin;
}

Result<std::vector<CniPluginConfiguration>> read_plugins(const json::Value& document) {
    const json::Value* list = json::find(document, "plugins");
    std::vector<CniPluginConfiguration> plugins;
    if (list == nullptr) {
        if (json::find(document, "type") != nullptr) {
            plugins.push_back(TRY(read_plugin(document)));
        }
        return plugins;
    }
    if (!list->is_array() || list->get_array().size() > plugin_limit) {
        return invalid_argument(
            "plugins: expected a list of at most " + std::to_string(plugin_limit));
    }
    for (const json::Value& entry : list->get_array()) {
        plugins.push_back(TRY(read_plugin(entry)));
    }
    return plugins;
}

Result<CniConfiguration> read_configuration(const json::Value& document) {
    if (!document.is_object()) {
        return invalid_argument("it is no object");
    }
    CniConfiguration configuration;
    configuration.name = json::find_string(document, "name");
    if (!is_network_name(configuration.name)) {
        return invalid_argument(
            "its name \"" + configuration.name +
            "\" is none: a letter or digit, and then those, '_', '.' and '-'");
    }
    configuration.versions = TRY(read_versions(document));
    configuration.disable_check = TRY(read_switch(document, "disableCheck"));
    configuration.disable_gc = TRY(read_switch(document, "disableGC"));
    configuration.plugins = TRY(read_plugins(document));
    return configuration;
}

Result<json::Value> parse_document(std::string_view text) {
    return json::parse(text, {.depth = depth_limit, .bytes = configuration_size_limit});
}

bool has_extension(std::string_view name) {
    return name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json");
}

// Further plugins, one in each file of a directory with the network's name.
Result<void> add_loose_plugins(CniConfiguration& configuration, const std::string& directory) {
    const auto names = list_directory(directory);
    if (!names.ok()) {
        return ok();
    }
    for (const std::string& name : *names) {
        if (!name.ends_with(".conf") || configuration.plugins.size() >= plugin_limit) {
            continue;
        }
        const std::string path = directory + "/" + name;
        const std::string text = TRY(read_file(path, configuration_size_limit));
        const json::Value document = TRY_CONTEXT(parse_document(text), path);
        configuration.plugins.push_back(TRY_CONTEXT(read_plugin(document), path));
    }
    return ok();
}

Result<void> check_plugins(const CniConfiguration& configuration) {
    if (configuration.plugins.empty()) {
        return invalid_argument("it has no plugins");
    }
    return ok();
}

Result<CniConfiguration> read_configuration_file(const std::string& path) {
    const std::string text = TRY(read_file(path, configuration_size_limit));
    const json::Value document = TRY(parse_document(text));
    CniConfiguration configuration = TRY(read_configuration(document));
    const bool is_list = json::find(document, "type") == nullptr;
    if (is_list && !TRY(read_switch(document, "loadOnlyInlinedPlugins"))) {
        const std::string folder = path.substr(0, path.rfind('/') + 1);
        TRY(add_loose_plugins(configuration, folder + configuration.name));
    }
    TRY(check_plugins(configuration));
    return configuration;
}

Error not_there(const std::string& where, const std::string& directory) {
    return not_found("CNI network \"" + where + "\" not found in " + directory);
}

// The first by name whose network it is; a broken file is another one's until nothing else is
// found.
Result<CniConfiguration> find_configuration(const std::string& name, const std::string& directory) {
    const auto names = list_directory(directory);
    if (!names.ok()) {
        return not_there(name, directory);
    }
    std::optional<Error> broken;
    std::size_t looked_at = 0;
    for (const std::string& file : *names) {
        if (!has_extension(file) || ++looked_at > file_limit) {
            continue;
        }
        const std::string path = directory + "/" + file;
        auto configuration = read_configuration_file(path);
        if (configuration.ok() && (configuration->name == name || file == name)) {
            return configuration;
        }
        if (!configuration.ok() && file.find(name) != std::string::npos) {
            broken = std::move(configuration).error().with_context(path);
        }
    }
    return broken ? *std::move(broken) : not_there(name, directory);
}

} // namespace

bool CniPluginConfiguration::has_capability(std::string_view name) const {
    const auto all = object.find("capabilities");
    if (all == object.end() || !all->value().is_object()) {
        return false;
    }
    const auto found = all->value().get_object().find(name);
    return found != all->value().get_object().end() && found->value().is_bool() &&
           found->value().get_bool();
}

bool CniConfiguration::has_capability(std::string_view capability) const {
    return std::ranges::any_of(plugins, [&](const CniPluginConfiguration& plugin) {
        return plugin.has_capability(capability);
    });
}

Result<CniConfiguration> CniConfiguration::parse(std::string_view text) {
    const json::Value document = TRY(parse_document(text));
    CniConfiguration configuration = TRY(read_configuration(document));
    TRY(check_plugins(configuration));
    return configuration;
}

std::string CniConfiguration::text(const std::string& version) const {
    json::Array list;
    for (const CniPluginConfiguration& plugin : plugins) {
        list.emplace_back(plugin.object);
    }
    return json::serialize(json::Object{
        {"cniVersion", version},
        {"name", name},
        {"disableCheck", disable_check},
        {"disableGC", disable_gc},
        {"plugins", std::move(list)}});
}

Result<CniConfiguration>
load_cni_configuration(const std::string& where, const std::string& directory) {
    if (trim(where).starts_with('{')) {
        auto configuration = CniConfiguration::parse(where);
        if (!configuration.ok()) {
            return std::move(configuration).error().with_context("CNI configuration");
        }
        configuration->is_inline = true;
        return configuration;
    }
    if (where.find('/') == std::string::npos) {
        return find_configuration(where, directory);
    }
    if (!where.starts_with('/')) {
        return invalid_argument("CNI configuration " + where + ": the path is not absolute");
    }
    auto configuration = read_configuration_file(where);
    if (!configuration.ok() && configuration.error().error_number() == ENOENT) {
        return std::move(configuration).error().as(ErrorKind::NotFound);
    }
    if (!configuration.ok()) {
        return std::move(configuration).error().with_context("CNI configuration " + where);
    }
    return configuration;
}

bool cni_version_at_least(std::string_view a, std::string_view b) {
    return rank(a) >= rank(b);
}

std::string highest_common_cni_version(const std::vector<std::vector<std::string>>& lists) {
    std::string highest;
    for (const std::string_view version : known_versions) {
        const bool everywhere =
            std::ranges::all_of(lists, [version](const std::vector<std::string>& list) {
                return std::ranges::find(list, version) != list.end();
            });
        highest = everywhere ? std::string(version) : highest;
    }
    return highest;
}

} // namespace berth::network
