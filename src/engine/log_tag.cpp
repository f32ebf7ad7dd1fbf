// SPDX-License-Identifier: Apache-2.0
// Go's templates as far as tags need them. https://docs.docker.com/engine/logging/log_tags/
#include "base/strings.h"
#include "engine/log_info.h"
#include "engine/names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

namespace berth::engine {
namespace {

std::string go_list_text(const std::vector<std::string>& list) {
    return "[" + join(list, " ") + "]"; // as Go prints one
}

std::optional<std::string> field_of(const LogInfo& info, std::string_view name) {
    const std::pair<std::string_view, std::string> fields[] = {
        {"ID", info.id.substr(0, short_id_length)},
        {"FullID", info.id},
        {"Name", info.name},
        {"ImageID", info.image_id.substr(0, short_id_length)},
        {"ImageFullID", info.image_id},
        {"ImageName", info.image_name},
        {"DaemonName", "docker"},
        {"Command", info.command()},
        {"Hostname", log_host_name()},
        {"ContainerID", info.id},
        {"ContainerName", "/" + info.name},
        {"ContainerEntrypoint", info.entrypoint},
        {"ContainerImageID", info.image_id},
        {"ContainerImageName", info.image_name},
        {"ContainerArgs", go_list_text(info.arguments)},
        {"ContainerEnv", go_list_text(info.environment)}};
    for (const auto& [known, value] : fields) {
        if (known == name) {
            return value;
        }
    }
    return std::nullopt;
}

Error unknown(std::string_view what) {
    return invalid_argument(
        "template: log-tag: \"" + std::string(what) + "\" is not known in a log tag");
}

Result<std::string> label_of(std::string_view quoted, const LogInfo& info) {
    if (quoted.size() < 2 || quoted.front() != '"' || quoted.back() != '"') {
        return unknown(quoted);
    }
    const auto found = info.labels.find(std::string(quoted.substr(1, quoted.size() - 2)));
    return found == info.labels.end() ? std::string() : found->second;
}

Result<std::string> apply_function(std::string_view function, const std::string& value) {
    if (function == "lower") {
        return to_lower(value);
    }
    if (function == "upper") {
        return to_upper(value);
    }
    if (function == "title") {
        std::string titled = value;
        bool begins = true;
        for (char& letter : titled) {
            const auto byte = static_cast<unsigned char>(letter);
            letter = begins ? static_cast<char>(std::toupper(byte)) : letter;
            begins = std::isspace(byte) != 0;
        }
        return titled;
    }
    return unknown(function);
}

// What stands between the braces: .Field, index .ContainerLabels "x", function .Field, and pipes.
Result<std::string> evaluate(std::string_view action, const LogInfo& info) {
    const std::vector<std::string_view> stages = split(action, '|');
    std::vector<std::string_view> first = words(stages.front());
    std::string value;
    if (first.size() == 1 && first[0].starts_with('.')) {
        auto field = field_of(info, first[0].substr(1));
        if (!field) {
            return unknown(first[0]);
        }
        value = std::move(*field);
    } else if (
        first.size() == 3 && first[0] == "index" &&
        (first[1] == ".ContainerLabels" || first[1] == ".Labels")) {
        value = TRY(label_of(first[2], info));
    } else if (first.size() == 2 && first[1].starts_with('.')) {
        auto field = field_of(info, first[1].substr(1));
        if (!field) {
            return unknown(first[1]);
        }
        value = TRY(apply_function(first[0], *field));
    } else {
        return unknown(trim(stages.front()));
    }
    for (std::size_t i = 1; i < stages.size(); ++i) {
        value = TRY(apply_function(trim(stages[i]), value));
    }
    return value;
}

} // namespace

Result<std::string> expand_log_tag(std::string_view text, const LogInfo& info) {
    std::string expanded;
    while (!text.empty()) {
        const auto start = cut(text, "{{");
        if (!start) {
            expanded += text;
            break;
        }
        expanded += start->before;
        const auto action = cut(start->after, "}}");
        if (!action) {
            return invalid_argument("template: log-tag:1: unclosed action");
        }
        std::string_view inner = action->before;
        text = action->after;
        if (inner.starts_with("- ")) {
            inner.remove_prefix(1);
            expanded.erase(expanded.find_last_not_of(" \t\n") + 1);
        }
        if (inner.ends_with(" -")) {
            inner.remove_suffix(1);
            text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
        }
        expanded += TRY(evaluate(trim(inner), info));
    }
    return expanded;
}

Result<std::string> log_tag(const LogInfo& info, std::string_view otherwise) {
    const std::string_view given = info.option("tag");
    return expand_log_tag(given.empty() ? otherwise : given, info);
}

} // namespace berth::engine
