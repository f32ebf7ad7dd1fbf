// SPDX-License-Identifier: Apache-2.0
// Columns and signs as in https://github.com/docker/cli/blob/v28.2.2/cli/command/image/tree.go
#include "cli/commands/image_tree.h"

#include "base/strings.h"
#include "cli/listing.h"
#include "cli/output.h"

#include <algorithm>
#include <string>
#include <vector>

namespace berth::cli::commands {

namespace {

json::Object make_row(std::string name, std::string id, std::string used, std::string content) {
    return {
        {"Image", std::move(name)},
        {"ID", std::move(id)},
        {"DiskUsage", std::move(used)},
        {"ContentSize", std::move(content)},
        {"Extra", ""}};
}

std::string platform_text(const json::Value& platform) {
    std::string text = text_of(platform, "os") + "/" + text_of(platform, "architecture");
    const std::string variant = text_of(platform, "variant");
    return variant.empty() ? text : text + "/" + variant;
}

const json::Value& member(const json::Value& object, std::string_view name) {
    static const json::Value nothing;
    const json::Value* found = json::find(object, name);
    return found == nullptr ? nothing : *found;
}

std::vector<std::string> names_of(const json::Value& image, std::string_view wanted) {
    std::vector<std::string> names;
    bool named = false;
    for (const json::Value& entry : list_of(image, "RepoTags")) {
        const std::string name = entry.is_string() ? std::string(entry.get_string()) : "";
        const auto parts = cut_last(name, ":");
        if (!parts || name == "<none>:<none>") {
            continue;
        }
        named = true;
        if (wanted.empty() || name == wanted || parts->before == wanted) {
            names.push_back(name);
        }
    }
    if (!named && wanted.empty()) {
        names.emplace_back("<untagged>");
    }
    return names;
}

struct Platforms {
    std::vector<json::Object> rows;
    std::int64_t used = 0;
    std::int64_t content = 0;
    bool in_use = false;
};

Platforms platforms_of(const json::Value& image, bool no_trunc) {
    Platforms found;
    for (const json::Value& manifest : list_of(image, "Manifests")) {
        const json::Value& size = member(manifest, "Size");
        const std::int64_t total = number_of(size, "Total");
        const std::int64_t content = number_of(size, "Content");
        found.used += total;
        found.content += content;
        if (text_of(manifest, "Kind") != "image") {
            continue; // an attestation counts, but is not shown
        }
        const json::Value& data = member(manifest, "ImageData");
        const std::string id = text_of(manifest, "ID");
        json::Object row = make_row(
            platform_text(member(data, "Platform")),
            no_trunc ? id : short_id(id),
            human_size(total),
            human_size(content));
        if (!list_of(data, "Containers").empty()) {
            row["Extra"] = "U";
            found.in_use = true;
        }
        found.rows.push_back(std::move(row));
    }
    return found;
}

} // namespace

Result<void> check_tree_flags(std::initializer_list<TreeConflict> given) {
    for (const auto& [name, is_set] : given) {
        if (is_set) {
            return invalid_argument("--" + std::string(name) + " is not supported with --tree");
        }
    }
    return ok();
}

Result<void> print_image_tree(const json::Value& list, std::string_view wanted, bool no_trunc) {
    std::vector<json::Object> rows;
    for (const json::Value& image : list.is_array() ? list.get_array() : json::Array()) {
        const std::vector<std::string> names = names_of(image, wanted);
        Platforms platforms = platforms_of(image, no_trunc);
        const std::string id = text_of(image, "Id");
        for (std::size_t i = 0; i < names.size(); ++i) {
            json::Object row = make_row(
                names[i],
                no_trunc ? id : short_id(id),
                human_size(platforms.used),
                human_size(platforms.content));
            row["Extra"] = platforms.in_use ? "U" : "";
            rows.push_back(std::move(row));
        }
        for (std::size_t i = 0; !names.empty() && i < platforms.rows.size(); ++i) {
            json::Object& row = platforms.rows[i];
            const bool last = i + 1 == platforms.rows.size();
            row["Image"] = (last ? "└─ " : "├─ ") + std::string(row["Image"].as_string());
            rows.push_back(std::move(row));
        }
    }
    return print_rows(
        {{"Image", "IMAGE"},
         {"ID", "ID"},
         {"DiskUsage", "DISK USAGE"},
         {"ContentSize", "CONTENT SIZE"},
         {"Extra", "EXTRA"}},
        rows,
        "");
}

} // namespace berth::cli::commands
