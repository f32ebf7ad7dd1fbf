// SPDX-License-Identifier: Apache-2.0
// Removing what is not used: containers, images, networks, volumes, cached build steps, or all of
// them. Words as in https://github.com/docker/cli/tree/v28.2.2/cli/command
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

#include <algorithm>

#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr std::string_view go_on = "Are you sure you want to continue?";

struct PruneFlags {
    bool all = false;
    bool force = false;
    bool volumes = false;
    std::vector<std::string> filters;
};

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

// False: the command ends with 0 and without a word, as docker's does.
Result<bool> may_go_on(const PruneFlags& chosen, const std::string& warning) {
    if (chosen.force) {
        return true;
    }
    return confirm("WARNING! " + warning + "\n" + std::string(go_on));
}

Result<std::string> target_of(std::string_view path, const std::vector<std::string>& filters) {
    Query query;
    std::string parameter = TRY(filters_parameter(filters));
    if (!parameter.empty()) {
        query.add("filters", parameter);
    }
    return std::string(path) + query.text();
}

// The names of one member of the answer, one a line below their heading; "" for none.
Pruned listed(const json::Value& answer, std::string_view member, std::string_view heading) {
    Pruned pruned{.text = {}, .reclaimed = number_of(answer, "SpaceReclaimed")};
    for (const json::Value& name : list_of(answer, member)) {
        pruned.text += name.is_string() ? std::string(name.get_string()) + "\n" : "";
    }
    if (!pruned.text.empty()) {
        pruned.text = std::string(heading) + "\n" + pruned.text;
    }
    return pruned;
}

Result<Pruned> prune_containers(Session& session, const PruneFlags& chosen) {
    const std::string target = TRY(target_of("/containers/prune", chosen.filters));
    return listed(TRY(session.post(target)), "ContainersDeleted", "Deleted Containers:");
}

Result<Pruned> prune_networks(Session& session, const PruneFlags& chosen) {
    const std::string target = TRY(target_of("/networks/prune", chosen.filters));
    return listed(TRY(session.post(target)), "NetworksDeleted", "Deleted Networks:");
}

Result<Pruned> prune_volumes(Session& session, const PruneFlags& chosen) {
    std::vector<std::string> filters = chosen.filters;
    if (chosen.all) {
        filters.emplace_back("all=true");
    }
    const std::string target = TRY(target_of("/volumes/prune", filters));
    return listed(TRY(session.post(target)), "VolumesDeleted", "Deleted Volumes:");
}

Result<Pruned> prune_images(Session& session, const PruneFlags& chosen) {
    std::vector<std::string> filters = chosen.filters;
    filters.emplace_back(chosen.all ? "dangling=false" : "dangling=true");
    const std::string target = TRY(target_of("/images/prune", filters));
    const json::Value answer = TRY(session.post(target));
    Pruned pruned{.text = {}, .reclaimed = number_of(answer, "SpaceReclaimed")};
    for (const json::Value& step : list_of(answer, "ImagesDeleted")) {
        const std::string untagged = text_of(step, "Untagged");
        pruned.text += untagged.empty() ? "deleted: " + text_of(step, "Deleted") + "\n"
                                        : "untagged: " + untagged + "\n";
    }
    if (!pruned.text.empty()) {
        pruned.text = "Deleted Images:\n" + pruned.text;
    }
    return pruned;
}

Result<Pruned> prune_build_cache(Session& session, const PruneFlags& chosen) {
    std::string target = TRY(target_of("/build/prune", chosen.filters));
    if (chosen.all) {
        target += target.find('?') == std::string::npos ? "?all=1" : "&all=1";
    }
    return listed(TRY(session.post(target)), "CachesDeleted", "Deleted build cache objects:");
}

Result<int> print_pruned(const Pruned& pruned) {
    if (!pruned.text.empty()) {
        TRY(print(pruned.text + "\n"));
    }
    TRY(print("Total reclaimed space: " + human_size(pruned.reclaimed, 4) + "\n"));
    return 0;
}

void declare(Flags& flags, PruneFlags& chosen) {
    flags.boolean("force", 'f', chosen.force, "Do not prompt for confirmation");
}

