// SPDX-License-Identifier: Apache-2.0
// inspect: the daemon's documents as they are, or through a template.
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/template.h"

#include <optional>
#include <span>

namespace berth::cli::commands {

namespace {

struct Kind {
    std::string_view name; // --type
    std::string_view before;
    std::string_view after;
};

constexpr Kind container_kind{"container", "/containers/", "/json"};
constexpr Kind image_kind{"image", "/images/", "/json"};
constexpr Kind network_kind{"network", "/networks/", ""};
constexpr Kind volume_kind{"volume", "/volumes/", ""};
constexpr Kind all_kinds[] = {container_kind, image_kind, volume_kind, network_kind};

struct Asked {
    bool size = false;    // of containers
    std::string platform; // of images
};

// The first kind that knows the name; NotFound when none does.
Result<json::Value> find_object(
    Session& session, std::span<const Kind> kinds, const std::string& name, const Asked& asked) {
    for (const Kind& kind : kinds) {
        std::string target =
            std::string(kind.before) + percent_encode(name) + std::string(kind.after);
        Query query;
        if (asked.size && kind.name == "container") {
            query.add("size", true);
        }
        if (kind.name == "image") {
            TRY(add_platform(query, asked.platform));
        }
        target += query.text();
        Result<json::Value> found = session.get(target);
        if (found.ok() || found.error().kind() != ErrorKind::NotFound || kinds.size() == 1) {
            return found;
        }
    }
    return not_found("No such object: " + name);
}

Result<int>
inspect_kinds(Session& session, const Invocation& invocation, std::span<const Kind> kinds) {
    Flags flags;
    std::string format;
    std::string type;
    Asked asked;
    flags.text("format", 'f', format, "Format output using a custom template");
    flags.boolean("size", 's', asked.size, "Display total file sizes if the type is container");
    if (kinds.size() == 1 && kinds.front().name == "image") {
        flags.text(
            "platform",
            0,
            asked.platform,
            "Inspect a specific platform of the multi-platform image (os[/arch[/variant]])");
    }
    if (kinds.size() > 1) {
        flags.text("type", 0, type, "Only inspect objects of the given type");
    }
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    if (!type.empty()) {
        std::optional<std::span<const Kind>> chosen;
        for (const Kind& kind : all_kinds) {
            if (kind.name == type) {
                chosen = std::span(&kind, 1);
            }
        }
        if (!chosen) {
            return invalid_argument("unknown type: \"" + type + "\"");
        }
        kinds = *chosen;
    }
    std::optional<Template> row;
    if (!format.empty() && format != "json") {
        row = TRY(Template::parse(format));
    }
    json::Array found;
    std::string errors;
    std::string text;
    for (const std::string& name : names) {
        Result<json::Value> object = find_object(session, kinds, name, asked);
        if (!object.ok()) {
            errors += "berth: " + object.error().message() + "\n";
        } else if (row) {
            text += TRY(row->render(*object)) + "\n";
        } else {
            found.push_back(std::move(*object));
        }
    }
    if (!row) {
        text = (format == "json" ? json::serialize(json::Value(found))
                                 : json::serialize_indented(json::Value(found), "    ")) +
               "\n";
    }
    TRY(print(text));
    print_error(errors);
    return errors.empty() ? 0 : 1;
}

} // namespace

Result<int> inspect(Session& session, const Invocation& invocation) {
    return inspect_kinds(session, invocation, all_kinds);
}

Result<int> inspect_container(Session& session, const Invocation& invocation) {
    return inspect_kinds(session, invocation, std::span(&container_kind, 1));
}

Result<int> inspect_image(Session& session, const Invocation& invocation) {
    return inspect_kinds(session, invocation, std::span(&image_kind, 1));
}

Result<int> inspect_network(Session& session, const Invocation& invocation) {
    return inspect_kinds(session, invocation, std::span(&network_kind, 1));
}

Result<int> inspect_volume(Session& session, const Invocation& invocation) {
    return inspect_kinds(session, invocation, std::span(&volume_kind, 1));
}

} // namespace berth::cli::commands
