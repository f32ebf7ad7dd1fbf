// SPDX-License-Identifier: Apache-2.0
// daemon.json: the same options under their keys. A key that no option has, and one that the
// command line sets too, are errors in dockerd's words.
#include "base/strings.h"
#include "codec/json.h"
#include "engine/daemon_options.h"

namespace berth::engine {
namespace {

// Go's %v of a decoded JSON value, for the conflict's sentence.
std::string go_text(const json::Value& value) {
    if (value.is_string()) {
        return std::string(value.get_string());
    }
    if (value.is_array()) {
        std::vector<std::string> parts;
        for (const json::Value& element : value.get_array()) {
            parts.push_back(go_text(element));
        }
        return "[" + join(parts, " ") + "]";
    }
    if (value.is_object()) {
        std::vector<std::string> parts;
        for (const auto& member : value.get_object()) {
            parts.push_back(std::string(member.key()) + ":" + go_text(member.value()));
        }
        return "map[" + join(parts, " ") + "]";
    }
    return json::serialize(value);
}

// {"base": "10.0.0.0/8", "size": 24} as its flag writes it.
std::string fields_text(const json::Value& value) {
    std::vector<std::string> parts;
    for (const auto& member : value.get_object()) {
        parts.push_back(std::string(member.key()) + "=" + go_text(member.value()));
    }
    return join(parts, ",");
}

Error wrong_type(const DaemonOption& option, std::string_view expected) {
    return invalid_argument(
        "the value of \"" + std::string(option.key) + "\" must be " + std::string(expected));
}

// {"nofile": {"Name": "nofile", "Hard": 2, "Soft": 1}} and {"kata": {"path": "/usr/bin/kata"}} as
// their flags write them; any other value is its text.
Result<std::string>
pair_text(const DaemonOption& option, std::string_view name, const json::Value& value) {
    if (!value.is_object()) {
        return std::string(name) + "=" + go_text(value);
    }
    if (option.key == "runtimes") {
        const json::Value* arguments = json::find(value, "runtimeArgs");
        if (json::find_string(value, "path").empty() ||
            (arguments != nullptr && !arguments->is_null())) {
            return not_implemented(
                "runtime \"" + std::string(name) +
                "\": only a path is implemented, no runtimeType and runtimeArgs");
        }
        return std::string(name) + "=" + std::string(json::find_string(value, "path"));
    }
    if (option.key == "default-ulimits") {
        const json::Value* soft = json::find(value, "Soft");
        const json::Value* hard = json::find(value, "Hard");
        if (soft == nullptr || hard == nullptr) {
            return wrong_type(option, "an object with Name, Hard and Soft");
        }
        return std::string(name) + "=" + go_text(*soft) + ":" + go_text(*hard);
    }
    return std::string(name) + "=" + go_text(value);
}

Result<std::vector<std::string>> texts(const DaemonOption& option, const json::Value& value) {
    std::vector<std::string> result;
    switch (option.shape) {
    case OptionShape::Switch:
        if (!value.is_bool()) {
            return wrong_type(option, "true or false");
        }
        break;
    case OptionShape::Number:
        if (!value.is_int64() && !value.is_uint64()) {
            return wrong_type(option, "a number");
        }
        break;
    case OptionShape::Text:
        if (!value.is_string() && !value.is_int64()) {
            return wrong_type(option, "a string");
        }
        break;
    case OptionShape::List:
        if (!value.is_array()) {
            return wrong_type(option, "a list");
        }
        for (const json::Value& element : value.get_array()) {
            result.push_back(element.is_object() ? fields_text(element) : go_text(element));
        }
        return result;
    case OptionShape::Pairs:
        if (!value.is_object()) {
            return wrong_type(option, "an object");
        }
        for (const auto& member : value.get_object()) {
            if (option.key != "default-network-opts" || !member.value().is_object()) {
                result.push_back(TRY(pair_text(option, member.key(), member.value())));
                continue;
            }
            for (const auto& inner : member.value().get_object()) {
                result.push_back(
                    std::string(member.key()) + "=" + std::string(inner.key()) + "=" +
                    go_text(inner.value()));
            }
        }
        return result;
    }
    result.push_back(go_text(value));
    return result;
}

// "gc" is the build cache's; the rest tunes BuildKit, which is not here.
Result<void> read_builder(DaemonConfig& config, const json::Value& builder) {
    if (!builder.is_object()) {
        return invalid_argument("the value of \"builder\" must be an object");
    }
    for (const auto& member : builder.get_object()) {
        if (equals_ignoring_case(member.key(), "gc")) {
            config.builder_gc = TRY(parse_builder_gc(member.value()));
        } else {
            config.ignored.push_back("builder." + std::string(member.key()));
        }
    }
    return ok();
}

// Keys that no flag has: the members of "proxies" are flags' values, "builder" is a tree, and
// "host-gateway-ip" is the one address that Docker took before 28.
Result<json::Object> flattened(DaemonConfig& config, const json::Object& document) {
    json::Object flat;
    for (const auto& member : document) {
        if (member.key() == "builder") {
            TRY(read_builder(config, member.value()));
        } else if (member.key() == "proxies") {
            if (!member.value().is_object()) {
                return invalid_argument("the value of \"proxies\" must be an object");
            }
            for (const auto& proxy : member.value().get_object()) {
                flat.insert_or_assign(proxy.key(), proxy.value());
            }
        } else if (member.key() == "host-gateway-ip") {
            if (document.contains("host-gateway-ips")) {
                return invalid_argument(
                    "\"host-gateway-ip\" and \"host-gateway-ips\" are one option");
            }
            flat.insert_or_assign("host-gateway-ips", json::Array{member.value()});
        } else {
            flat.insert_or_assign(member.key(), member.value());
        }
    }
    return flat;
}

} // namespace

// moby's daemon/config/config.go, findConfigurationConflicts
Result<void>
apply_daemon_json(DaemonConfig& config, std::string_view text, const GivenOptions& given) {
    if (trim(text).empty()) {
        return ok();
    }
    const json::Value document = TRY(json::parse(text));
    if (!document.is_object()) {
        return invalid_argument("a JSON object is expected");
    }
    const json::Object options = TRY(flattened(config, document.get_object()));
    std::vector<std::string> unknown;
    std::vector<std::string> conflicts;
    for (const auto& member : options) {
        const DaemonOption* option = find_option_by_key(member.key());
        if (option == nullptr) {
            unknown.emplace_back(member.key());
            continue;
        }
        auto flag = given.find(option);
        if (flag != given.end()) {
            const bool many =
                option->shape == OptionShape::List || option->shape == OptionShape::Pairs;
            conflicts.push_back(
                std::string(member.key()) + ": (from flag: " +
                (many ? "[" + join(flag->second, " ") + "]" : flag->second.back()) +
                ", from file: " + go_text(member.value()) + ")");
        }
    }
    if (!unknown.empty()) {
        return invalid_argument(
            "the following directives don't match any configuration option: " +
            join(unknown, ", "));
    }
    if (!conflicts.empty()) {
        return invalid_argument(
            "the following directives are specified both as a flag and in the configuration "
            "file: " +
            join(conflicts, ", "));
    }
    for (const auto& member : options) {
        const DaemonOption& option = *find_option_by_key(member.key());
        config.file_keys.emplace(member.key());
        for (const std::string& value : TRY(texts(option, member.value()))) {
            TRY(option.apply(config, option, value));
        }
    }
    return ok();
}

} // namespace berth::engine
