// SPDX-License-Identifier: Apache-2.0
// The lookups of moby/sys/user's GetExecUser and GetAdditionalGroups, except that a number is
// never looked up as a name and that everything is bounded.
#include "runtime/user.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/path.h"

#include <algorithm>
#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::runtime {

namespace {

constexpr std::size_t passwd_fields = 7;
constexpr std::size_t group_fields = 4;

// Calls visit with the fields of each line until it answers false. Lines that are too long or have
// too few fields are skipped, comments too.
void for_each_entry(
    std::string_view text,
    std::size_t fields,
    const std::function<bool(const std::vector<std::string_view>&)>& visit) {
    while (!text.empty()) {
        std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = trim(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#' || line.size() > max_user_database_line) {
            continue;
        }
        std::vector<std::string_view> parts = split(line, ':');
        if (parts.size() >= fields && !visit(parts)) {
            return;
        }
    }
}

bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Docker: uids and gids are 0 to 2^31-1.
Result<std::uint32_t> parse_id(std::string_view text) {
    auto id = parse_number<std::int32_t>(text);
    if (!id.ok() || *id < 0) {
        return invalid_argument("uids and gids must be in range 0-2147483647");
    }
    return static_cast<std::uint32_t>(*id);
}

struct PasswdEntry {
    std::string name;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string home;
};

std::optional<PasswdEntry>
find_passwd(std::string_view passwd, const std::function<bool(const PasswdEntry&)>& fits) {
    std::optional<PasswdEntry> found;
    for_each_entry(passwd, passwd_fields - 1, [&](const std::vector<std::string_view>& parts) {
        auto uid = parse_number<std::uint32_t>(parts[2]);
        auto gid = parse_number<std::uint32_t>(parts[3]);
        if (!uid.ok() || !gid.ok()) {
            return true;
        }
        PasswdEntry entry{std::string(parts[0]), *uid, *gid, std::string(parts[5])};
        if (fits(entry)) {
            found = std::move(entry);
        }
        return !found;
    });
    return found;
}

std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name) {
    std::optional<std::uint32_t> found;
    for_each_entry(group, group_fields - 1, [&](const std::vector<std::string_view>& parts) {
        if (parts[0] == name) {
            auto gid = parse_number<std::uint32_t>(parts[2]);
            if (gid.ok()) {
                found = *gid;
            }
        }
        return !found;
    });
    return found;
}

Result<std::vector<std::uint32_t>>
groups_with_member(std::string_view group, std::string_view name) {
    std::vector<std::uint32_t> gids;
    bool too_many = false;
    for_each_entry(group, group_fields, [&](const std::vector<std::string_view>& parts) {
        auto gid = parse_number<std::uint32_t>(parts[2]);
        std::vector<std::string_view> members = split(parts[3], ',');
        if (gid.ok() && std::find(members.begin(), members.end(), name) != members.end()) {
            gids.push_back(*gid);
        }
        too_many = gids.size() > max_supplementary_groups;
        return !too_many;
    });
    if (too_many) {
        return Error(
            ErrorKind::ResourceExhausted,
            "user " + std::string(name) + " is in more than " +
                std::to_string(max_supplementary_groups) + " groups");
    }
    return gids;
}

Result<void> resolve_name(ResolvedUser& user, std::string& name, std::string_view passwd) {
    std::optional<PasswdEntry> entry;
    if (is_number(name)) {
        user.uid = TRY(parse_id(name));
        entry = find_passwd(
            passwd, [&](const PasswdEntry& candidate) { return candidate.uid == user.uid; });
        name = entry ? entry->name : "";
    } else {
        entry = find_passwd(
            passwd, [&](const PasswdEntry& candidate) { return candidate.name == name; });
        if (!entry) {
            return invalid_argument(
                "unable to find user " + name + ": no matching entries in passwd file");
        }
    }
    if (entry) {
        user.uid = entry->uid;
        user.gid = entry->gid;
        user.home = entry->home.empty() ? "/" : entry->home;
    }
    return ok();
}

Result<void>
add_groups(ResolvedUser& user, std::string_view group, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        std::uint32_t gid = 0;
        if (is_number(name)) {
            gid = TRY(parse_id(name));
        } else if (auto found = find_group(group, name)) {
            gid = *found;
        } else {
            return invalid_argument("Unable to find group " + name);
        }
        user.additional_gids.push_back(gid);
    }
    std::sort(user.additional_gids.begin(), user.additional_gids.end());
    user.additional_gids.erase(
        std::unique(user.additional_gids.begin(), user.additional_gids.end()),
        user.additional_gids.end());
    return ok();
}

} // namespace

Result<ResolvedUser> resolve_user_in(
    std::string_view passwd,
    std::string_view group,
    std::string_view spec,
    const std::vector<std::string>& additional_groups) {
    std::vector<std::string_view> parts = split(spec, ':');
    if (parts.size() > 2) {
        return invalid_argument("invalid user \"" + std::string(spec) + "\"");
    }
    std::string name(parts[0]);
    std::string group_name(parts.size() == 2 ? parts[1] : "");
    ResolvedUser user;
    if (name.empty()) {
        name = "0";
    }
    TRY(resolve_name(user, name, passwd));
    if (!group_name.empty()) {
        // An explicit group takes the place of all that the files say.
        if (is_number(group_name)) {
            user.gid = TRY(parse_id(group_name));
        } else if (auto gid = find_group(group, group_name)) {
            user.gid = *gid;
        } else {
            return invalid_argument(
                "unable to find group " + group_name + ": no matching entries in group file");
        }
    } else if (!name.empty()) {
        user.additional_gids = TRY(groups_with_member(group, name));
    }
    // The own group is a supplementary one too: a process that gives up its primary group must not
    // be freed of what the group is denied (CVE-2022-36109).
    user.additional_gids.push_back(user.gid);
    TRY(add_groups(user, group, additional_groups));
    return user;
}

std::optional<std::string> home_of(std::string_view passwd, std::uint32_t uid) {
    std::optional<PasswdEntry> entry =
        find_passwd(passwd, [uid](const PasswdEntry& candidate) { return candidate.uid == uid; });
    return entry ? std::optional(entry->home) : std::nullopt;
}

Result<std::string> read_user_database(FdRef root, std::string_view path) {
    // O_NONBLOCK: a fifo in the image must not make us wait.
    Result<UniqueFd> file = kernel::open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file.ok()) {
        int number = file.error().error_number();
        if (number == ENOENT || number == ENOTDIR || number == ELOOP) {
            return std::string();
        }
        return std::move(file).error();
    }

    struct stat status {};

    if (::fstat(file->get(), &status) < 0 || !S_ISREG(status.st_mode)) {
        return invalid_argument(std::string(path) + " of the container is no regular file");
    }
    return read_all(*file, max_user_database_bytes);
}

Result<ResolvedUser>
resolve_user(FdRef root, std::string_view spec, const std::vector<std::string>& additional_groups) {
    std::string passwd = TRY_CONTEXT(read_user_database(root, "etc/passwd"), "etc/passwd");
    std::string group = TRY_CONTEXT(read_user_database(root, "etc/group"), "etc/group");
    return resolve_user_in(passwd, group, spec, additional_groups);
}

} // namespace berth::runtime
