// SPDX-License-Identifier: Apache-2.0
// Removing what is not used: containers, images, networks, volumes, cached build steps, or all of
// them. Words as in https://github.com/docker/cli/tree/v28.2.2/cli/command
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_options.h"
#include "cli/session.h"

#include <algorithm>
#include <optional>

#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr std::string_view go_on = "Are you sure you want to continue?";

struct PruneFlags {
    bool all = false;
    bool force = false;
    bool volumes = false;
    std::vector<std::string> filters;
    std::optional<std::int64_t> keep_storage;
};

// One kind of thing that can be removed when nobody uses it.
struct Prunable {
    std::string_view path;
    std::string_view member; // of the answer: what went
    std::string_view heading;
    std::string_view filter_help = "Provide filter values (e.g. \"until=<timestamp>\")";
    std::string_view all_help = {}; // empty: there is no --all
    std::string_view warning;
    std::string_view all_warning = {};
    // What --all and its absence say to the engine, as a filter.
    std::string_view all_filter = {};
    std::string_view not_all_filter = {};
    bool all_is_parameter = false; // ?all=1 instead
    bool keeps_storage = false;    // --keep-storage
    bool one_line = false;         // the question stands behind the warning
    bool says_total = true;
};

constexpr Prunable stopped_containers{
    .path = "/containers/prune",
    .member = "ContainersDeleted",
    .heading = "Deleted Containers:",
    .warning = "This will remove all stopped containers."};

constexpr Prunable unused_images{
    .path = "/images/prune",
    .member = "ImagesDeleted",
    .heading = "Deleted Images:",
    .all_help = "Remove all unused images, not just dangling ones",
    .warning = "This will remove all dangling images.",
    .all_warning = "This will remove all images without at least one container associated to them.",
    .all_filter = "dangling=false",
    .not_all_filter = "dangling=true"};

constexpr Prunable unused_networks{
    .path = "/networks/prune",
    .member = "NetworksDeleted",
    .heading = "Deleted Networks:",
    .warning = "This will remove all custom networks not used by at least one container.",
    .says_total = false};

constexpr Prunable unused_volumes{
    .path = "/volumes/prune",
    .member = "VolumesDeleted",
    .heading = "Deleted Volumes:",
    .filter_help = "Provide filter values (e.g. \"label=<label>\")",
    .all_help = "Remove all unused volumes, not just anonymous ones",
    .warning = "This will remove anonymous local volumes not used by at least one container.",
    .all_warning = "This will remove all local volumes not used by at least one container.",
    .all_filter = "all=true"};

constexpr Prunable unused_cache{
    .path = "/build/prune",
    .member = "CachesDeleted",
    .heading = "Deleted build cache objects:",
    .filter_help = "Provide filter values (e.g. \"until=24h\")",
    .all_help = "Remove all unused build cache, not just dangling ones",
    .warning = "This will remove all dangling build cache.",
    .all_warning = "This will remove all build cache.",
    .all_is_parameter = true,
    .keeps_storage = true,
    .one_line = true};

// What one endpoint removed, ready to print.
struct Pruned {
    std::string text;
    std::int64_t reclaimed = 0;
};

// False for anything but y or Y; the end of the input counts as no.
Result<bool> confirm(const std::string& question) {
    TRY(print(question + " [y/N] "));
    std::string answer;
    char character = 0;
    while (::read(STDIN_FILENO, &character, 1) == 1 && character != '\n') {
        answer += character;
    }
    return to_lower(trim(answer)) == "y";
}

// An image's lines say what happened to it, everything else is its name.
std::string line_of(const json::Value& removed) {
    if (removed.is_string()) {
        return std::string(removed.get_string()) + "\n";
    }
    const std::string untagged = text_of(removed, "Untagged");
    return untagged.empty() ? "deleted: " + text_of(removed, "Deleted") + "\n"
                            : "untagged: " + untagged + "\n";
}

Result<Pruned> prune(Session& session, const Prunable& what, const PruneFlags& chosen) {
    std::vector<std::string> filters = chosen.filters;
    const std::string_view own = chosen.all ? what.all_filter : what.not_all_filter;
    if (!own.empty()) {
        filters.emplace_back(own);
    }
    Query query;
    if (const std::string parameter = TRY(filters_parameter(filters)); !parameter.empty()) {
        query.add("filters", parameter);
    }
    if (what.all_is_parameter && chosen.all) {
        query.add("all", true);
    }
    if (what.keeps_storage && chosen.keep_storage) {
        // Its name before version 1.48 of the API, and since.
        query.add("keep-storage", std::to_string(*chosen.keep_storage));
        query.add("reserved-space", std::to_string(*chosen.keep_storage));
    }
    const json::Value answer = TRY(session.post(std::string(what.path) + query.text()));
    Pruned pruned{.text = {}, .reclaimed = number_of(answer, "SpaceReclaimed")};
    for (const json::Value& removed : list_of(answer, what.member)) {
        pruned.text += line_of(removed);
    }
    if (!pruned.text.empty()) {
        pruned.text = std::string(what.heading) + "\n" + pruned.text;
    }
    return pruned;
}