void declare_filter(Flags& flags, PruneFlags& chosen) {
    flags.list("filter", 0, chosen.filters, "Provide filter values (e.g. \"until=<timestamp>\")");
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
    Flags flags;
    PruneFlags chosen;
    declare(flags, chosen);
    declare_filter(flags, chosen);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    if (!TRY(may_go_on(chosen, "This will remove all stopped containers."))) {
        return 0;
    }
    return print_pruned(TRY(prune_containers(session, chosen)));
}

Result<int> image_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    flags.boolean("all", 'a', chosen.all, "Remove all unused images, not just dangling ones");
    declare(flags, chosen);
    declare_filter(flags, chosen);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const std::string warning =
        chosen.all ? "This will remove all images without at least one container associated to "
                     "them."
                   : "This will remove all dangling images.";
    if (!TRY(may_go_on(chosen, warning))) {
        return 0;
    }
    return print_pruned(TRY(prune_images(session, chosen)));
}

Result<int> network_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    declare(flags, chosen);
    declare_filter(flags, chosen);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const std::string warning =
        "This will remove all custom networks not used by at least one container.";
    if (!TRY(may_go_on(chosen, warning))) {
        return 0;
    }
    const Pruned pruned = TRY(prune_networks(session, chosen));
    if (!pruned.text.empty()) {
        TRY(print(pruned.text + "\n"));
    }
    return 0;
}

Result<int> volume_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    flags.boolean("all", 'a', chosen.all, "Remove all unused volumes, not just anonymous ones");
    flags.list("filter", 0, chosen.filters, "Provide filter values (e.g. \"label=<label>\")");
    declare(flags, chosen);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const std::string warning = std::string("This will remove ") +
                                (chosen.all ? "all" : "anonymous") +
                                " local volumes not used by at least one container.";
    if (!TRY(may_go_on(chosen, warning))) {
        return 0;
    }
    return print_pruned(TRY(prune_volumes(session, chosen)));
}

Result<int> builder_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    flags.boolean("all", 'a', chosen.all, "Remove all unused build cache, not just dangling ones");
    declare(flags, chosen);
    declare_filter(flags, chosen);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const std::string warning = chosen.all ? "This will remove all build cache."
                                           : "This will remove all dangling build cache.";
    // On one line, unlike the others.
    if (!chosen.force && !TRY(confirm("WARNING! " + warning + " " + std::string(go_on)))) {
        return 0;
    }
    return print_pruned(TRY(prune_build_cache(session, chosen)));
}

// In docker's order; images after the containers that used them.
Result<int> system_prune(Session& session, const Invocation& invocation) {
    Flags flags;
    PruneFlags chosen;
    flags.boolean("all", 'a', chosen.all, "Remove all unused images not just dangling ones");
    flags.boolean("volumes", 0, chosen.volumes, "Prune anonymous volumes");
    declare(flags, chosen);
    flags.list("filter", 0, chosen.filters, "Provide filter values (e.g. \"label=<key>=<value>\")");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const bool by_time = std::ranges::any_of(
        chosen.filters, [](const std::string& filter) { return filter.starts_with("until="); });
    if (chosen.volumes && by_time) {
        return invalid_argument(R"(ERROR: The "until" filter is not supported with "--volumes")");
    }
    if (!TRY(may_go_on(chosen, system_warning(chosen)))) {
        return 0;
    }
    PruneFlags anonymous = chosen; // --all is about images, never about named volumes
    anonymous.all = false;
    std::vector<Pruned> parts;
    parts.push_back(TRY(prune_containers(session, chosen)));
    parts.push_back(TRY(prune_networks(session, chosen)));
    if (chosen.volumes) {
        parts.push_back(TRY(prune_volumes(session, anonymous)));
    }
    parts.push_back(TRY(prune_images(session, chosen)));
    parts.push_back(TRY(prune_build_cache(session, chosen)));
    Pruned all;
    for (const Pruned& part : parts) {
        all.reclaimed += part.reclaimed;
        if (!part.text.empty()) {
            TRY(print(part.text + "\n"));
        }
    }
    return print_pruned({.text = {}, .reclaimed = all.reclaimed});
}

} // namespace berth::cli::commands
