// SPDX-License-Identifier: Apache-2.0
// After docker/cli's opts/mount.go, with its words.
#include "cli/mount_flag.h"

#include "base/boolean.h"
#include "base/strings.h"
#include "cli/run_options.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include <unistd.h>

namespace berth::cli {

namespace {

Result<bool> boolean_of(std::string_view key, std::string_view value) {
    if (const auto parsed = parse_boolean(value)) {
        return *parsed;
    }
    return invalid_argument("invalid value for " + std::string(key) + ": " + std::string(value));
}

std::string absolute(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> here(::getcwd(nullptr, 0), std::free);
    return here ? clean_path(std::string(here.get()) + "/" + path) : path;
}

class MountFlag {
  public:
    Result<void> take(const std::string& field) {
        const std::optional<Cut> pair = cut(field, "=");
        const std::string key(pair ? pair->before : std::string_view(field));
        const bool is_switch = key == "readonly" || key == "ro" || key == "volume-nocopy" ||
                               key == "bind-nonrecursive" || key == "bind-create-src";
        if (!pair && !is_switch) {
            return invalid_argument("invalid field '" + field + "' must be a key=value pair");
        }
        const std::string value(pair ? pair->after : std::string_view("true"));
        if (is_switch) {
            return take_switch(key, value);
        }
        return key.starts_with("volume-") || key.starts_with("image-")
                   ? take_volume(key, value, field)
                   : take_other(key, value, field);
    }

    Result<json::Object> finish() {
        const std::string type(json::find_string(mount_, "Type"));
        if (type.empty()) {
            return invalid_argument("type is required");
        }
        if (json::find_string(mount_, "Target").empty()) {
            return invalid_argument("target is required");
        }
        static constexpr std::pair<const char*, const char*> families[] = {
            {"VolumeOptions", "volume"},
            {"ImageOptions", "image"},
            {"BindOptions", "bind"},
            {"TmpfsOptions", "tmpfs"}};
        for (const auto& [member, family] : families) {
            if (json::find(mount_, member) != nullptr && type != family) {
                return invalid_argument(
                    "cannot mix '" + std::string(family) + "-*' options with mount type '" + type +
                    "'");
            }
        }
        TRY(check_recursion());
        return mount_.get_object();
    }

  private:
    json::Object& options(const char* member) {
        json::Value& value = mount_.get_object()[member];
        if (!value.is_object()) {
            value = json::Object();
        }
        return value.get_object();
    }

    json::Object& driver() {
        json::Value& value = options("VolumeOptions")["DriverConfig"];
        if (!value.is_object()) {
            value = json::Object();
        }
        return value.get_object();
    }

    static void set_pair(json::Value& target, const std::string& value) {
        if (!target.is_object()) {
            target = json::Object();
        }
        const std::optional<Cut> pair = cut(value, "=");
        const std::string_view key = pair ? pair->before : std::string_view(value);
        if (!key.empty()) {
            target.get_object()[key] = pair ? pair->after : std::string_view();
        }
    }

    Result<void> take_switch(const std::string& key, const std::string& value) {
        const bool is_set = TRY(boolean_of(key, value));
        if (key == "volume-nocopy") {
            options("VolumeOptions")["NoCopy"] = is_set;
        } else if (key == "bind-nonrecursive") {
            options("BindOptions")["NonRecursive"] = is_set;
        } else if (key == "bind-create-src") {
            options("BindOptions")["CreateMountpoint"] = is_set;
        } else {
            mount_.get_object()["ReadOnly"] = is_set;
        }
        return ok();
    }

    Result<void>
    take_volume(const std::string& key, const std::string& value, const std::string& field) {
        if (key == "volume-subpath") {
            options("VolumeOptions")["Subpath"] = value;
        } else if (key == "volume-label") {
            set_pair(options("VolumeOptions")["Labels"], value);
        } else if (key == "volume-driver") {
            driver()["Name"] = value;
        } else if (key == "volume-opt") {
            set_pair(driver()["Options"], value);
        } else if (key == "image-subpath") {
            options("ImageOptions")["Subpath"] = value;
        } else {
            return unexpected(key, field);
        }
        return ok();
    }

