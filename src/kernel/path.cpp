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

// As many as the kernel follows in one walk.
constexpr int max_links = 40;

Result<UniqueFd> make_directories_within(FdRef root, std::string_view path, mode_t mode, int links);

// The component `walked` could not be opened: it is absent and is made, or it is a link whose
// target is absent and is made (/var/run -> /run in an image without /run).
Result<void>
make_component(FdRef root, FdRef parent, const std::string& walked, mode_t mode, int links) {
    const std::string name = walked.substr(walked.rfind('/') + 1);
    std::string target(4096, '\0');
    ssize_t size = ::readlinkat(parent.get(), name.c_str(), target.data(), target.size());
    if (size > 0 && static_cast<std::size_t>(size) < target.size()) {
        if (links >= max_links) {
            return Error::from_errno("make directory " + walked + " in root", ELOOP);
        }
        target.resize(static_cast<std::size_t>(size));
        if (!target.starts_with('/')) {
            target = walked.substr(0, walked.rfind('/') + 1) + target;
        }
        TRY(make_directories_within(root, target, mode, links + 1));
        return ok();
    }
    if (::mkdirat(parent.get(), name.c_str(), mode) < 0 && errno != EEXIST) {
        return errno_error("mkdir " + walked + " in root");
    }
    return ok();
}

Result<UniqueFd>
make_directories_within(FdRef root, std::string_view path, mode_t mode, int links) {
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
        if (!next.ok() && next.error().error_number() == ENOENT && part != "..") {
            TRY(make_component(root, current, walked, mode, links));
            next = open_in_root(root, walked, O_PATH | O_DIRECTORY);
        }
        current = TRY(std::move(next));
    }
    return current;
}

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
    return make_directories_within(root, path, mode, 0);
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
