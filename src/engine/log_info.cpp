// SPDX-License-Identifier: Apache-2.0
// Labels and variables by name or by pattern.
#include "engine/log_info.h"

#include "base/strings.h"
#include "engine/container.h"
#include "engine/container_record.h"
#include "engine/pattern.h"

#include <array>
#include <cctype>

#include <unistd.h>

namespace berth::engine {
namespace {

StringMap variables_of(const std::vector<std::string>& environment) {
    StringMap variables;
    for (const std::string& text : environment) {
        if (const auto parts = cut(text, "=")) {
            variables.insert_or_assign(std::string(parts->before), std::string(parts->after));
        }
    }
    return variables;
}

// Go's url.QueryEscape.
void append_escaped(std::string& out, std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char letter : text) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte < 0x80 && (std::isalnum(byte) != 0 ||
                            std::string_view("-_.~").find(letter) != std::string_view::npos)) {
            out += letter;
        } else if (letter == ' ') {
            out += '+';
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 0xfU];
        }
    }
}

} // namespace

std::string_view LogInfo::option(const std::string& wanted) const {
    const auto found = options.find(wanted);
    return found == options.end() ? std::string_view() : found->second;
}

std::string LogInfo::command() const {
    std::vector<std::string> words{entrypoint};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return join(words, " ");
}

LogInfo log_info_of(const ContainerDefinition& definition) {
    return {
        .options = definition.host_config.log_config.config,
        .id = definition.id,
        .name = definition.name,
        .entrypoint = definition.path,
        .arguments = definition.arguments,
        .image_id = definition.image_id,
        .image_name = definition.config.image,
        .created = definition.created,
        .environment = definition.config.env,
        .labels = definition.config.labels};
}

LogInfo log_info_of(const ContainerInspect& container) {
    return {
        .options = container.host_config.log_config.config,
        .id = container.id,
        .name = container.name.substr(container.name.starts_with('/') ? 1 : 0),
        .entrypoint = container.path,
        .arguments = container.args,
        .image_id = container.image_id,
        .image_name = container.config.image,
        .created = container.created,
        .environment = container.config.env,
        .labels = container.config.labels};
}

Result<StringMap>
log_attributes(const LogInfo& info, const std::function<std::string(std::string_view)>& rename) {
    StringMap chosen;
    const auto choose = [&](const StringMap& from,
                            const std::string& by_name,
                            const std::string& by_pattern) -> Result<void> {
        const auto take = [&](const std::string& name, const std::string& value) {
            chosen.insert_or_assign(rename ? rename(name) : name, value);
        };
        for (const std::string_view name : split(info.option(by_name), ',')) {
            if (const auto found = from.find(std::string(name)); found != from.end()) {
                take(found->first, found->second);
            }
        }
        if (const std::string_view text = info.option(by_pattern); !text.empty()) {
            const Pattern pattern = TRY(Pattern::compile(text));
            for (const auto& [name, value] : from) {
                if (pattern.matches(name)) {
                    take(name, value);
                }
            }
        }
        return ok();
    };
    TRY(choose(info.labels, "labels", "labels-regex"));
    TRY(choose(variables_of(info.environment), "env", "env-regex"));
    return chosen;
}

Result<StringMap> local_log_attributes(const LogInfo& info) {
    StringMap chosen = TRY(log_attributes(info));
    if (std::string tag = TRY(log_tag(info, "")); !tag.empty()) {
        chosen.insert_or_assign("tag", std::move(tag));
    }
    return chosen;
}

std::string log_details(const LogInfo& info, std::string_view driver) {
    if (driver != "json-file" && driver != "local") {
        return {};
    }
    const StringMap attributes = local_log_attributes(info).value_or(StringMap());
    std::string text;
    for (const auto& [name, value] : attributes) {
        text += text.empty() ? "" : ",";
        append_escaped(text, name);
        text += '=';
        append_escaped(text, value);
    }
    return text;
}

std::string log_host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "localhost";
}

} // namespace berth::engine