    Result<void>
    take_other(const std::string& key, const std::string& value, const std::string& field) {
        json::Object& mount = mount_.get_object();
        if (key == "type") {
            mount["Type"] = to_lower(value);
        } else if (key == "source" || key == "src") {
            mount["Source"] = value == "." || value.starts_with("./") ? absolute(value) : value;
        } else if (key == "target" || key == "dst" || key == "destination") {
            mount["Target"] = value;
        } else if (key == "consistency") {
            mount["Consistency"] = to_lower(value);
        } else if (key == "bind-propagation") {
            options("BindOptions")["Propagation"] = to_lower(value);
        } else if (key == "bind-recursive") {
            return take_recursion(value);
        } else if (key == "tmpfs-size") {
            auto bytes = parse_bytes(value);
            if (!bytes.ok()) {
                return invalid_argument("invalid value for tmpfs-size: " + value);
            }
            options("TmpfsOptions")["SizeBytes"] = *bytes;
        } else if (key == "tmpfs-mode") {
            auto mode = parse_number<std::uint32_t>(value, 8);
            if (!mode.ok()) {
                return invalid_argument("invalid value for tmpfs-mode: " + value);
            }
            options("TmpfsOptions")["Mode"] = *mode;
        } else {
            return unexpected(key, field);
        }
        return ok();
    }

    Result<void> take_recursion(const std::string& value) {
        json::Object& bind = options("BindOptions");
        if (value == "disabled") {
            bind["NonRecursive"] = true;
        } else if (value == "writable") {
            bind["ReadOnlyNonRecursive"] = true;
        } else if (value == "readonly") {
            bind["ReadOnlyForceRecursive"] = true;
        } else if (value != "enabled") {
            return invalid_argument(
                "invalid value for bind-recursive: " + value +
                " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
        }
        return ok();
    }

    Result<void> check_recursion() {
        const json::Value* bind = json::find(mount_, "BindOptions");
        const json::Value* read_only = json::find(mount_, "ReadOnly");
        const bool is_read_only =
            read_only != nullptr && read_only->is_bool() && read_only->get_bool();
        if (bind == nullptr) {
            return ok();
        }
        const auto needs_read_only = [](const char* value) {
            return invalid_argument(
                std::string("option 'bind-recursive=") + value +
                "' requires 'readonly' to be specified in conjunction");
        };
        if (json::find(*bind, "ReadOnlyNonRecursive") != nullptr && !is_read_only) {
            return needs_read_only("writable");
        }
        if (json::find(*bind, "ReadOnlyForceRecursive") == nullptr) {
            return ok();
        }
        if (!is_read_only) {
            return needs_read_only("readonly");
        }
        if (json::find_string(*bind, "Propagation") != "rprivate") {
            return invalid_argument(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
                "specified in conjunction");
        }
        return ok();
    }

    static Error unexpected(const std::string& key, const std::string& field) {
        return invalid_argument("unexpected key '" + key + "' in '" + field + "'");
    }

    json::Value mount_ = json::Object{{"Type", "volume"}};
};

} // namespace

Result<std::vector<std::string>> csv_fields(std::string_view text) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char letter = text[i];
        if (quoted && letter == '"' && i + 1 < text.size() && text[i + 1] == '"') {
            fields.back() += '"';
            ++i;
        } else if (quoted && letter == '"') {
            quoted = false;
        } else if (!quoted && letter == ',') {
            fields.emplace_back();
        } else if (!quoted && letter == '"' && fields.back().empty()) {
            quoted = true;
        } else if (!quoted && letter == '"') {
            return invalid_argument("parse error: bare \" in non-quoted-field");
        } else {
            fields.back() += letter;
        }
    }
    if (quoted) {
        return invalid_argument("parse error: extraneous or missing \" in quoted-field");
    }
    return fields;
}

Result<json::Object> parse_mount_flag(const std::string& text) {
    MountFlag mount;
    for (const std::string& field : TRY(csv_fields(text))) {
        TRY(mount.take(field));
    }
    return mount.finish();
}

std::string absolute_volume_flag(const std::string& text) {
    const std::optional<Cut> parts = cut(text, ":");
    if (!parts || !parts->before.starts_with('.')) {
        return text;
    }
    return absolute(std::string(parts->before)) + ":" + std::string(parts->after);
}

} // namespace berth::cli
