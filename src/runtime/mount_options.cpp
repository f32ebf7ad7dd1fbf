// SPDX-License-Identifier: Apache-2.0
// Tables of names; everything else is the file system's to understand or to refuse.
#include "runtime/mount_options.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <sys/mount.h>

namespace berth::runtime {

namespace {

struct AttributeName {
    std::string_view name;
    std::uint64_t attribute;
    bool set;
};

// Each one has a recursive form with an "r" before it.
constexpr auto attribute_names = std::to_array<AttributeName>(
    {{"ro", MOUNT_ATTR_RDONLY, true},
     {"rw", MOUNT_ATTR_RDONLY, false},
     {"nosuid", MOUNT_ATTR_NOSUID, true},
     {"suid", MOUNT_ATTR_NOSUID, false},
     {"nodev", MOUNT_ATTR_NODEV, true},
     {"dev", MOUNT_ATTR_NODEV, false},
     {"noexec", MOUNT_ATTR_NOEXEC, true},
     {"exec", MOUNT_ATTR_NOEXEC, false},
     {"nodiratime", MOUNT_ATTR_NODIRATIME, true},
     {"diratime", MOUNT_ATTR_NODIRATIME, false},
     {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, true},
     {"symfollow", MOUNT_ATTR_NOSYMFOLLOW, false}});

struct NumberName {
    std::string_view name;
    std::uint64_t value;
};

constexpr auto access_time_names = std::to_array<NumberName>(
    {{"noatime", MOUNT_ATTR_NOATIME},
     {"atime", MOUNT_ATTR_RELATIME},
     {"relatime", MOUNT_ATTR_RELATIME},
     {"norelatime", MOUNT_ATTR_RELATIME},
     {"strictatime", MOUNT_ATTR_STRICTATIME},
     {"nostrictatime", MOUNT_ATTR_RELATIME}});

constexpr auto propagation_names = std::to_array<NumberName>(
    {{"private", MS_PRIVATE},
     {"shared", MS_SHARED},
     {"slave", MS_SLAVE},
     {"unbindable", MS_UNBINDABLE}});

struct SwitchName {
    std::string_view name;
    bool MountOptions::*member;
};

constexpr auto switch_names = std::to_array<SwitchName>(
    {{"bind", &MountOptions::bind},
     {"remount", &MountOptions::remount},
     {"tmpcopyup", &MountOptions::copy_up},
     {"copy-symlink", &MountOptions::copy_link},
     {"src-nofollow", &MountOptions::source_is_link},
     {"dest-nofollow", &MountOptions::destination_is_link}});

// Flags of mount(2) for any file system, as fsconfig(2) calls them.
struct FlagName {
    std::string_view name;
    std::string_view key;
    bool if_known;
};

constexpr auto flag_names = std::to_array<FlagName>(
    {{"sync", "sync", false},
     {"async", "async", false},
     {"dirsync", "dirsync", false},
     {"lazytime", "lazytime", false},
     {"nolazytime", "nolazytime", false},
     {"mand", "mand", false},
     {"nomand", "nomand", false},
     {"acl", "acl", true},
     {"noacl", "noacl", true},
     {"iversion", "i_version", true},
     {"noiversion", "noi_version", true}});

// They say how mount(8) talks, or nothing at all.
constexpr auto ignored_names = std::to_array<std::string_view>({"defaults", "silent", "loud"});

// The name without its "r", or nullopt.
std::optional<std::string_view> recursive_form(std::string_view option) {
    return option.starts_with('r') ? std::optional(option.substr(1)) : std::nullopt;
}

void change(AttributeChange& attributes, const AttributeName& entry) {
    std::uint64_t& to = entry.set ? attributes.set : attributes.clear;
    std::uint64_t& from = entry.set ? attributes.clear : attributes.set;
    to |= entry.attribute;
    from &= ~entry.attribute;
}

// The recursive form is looked for last: "ro" is not "o" for everything below.
bool take_attribute(AttributeChange& attributes, std::string_view option) {
    for (const AttributeName& entry : attribute_names) {
        if (option == entry.name) {
            change(attributes, entry);
            return true;
        }
    }
    for (const NumberName& entry : access_time_names) {
        if (option == entry.name) {
            constexpr std::uint64_t field = MOUNT_ATTR__ATIME;
            attributes.set = (attributes.set & ~field) | entry.value;
            attributes.clear |= field;
            return true;
        }
    }
    return false;
}

bool take_attribute(MountOptions& options, std::string_view option) {
    if (take_attribute(options.attributes, option)) {
        return true;
    }
    std::optional<std::string_view> name = recursive_form(option);
    return name && take_attribute(options.recursive_attributes, *name);
}

bool take_propagation(MountOptions& options, std::string_view option) {
    for (const NumberName& entry : propagation_names) {
        if (option == entry.name) {
            options.propagation.push_back({entry.value, kernel::Recursive::No});
            return true;
        }
        if (recursive_form(option) == entry.name) {
            options.propagation.push_back({entry.value, kernel::Recursive::Yes});
            return true;
        }
    }
    return false;
}

bool take_flag(MountOptions& options, std::string_view option) {
    for (const FlagName& entry : flag_names) {
        if (option == entry.name) {
            options.flags.push_back({std::string(entry.key), "", entry.if_known});
            return true;
        }
    }
    return false;
}

bool take_switch(MountOptions& options, std::string_view option) {
    if (option == "rbind") {
        options.bind = true;
        options.recursive_bind = kernel::Recursive::Yes;
        return true;
    }
    if (option == "idmap" || option == "ridmap") {
        options.id_map = option == "idmap" ? IdMap::Top : IdMap::Recursive;
        return true;
    }
    for (const SwitchName& entry : switch_names) {
        if (option == entry.name) {
            options.*entry.member = true;
            return true;
        }
    }
    return std::find(ignored_names.begin(), ignored_names.end(), option) != ignored_names.end();
}

} // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
    MountOptions parsed;
    for (const std::string& option : options) {
        if (option.starts_with("idmap=") || option.starts_with("ridmap=")) {
            return not_implemented(
                "mount option \"" + option +
                "\" is not implemented: use the mount's uidMappings and gidMappings");
        }
        if (option.empty() || take_switch(parsed, option) || take_attribute(parsed, option) ||
            take_propagation(parsed, option) || take_flag(parsed, option)) {
            continue;
        }
        std::optional<Cut> pair = cut(option, "=");
        parsed.parameters.push_back(
            pair
                ? kernel::
                      MountParameter{.key = std::string(pair->before), .value = std::string(pair->after), .is_text = true}
                : kernel::MountParameter{option, ""});
    }
    return parsed;
}

std::vector<std::string> known_mount_options() {
    std::vector<std::string> names{"rbind", "idmap", "ridmap"};
    auto add = [&names](const auto& table, bool recursive) {
        for (const auto& entry : table) {
            names.emplace_back(entry.name);
            if (recursive) {
                names.push_back("r" + std::string(entry.name));
            }
        }
    };
    add(attribute_names, true);
    add(access_time_names, true);
    add(propagation_names, true);
    add(switch_names, false);
    add(flag_names, false);
    names.insert(names.end(), ignored_names.begin(), ignored_names.end());
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace berth::runtime