Result<int> print_pruned(const Pruned& pruned, bool says_total) {
    if (!pruned.text.empty()) {
        TRY(print(pruned.text + "\n"));
    }
    if (says_total) {
        TRY(print("Total reclaimed space: " + human_size(pruned.reclaimed, 4) + "\n"));
    }
    return 0;
}

void declare_force(Flags& flags, PruneFlags& chosen) {
    flags.boolean("force", 'f', chosen.force, "Do not prompt for confirmation");
}

// The whole of a command for one kind. Without a yes it ends with 0 and without a word, as docker's
// does.
Result<int> prune_command(Session& session, const Invocation& invocation, const Prunable& what) {
    Flags flags;
    PruneFlags chosen;
    declare_force(flags, chosen);
    flags.list("filter", 0, chosen.filters, what.filter_help);
    if (!what.all_help.empty()) {
        flags.boolean("all", 'a', chosen.all, what.all_help);
    }
    if (what.keeps_storage) {
        flags.checked(
            "keep-storage",
            0,
            "bytes",
            [&chosen](std::string_view text) -> Result<void> {
                chosen.keep_storage = TRY(parse_bytes(text));
                return ok();
            },
            "Amount of disk space to keep for cache");
    }
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const std::string warning(chosen.all ? what.all_warning : what.warning);
    const std::string question =
        "WARNING! " + warning + (what.one_line ? " " : "\n") + std::string(go_on);
    if (!chosen.force && !TRY(confirm(question))) {
        return 0;
    }
    const Pruned pruned = TRY(prune(session, what, chosen));
    return print_pruned(pruned, what.says_total);
}

std::string system_warning(const PruneFlags& chosen) {
    std::string text = "This will remove:\n"
                       "  - all stopped containers\n"
                       "  - all networks not used by at least one container\n";
    if (chosen.volumes) {
        text += "  - all anonymous volumes not used by at least one container\n";
    }
    text += chosen.all ? "  - all images without at least one container associated to them\n"
                         "  - all build cache\n"
                       : "  - all dangling images\n  - unused build cache\n";
    if (!chosen.filters.empty()) {
        text += "\n  Items to be pruned will be filtered with:\n";
        for (const std::string& filter : chosen.filters) {
            text += "  - " + filter + "\n";
        }
    }
    return text;
}

} // namespace

Result<int> container_prune(Session& session, const Invocation& invocation) {
    return prune_command(session, invocation, stopped_containers);
}

Result<int> image_prune(Session& session, const Invocation& invocation) {
    return prune_command(session, invocation, unused_images);
}

Result<int> network_prune(Session& session, const Invocation& invocation) {
    return prune_command(session, invocation, unused_networks);
}

Result<int> volume_prune(Session& session, const Invocation& invocation) {
    return prune_command(session, invocation, unused_volumes);
}

Result<int> builder_prune(Session& session, const Invocation& invocation) {
    return prune_command(session, invocation, unused_cache);
}

// In docker's order; images after the containers that used them.
Result<int> system_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    flags.boolean("all", 'a', chosen.all, "Remove all unused images not just dangling ones");
    flags.boolean("volumes", 0, chosen.volumes, "Prune anonymous volumes");
    declare_force(flags, chosen);
    flags.list("filter", 0, chosen.filters, "Provide filter values (e.g. \"label=<key>=<value>\")");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const bool by_time = std::ranges::any_of(
        chosen.filters, [](const std::string& filter) { return filter.starts_with("until="); });
    if (chosen.volumes && by_time) {
        return invalid_argument(R"(ERROR: The "until" filter is not supported with "--volumes")");
    }
    const std::string question = "WARNING! " + system_warning(chosen) + "\n" + std::string(go_on);
    if (!chosen.force && !TRY(confirm(question))) {
        return 0;
    }
    PruneFlags anonymous = chosen; // --all is about images, never about named volumes
    anonymous.all = false;
    std::vector<Pruned> parts;
    parts.push_back(TRY(prune(session, stopped_containers, chosen)));
    parts.push_back(TRY(prune(session, unused_networks, chosen)));
    if (chosen.volumes) {
        parts.push_back(TRY(prune(session, unused_volumes, anonymous)));
    }
    parts.push_back(TRY(prune(session, unused_images, chosen)));
    parts.push_back(TRY(prune(session, unused_cache, chosen)));
    Pruned all;
    for (const Pruned& part : parts) {
        all.reclaimed += part.reclaimed;
        if (!part.text.empty()) {
            TRY(print(part.text + "\n"));
        }
    }
    return print_pruned({.text = {}, .reclaimed = all.reclaimed}, true);
}

} // namespace berth::cli::commands
