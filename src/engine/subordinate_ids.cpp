// SPDX-License-Identifier: Apache-2.0
// After moby's user/idtools: lines of the user's number and of its name, one range after the other.
#include "engine/subordinate_ids.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/daemon_config.h"
#include "runtime/user.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <vector>

#include <fcntl.h>

namespace berth::engine {
namespace {

constexpr std::size_t file_limit = 4U << 20;
constexpr std::uint64_t id_end = std::numeric_limits<std::uint32_t>::max(); // no id itself
constexpr std::uint64_t first_free = 100'000;                               // as useradd(8) begins
constexpr std::uint64_t usual_size = 65'536;

struct Line {
    std::string_view owner;
    std::uint64_t first = 0;
    std::uint64_t size = 0;
};

// Lines that say nothing are passed over, as by newuidmap(1).
std::vector<Line> subordinate_lines(std::string_view text) {
    std::vector<Line> lines;
    for (const std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> fields = split(trim(line), ':');
        if (fields.size() != 3 || fields[0].empty() || fields[0].starts_with('#')) {
            continue;
        }
        const auto first = parse_number<std::uint32_t>(fields[1]);
        const auto size = parse_number<std::uint32_t>(fields[2]);
        if (first.ok() && size.ok()) {
            lines.push_back({fields[0], *first, *size});
        }
    }
    return lines;
}

struct Wanted {
    std::vector<std::string> names; // of which lines may begin
    std::string example;            // the one that a line to be added should begin with
    std::string what;               // "subuid" or "subgid"
    const std::string& path;
};

std::string missing(const Wanted& wanted, const std::vector<Line>& lines) {
    std::uint64_t free = first_free;
    for (const Line& line : lines) {
        free = std::max(free, line.first + line.size);
    }
    return "no " + wanted.what + " ranges found for user \"" + wanted.example +
           "\": add a line such as \"" + wanted.example + ":" + std::to_string(free) + ":" +
           std::to_string(usual_size) + "\" to " + wanted.path;
}

Result<void> check(const std::vector<kernel::IdRange>& ranges, const Wanted& wanted) {
    std::uint64_t inside = 0;
    for (const kernel::IdRange& range : ranges) {
        const std::uint64_t end = std::uint64_t{range.outside} + range.size;
        const auto refuse = [&](std::string_view why) {
            return invalid_argument(
                "the " + wanted.what + " range " + wanted.example + ":" +
                std::to_string(range.outside) + ":" + std::to_string(range.size) + " of " +
                wanted.path + " " + std::string(why));
        };
        if (range.size == 0 || end > id_end) {
            return refuse("holds no ids, or more than there are");
        }
        if (range.outside == 0) {
            return refuse("holds the host's root");
        }
        inside += range.size;
        for (const kernel::IdRange& other : ranges) {
            const std::uint64_t other_end = std::uint64_t{other.outside} + other.size;
            if (&other != &range && range.outside < other_end && other.outside < end) {
                return refuse("overlaps with another of the same user");
            }
        }
    }
    return inside < id_end ? ok()
                           : Result<void>(invalid_argument(
                                 "the " + wanted.what + " ranges of " + wanted.example +
                                 " hold more ids than there are"));
}

Result<std::vector<kernel::IdRange>> ranges_of(const Wanted& wanted) {
    auto text = read_file(wanted.path, file_limit);
    if (!text.ok() && text.error().error_number() != ENOENT) {
        return std::move(text).error();
    }
    const std::string content = text.ok() ? *text : std::string();
    const std::vector<Line> lines = subordinate_lines(content);
    std::vector<kernel::IdRange> ranges;
    std::uint64_t inside = 0;
    for (const std::string& name : wanted.names) {
        for (const Line& line : lines) {
            if (line.owner == name) {
                ranges.push_back(
                    {static_cast<std::uint32_t>(inside),
                     static_cast<std::uint32_t>(line.first),
                     static_cast<std::uint32_t>(line.size)});
                inside = std::min(inside + line.size, id_end);
            }
        }
        if (!ranges.empty()) {
            break; // dockerd: the lines of the first that has any
        }
    }
    if (ranges.empty()) {
        return invalid_argument(missing(wanted, lines));
    }
    TRY(check(ranges, wanted));
    return ranges;
}

// The user's number and name, as far as /etc/passwd knows both.
Result<std::vector<std::string>> names_of(const std::string& user, FdRef root) {
    std::vector<std::string> names{user};
    const std::string passwd = TRY(runtime::read_user_database(root, "etc/passwd"));
    for (const std::string_view line : split(passwd, '\n')) {
        const std::vector<std::string_view> fields = split(line, ':');
        if (fields.size() >= 3 && (fields[0] == user || fields[2] == user)) {
            return std::vector<std::string>{std::string(fields[2]), std::string(fields[0])};
        }
    }
    return names;
}

} // namespace

Result<RemapOwner> parse_userns_remap(std::string_view text) {
    if (text == "default") {
        return RemapOwner{.user = "dockremap", .group = "dockremap"};
    }
    const auto parts = cut(text, ":");
    RemapOwner owner{
        .user = std::string(parts ? parts->before : text),
        .group = parts ? std::string(parts->after) : std::string()};
    const auto is_bad = [](std::string_view name) {
        return name.empty() || name.find_first_of(": \t\n,") != std::string_view::npos;
    };
    if (is_bad(owner.user) || (parts && is_bad(owner.group))) {
        return invalid_argument(
            "invalid user/group specification in --userns-remap: \"" + std::string(text) + "\"");
    }
    return owner;
}

bool DaemonConfig::remaps_users() const {
    const auto owner = parse_userns_remap(userns_remap);
    return owner.ok() && !maps_nothing(*owner);
}

bool maps_nothing(const RemapOwner& owner) {
    return owner.user == "root" || owner.user == "0";
}

Result<kernel::IdMaps> subordinate_ids(const RemapOwner& owner, const SubordinateFiles& files) {
    const UniqueFd root = TRY(open_file(files.root, O_PATH | O_DIRECTORY));
    const std::vector<std::string> names = TRY(names_of(owner.user, root));
    kernel::IdMaps maps;
    maps.uids = TRY_CONTEXT(
        ranges_of({.names = names, .example = names.back(), .what = "subuid", .path = files.users}),
        "--userns-remap");
    // subgid(5) has the user's name, too; dockerd once looked for the group's.
    std::vector<std::string> group_names = names;
    if (!owner.group.empty()) {
        group_names.push_back(owner.group);
    }
    maps.gids = TRY_CONTEXT(
        ranges_of(
            {.names = group_names,
             .example = names.back(),
             .what = "subgid",
             .path = files.groups}),
        "--userns-remap");
    return maps;
}

} // namespace berth::engine
