// SPDX-License-Identifier: Apache-2.0
// The mount API of Linux 5.2 and 5.12 through glibc's wrappers.
#include "kernel/mount.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

// The context descriptor can be read for messages: "e overlay: …". They say more than errno does.
std::string messages_of(FdRef context) {
    std::string text;
    std::array<char, 512> line;
    ssize_t got = 0;
    while ((got = ::read(context.get(), line.data(), line.size())) > 0) {
        std::string_view message(line.data(), static_cast<std::size_t>(got));
        while (message.ends_with('\n')) {
            message.remove_suffix(1);
        }
        text += (text.empty() ? " (" : "; ") +
                std::string(message.size() > 2 ? message.substr(2) : message);
    }
    return text.empty() ? text : text + ")";
}

Error context_error(FdRef context, const std::string& what, int number) {
    return Error::from_errno(what + messages_of(context), number);
}

Result<void> configure(
    FdRef context, unsigned command, const MountParameter& parameter, const std::string& what) {
    const char* value = command == FSCONFIG_SET_FLAG ? nullptr : parameter.value.c_str();
    if (::fsconfig(context.get(), command, parameter.key.c_str(), value, 0) < 0) {
        int number = errno;
        std::string messages = messages_of(context);
        return parameter.if_known && number == EINVAL
                   ? ok()
                   : Result<void>(
                         Error::from_errno(what + ": option " + parameter.key + messages, number));
    }
    return ok();
}

Result<void> configure_all(
    FdRef context, const std::vector<MountParameter>& parameters, const std::string& what) {
    for (const MountParameter& parameter : parameters) {
        TRY(configure(
            context,
            parameter.value.empty() && !parameter.is_text ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
            parameter,
            what));
    }
    return ok();
}

Result<void> finish(FdRef context, unsigned command, const std::string& what) {
    if (::fsconfig(context.get(), command, nullptr, nullptr, 0) < 0) {
        int number = errno;
        return context_error(context, what, number);
    }
    return ok();
}

} // namespace

Result<void> create_file_system(FdRef context) {
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
        return errno_error("create file system");
    }
    return ok();
}

Result<UniqueFd> make_mount(
    const std::string& type,
    const std::string& source,
    const std::vector<MountParameter>& parameters,
    std::uint64_t attributes,
    const CreateFileSystem& create) {
    UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!context) {
        return errno_error("file system type " + type);
    }
    const std::string what = "mount " + type;
    if (!source.empty()) {
        TRY(configure(context, FSCONFIG_SET_STRING, {"source", source}, what));
    }
    TRY(configure_all(context, parameters, what));
    if (Result<void> created = create(context); !created.ok()) {
        const int number = created.error().error_number();
        return number == 0 ? std::move(created).error() : context_error(context, what, number);
    }
    UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
    if (!mount) {
        int number = errno;
        return context_error(context, what, number);
    }
    return mount;
}

Result<void> reconfigure_mount(FdRef place, const std::vector<MountParameter>& parameters) {
    UniqueFd context(::fspick(place.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
    if (!context) {
        return errno_error("remount");
    }
    TRY(configure_all(context, parameters, "remount"));
    return finish(context, FSCONFIG_CMD_RECONFIGURE, "remount");
}

Result<UniqueFd> clone_mount(FdRef place, Recursive recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                     (recursive == Recursive::Yes ? AT_RECURSIVE : 0U);
    UniqueFd tree(::open_tree(place.get(), "", flags));
    if (!tree) {
        return errno_error("clone mount");
    }
    return tree;
}

Result<UniqueFd> clone_mount(const std::string& path, Recursive recursive, LinkSource link) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                     (recursive == Recursive::Yes ? AT_RECURSIVE : 0U) |
                     (link == LinkSource::Itself ? AT_SYMLINK_NOFOLLOW : 0U);
    UniqueFd tree(::open_tree(AT_FDCWD, path.c_str(), flags));
    if (!tree) {
        return errno_error("clone mount " + path);
    }
    return tree;
}

Result<void> attach_mount(FdRef mount, FdRef place) {
    if (::move_mount(
            mount.get(), "", place.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
        0) {
        return errno_error("attach mount");
    }
    return ok();
}

Result<void> attach_mount(FdRef mount, const std::string& path) {
    if (::move_mount(mount.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return errno_error("attach mount at " + path);
    }
    return ok();
}

Result<void>
set_mount_attributes(FdRef mount, const MountAttributes& attributes, Recursive recursive) {
    mount_attr raw{};
    raw.attr_set = attributes.set;
    raw.attr_clr = attributes.clear;
    raw.propagation = attributes.propagation;
    raw.userns_fd =
        attributes.user_namespace < 0 ? 0 : static_cast<std::uint64_t>(attributes.user_namespace);
    unsigned flags = AT_EMPTY_PATH | (recursive == Recursive::Yes ? AT_RECURSIVE : 0U);
    if (::mount_setattr(mount.get(), "", flags, &raw, sizeof raw) < 0) {
        return errno_error("set mount attributes");
    }
    return ok();
}

Result<bool> detach_mount(const std::string& path) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOENT) {
        return errno_error("unmount " + path);
    }
    return false;
}

Result<void> unmount_lazily(const std::string& path) {
    TRY(detach_mount(path));
    return ok();
}

MountGuard::~MountGuard() {
    if (!path_.empty()) {
        [[maybe_unused]] Result<void> done = unmount_lazily(path_);
    }
}

Result<bool> is_mount_point(const std::string& path) {
    struct statx status {};

    if (::statx(
            AT_FDCWD,
            path.c_str(),
            AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
            STATX_TYPE,
            &status) < 0) {
        return errno_error("stat " + path);
    }
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

} // namespace berth::kernel
