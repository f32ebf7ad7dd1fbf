// SPDX-License-Identifier: Apache-2.0
// A table of names; everything else is the file system's to understand or to refuse.
#include "runtime/mount_options.h"

#include "base/strings.h"

#include <algorithm>
#include <array>
#include <optional>

#include <sys/mount.h>

namespace berth::runtime {

namespace {

struct AttributeName {
    std::string_view name;
    std::uint64_t attribute;
    bool set;
};

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

struct AccessTimeName {
    std::string_view name;
    std::uint64_t value;
};

constexpr auto access_time_names = std::to_array<AccessTimeName>(
    {{"noatime", MOUNT_ATTR_NOATIME},
     {"atime", MOUNT_ATTR_RELATIME},
     {"relatime", MOUNT_ATTR_RELATIME},
     {"norelatime", MOUNT_ATTR_RELATIME},
     {"strictatime", MOUNT_ATTR_STRICTATIME},
     {"nostrictatime", MOUNT_ATTR_RELATIME}});

struct PropagationName {
    std::string_view name;
    std::uint64_t type;
};

constexpr auto propagation_names = std::to_array<PropagationName>(
    {{"private", MS_PRIVATE},
     {"shared", MS_SHARED},
     {"slave", MS_SLAVE},
     {"unbindable", MS_UNBINDABLE}});

constexpr auto ignored_names =
    std::to_array<std::string_view>({"defaults", "silent", "loud", "async"});

constexpr auto refused_names = std::to_array<std::string_view>(
    {"remount", "tmpcopyup", "idmap", "ridmap", "copy-symlink", "dest-nofollow", "src-nofollow"});

template <class Names>
bool is_one_of(const Names& names, std::string_view option) {
    return std::find(names.begin(), names.end(), option) != names.end();
}

void change(std::uint64_t& attributes, const AttributeName& entry) {
    attributes = entry.set ? attributes | entry.attribute : attributes & ~entry.attribute;
}

bool take_attribute(MountOptions& options, std::string_view option) {
    for (const AttributeName& entry : attribute_names) {
        if (option == entry.name) {
            change(options.attributes, entry);
            return true;
        }
        if (option.starts_with('r') && option.substr(1) == entry.name) {
            change(options.recursive_attributes, entry);
            return true;
        }
    }
    for (const AccessTimeName& entry : access_time_names) {
        if (option == entry.name) {
            constexpr std::uint64_t field = MOUNT_ATTR__ATIME;
            options.attributes = (options.attributes & ~field) | entry.value;
            options.sets_access_time = true;
            return true;
        }
    }
    return false;
}

bool take_propagation(MountOptions& options, std::string_view option) {
    for (const PropagationName& entry : propagation_names) {
        if (option == entry.name) {
            options.propagation.push_back({entry.type, kernel::Recursive::No});
            return true;
        }
        if (option.starts_with('r') && option.substr(1) == entry.name) {
            options.propagation.push_back({entry.type, kernel::Recursive::Yes});
            return true;
        }
    }
    return false;
}

} // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
    MountOptions parsed;
    for (const std::string& option : options) {
        if (option == "bind" || option == "rbind") {
            parsed.bind = true;
            parsed.recursive_bind =
                option == "rbind" ? kernel::Recursive::Yes : parsed.recursive_bind;
        } else if (is_one_of(refused_names, option)) {
            return not_implemented("mount option \"" + option + "\" is not implemented");
        } else if (
            !is_one_of(ignored_names, option) && !take_attribute(parsed, option) &&
            !take_propagation(parsed, option) && !option.empty()) {
            std::optional<Cut> pair = cut(option, "=");
            parsed.parameters.push_back(
                pair ? kernel::MountParameter{std::string(pair->before), std::string(pair->after)}
                     : kernel::MountParameter{option, ""});
        }
    }
    return parsed;
}

} // namespace berth::runtime
