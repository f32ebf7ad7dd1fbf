// SPDX-License-Identifier: Apache-2.0
// The kernel's rules: fs/xattr.c, security/commoncap.c and fs/posix_acl.c say them in code;
// https://man7.org/linux/man-pages/man7/xattr.7.html and acl(5) in words.
#include "store/layer_attributes.h"

#include "store/overlay_form.h"

#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include <sys/stat.h>
#include <sys/xattr.h>

namespace berth::store {

namespace {

Error refused(const std::string& name) {
    return invalid_argument("the value of the attribute " + name + " is not valid");
}

bool is_capability(std::string_view value) {
    std::uint32_t magic = 0;
    if (value.size() < sizeof magic) {
        return false;
    }
    std::memcpy(&magic, value.data(), sizeof magic);
    const std::uint32_t revision = magic & VFS_CAP_REVISION_MASK;
    return (revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2) ||
           (revision == VFS_CAP_REVISION_3 && value.size() == XATTR_CAPS_SZ_3);
}

// acl(5), "VALID ACLs": the owner, users, the owning group, groups, a mask, the others; one of each
// of the unnamed, a mask where something is named.
struct AccessList {
    std::uint16_t owner = 0;
    std::uint16_t group = 0;
    std::optional<std::uint16_t> mask;
    std::uint16_t other = 0;
    bool extended = false; // says more than a mode can
};

std::optional<AccessList> parse_access_list(std::string_view value) {
    constexpr std::size_t header = sizeof(posix_acl_xattr_header);
    constexpr std::size_t entry = sizeof(posix_acl_xattr_entry);
    posix_acl_xattr_header head{};
    if (value.size() < header || (value.size() - header) % entry != 0) {
        return std::nullopt;
    }
    std::memcpy(&head, value.data(), header);
    if (head.a_version != POSIX_ACL_XATTR_VERSION) {
        return std::nullopt;
    }
    AccessList list;
    int previous = 0;
    bool named = false;
    int unnamed = 0;
    for (std::size_t at = header; at < value.size(); at += entry) {
        posix_acl_xattr_entry each{};
        std::memcpy(&each, value.data() + at, entry);
        const bool repeats = each.e_tag == ACL_USER || each.e_tag == ACL_GROUP;
        if (each.e_perm > 7 || each.e_tag < previous || (each.e_tag == previous && !repeats)) {
            return std::nullopt;
        }
        previous = each.e_tag;
        unnamed += repeats || each.e_tag == ACL_MASK ? 0 : 1;
        switch (each.e_tag) {
        case ACL_USER_OBJ:
            list.owner = each.e_perm;
            break;
        case ACL_GROUP_OBJ:
            list.group = each.e_perm;
            break;
        case ACL_MASK:
            list.mask = each.e_perm;
            break;
        case ACL_OTHER:
            list.other = each.e_perm;
            break;
        case ACL_USER:
        case ACL_GROUP:
            named = true;
            break;
        default:
            return std::nullopt;
        }
    }
    list.extended = named || list.mask.has_value();
    return unnamed == 3 && (!named || list.mask) ? std::optional(list) : std::nullopt;
}

Result<bool>
admit_access_list(const std::string& name, const std::string& value, std::uint16_t& mode) {
    if (S_ISLNK(mode) || value.empty()) {
        return false;
    }
    const std::optional<AccessList> list = parse_access_list(value);
    if (!list) {
        return refused(name);
    }
    if (name.ends_with("default")) {
        return S_ISDIR(mode) ? Result<bool>(true) : refused(name);
    }
    const unsigned permissions = unsigned{list->owner} << 6U |
                                 unsigned{list->mask.value_or(list->group)} << 3U |
                                 unsigned{list->other};
    mode = static_cast<std::uint16_t>((mode & ~0777U) | permissions);
    return list->extended;
}

// The machine's own labels and measurements mean nothing elsewhere.
bool is_portable_attribute(std::string_view name) {
    return !is_overlay_attribute(name) && name != "security.selinux" && name != "security.ima" &&
           name != "security.evm" && !name.starts_with("security.SMACK64") &&
           name != "security.apparmor";
}

} // namespace

Result<std::map<std::string, std::string>> portable_attributes(const std::string& path) {
    std::map<std::string, std::string> attributes;
    ssize_t size = llistxattr(path.c_str(), nullptr, 0);
    if (size <= 0) {
        // No attributes, or a file system without them.
        return attributes;
    }
    std::string names(static_cast<std::size_t>(size), '\0');
    size = llistxattr(path.c_str(), names.data(), names.size());
    if (size < 0) {
        return errno_error("list extended attributes");
    }
    names.resize(static_cast<std::size_t>(size));
    for (std::size_t start = 0; start < names.size();) {
        std::string name = names.c_str() + start;
        start += name.size() + 1;
        if (!is_portable_attribute(name)) {
            continue;
        }
        std::string value(64U << 10, '\0'); // XATTR_SIZE_MAX
        ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        if (length < 0) {
            if (errno == ENODATA || errno == EOPNOTSUPP) {
                continue;
            }
            return errno_error("read extended attribute " + name);
        }
        value.resize(static_cast<std::size_t>(length));
        attributes.emplace(std::move(name), std::move(value));
    }
    return attributes;
}

Result<bool>
admit_attribute(const std::string& name, const std::string& value, std::uint16_t& mode) {
    if (is_overlay_attribute(name)) {
        return false;
    }
    if (name == "system.posix_acl_access" || name == "system.posix_acl_default") {
        return admit_access_list(name, value, mode);
    }
    const std::size_t dot = name.find('.');
    const std::string_view space = std::string_view(name).substr(0, dot);
    if (dot == std::string::npos ||
        (space != "user" && space != "trusted" && space != "security")) {
        return false; // no file system knows it
    }
    if (dot + 1 == name.size() || name.size() > XATTR_NAME_MAX || value.size() > XATTR_SIZE_MAX) {
        return refused(name);
    }
    if (space == "user" && !S_ISREG(mode) && !S_ISDIR(mode)) {
        return false;
    }
    if (name == "security.capability" && !is_capability(value)) {
        return refused(name);
    }
    return true;
}

} // namespace berth::store
