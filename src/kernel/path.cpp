// SPDX-License-Identifier: Apache-2.0
// openat2(2) walks; see https://man7.org/linux/man-pages/man2/openat2.2.html.
#include "kernel/path.h"

#include "base/strings.h"

#include <linux/openat2.h>

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

// The kernel answers EAGAIN when a rename raced with "..": trying again is what the manual asks
// for.
constexpr int race_retries = 128;

} // namespace

Result<UniqueFd>
open_in_root(FdRef root, std::string_view path, int flags, mode_t mode, FollowLinks links) {
    std::string relative(path);
    if (relative.empty()) {
        relative = ".";
    }
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    if (links == FollowLinks::NotLast) {
        how.flags |= O_NOFOLLOW;
    } else if (links == FollowLinks::Never) {
        how.resolve |= RESOLVE_NO_SYMLINKS;
    }
    for (int i = 0; i < race_retries; ++i) {
        auto fd = static_cast<int>(
            ::syscall(SYS_openat2, root.get(), relative.c_str(), &how, sizeof how));
        if (fd >= 0) {
            return UniqueFd(fd);
        }
        if (errno != EAGAIN && errno != EINTR) {
            return errno_error("open " + std::string(path) + " in root");
        }
    }
    return Error::from_errno("open " + std::string(path) + " in root", EAGAIN);
}

Result<UniqueFd> make_directories_in_root(FdRef root, std::string_view path, mode_t mode) {
    Result<UniqueFd> there = open_in_root(root, path, O_PATH | O_DIRECTORY);
    if (there.ok() || there.error().error_number() != ENOENT) {
        return there;
    }
    std::string walked;
    UniqueFd current = TRY(open_in_root(root, "/", O_PATH | O_DIRECTORY));
    for (std::string_view part : split(path, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        // The whole path again from the root: ".." and links mean what they mean there.
        walked += "/" + std::string(part);
        Result<UniqueFd> next = open_in_root(root, walked, O_PATH | O_DIRECTORY);
        if (!next.ok()) {
            if (next.error().error_number() != ENOENT) {
                return next;
            }
            if (part == "..") {
                return next;
            }
            if (::mkdirat(current.get(), std::string(part).c_str(), mode) < 0 && errno != EEXIST) {
                return errno_error("mkdir " + walked + " in root");
            }
            next = TRY(open_in_root(root, walked, O_PATH | O_DIRECTORY));
        }
        current = std::move(*next);
    }
    return current;
}

Result<ParentAndName> open_parent_in_root(FdRef root, std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    std::optional<Cut> parts = cut_last(path, "/");
    std::string name(parts ? parts->after : path);
    if (name.empty() || name == "." || name == "..") {
        return invalid_argument("path \"" + std::string(path) + "\" names no entry of a directory");
    }
    UniqueFd parent = TRY(open_in_root(root, parts ? parts->before : "/", O_PATH | O_DIRECTORY));
    return ParentAndName{std::move(parent), std::move(name)};
}

std::string fd_path(FdRef fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
}

} // namespace berth::kernel
