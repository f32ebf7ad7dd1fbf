// SPDX-License-Identifier: Apache-2.0
// What a specification's schema demands and the engine relies on is checked; what it does not know
// is ignored, as vendors write newer versions.
#include "engine/cdi_spec.h"

#include "base/file.h"
#include "base/strings.h"
#include "codec/yaml.h"

#include <algorithm>
#include <array>

namespace berth::engine::cdi {

namespace {

constexpr std::size_t file_limit = 4U << 20;

bool is_word(std::string_view text, std::string_view more) {
    return !text.empty() && std::ranges::all_of(text, [more](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               more.find(c) != std::string_view::npos;
    });
}

Result<void> check_hooks(const ContainerEdits& edits) {
    static constexpr auto names = std::to_array<std::string_view>(
        {"prestart",
         "createRuntime",
         "createContainer",
         "startContainer",
         "poststart",
         "poststop"});
    for (const Hook& hook : edits.hooks) {
        if (std::ranges::find(names, hook.hook_name) == names.end()) {
            return invalid_argument("invalid hook name \"" + hook.hook_name + "\"");
        }
        if (hook.path.empty()) {
            return invalid_argument("invalid hook \"" + hook.hook_name + "\" with empty path");
        }
    }
    return ok();
}

Result<void> check_edits(const ContainerEdits& edits) {
    for (const std::string& entry : edits.env) {
        if (entry.find('=') == std::string::npos || entry.starts_with('=')) {
            return invalid_argument("invalid environment variable \"" + entry + "\"");
        }
    }
    for (const DeviceNode& node : edits.device_nodes) {
        if (node.path.empty()) {
            return invalid_argument("invalid (empty) device path");
        }
        if (!node.type.empty() &&
            (node.type.size() != 1 ||
             std::string_view("bcup").find(node.type) == std::string_view::npos)) {
            return invalid_argument(
                "device \"" + node.path + "\": invalid type \"" + node.type + "\"");
        }
        if (node.permissions.find_first_not_of("rwm") != std::string::npos) {
            return invalid_argument(
                "device \"" + node.path + "\": invalid permissions \"" + node.permissions + "\"");
        }
    }
    for (const Mount& mount : edits.mounts) {
        if (mount.host_path.empty() || mount.container_path.empty()) {
            return invalid_argument("invalid mount, empty host or container path");
        }
    }
    return check_hooks(edits);
}

Result<void> check(const Spec& spec) {
    if (spec.cdi_version.empty()) {
        return invalid_argument("cdiVersion is missing");
    }
    const auto kind = cut(spec.kind, "/");
    if (!kind || !is_word(kind->before, "._-") || !is_word(kind->after, "._-")) {
        return invalid_argument("invalid kind \"" + spec.kind + "\"");
    }
    TRY(check_edits(spec.container_edits));
    for (const Device& device : spec.devices) {
        if (!is_word(device.name, "._-:")) {
            return invalid_argument("invalid device name \"" + device.name + "\"");
        }
        TRY_CONTEXT(check_edits(device.container_edits), "device " + device.name);
    }
    return ok();
}

} // namespace

Result<Spec> read_spec(const std::string& path) {
    const std::string text = TRY(read_file(path, file_limit));
    // JSON is YAML.
    const json::Value document = TRY_CONTEXT(yaml::parse(text), path);
    Spec spec = TRY_CONTEXT(json::decode<Spec>(document), path);
    TRY_CONTEXT(check(spec), path);
    return spec;
}

} // namespace berth::engine::cdi
