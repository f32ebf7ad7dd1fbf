// SPDX-License-Identifier: Apache-2.0
// The image's tree is walked by descriptor: a link in it cannot lead out of the directory.
#include "runtime/copy_up.h"

#include "base/file.h"

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr int max_depth = 128;

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<void> copy_directory(FdRef from, FdRef to, int depth);

Result<void> copy_file(FdRef from, FdRef to, const char* name, mode_t mode) {
    UniqueFd source(::openat(from.get(), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    UniqueFd copy(
        ::openat(to.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!source || !copy) {
        return errno_error("tmpcopyup " + std::string(name));
    }
    constexpr std::size_t chunk = 1U << 30;
    ssize_t sent = 0;
    while ((sent = ::sendfile(copy.get(), source.get(), nullptr, chunk)) > 0) {
    }
    return sent < 0 ? errno_error("tmpcopyup " + std::string(name)) : ok();
}

Result<void> copy_link(FdRef from, FdRef to, const char* name) {
    std::array<char, 4096> target{};
    ssize_t size = ::readlinkat(from.get(), name, target.data(), target.size() - 1);
    if (size < 0 || ::symlinkat(target.data(), to.get(), name) < 0) {
        return errno_error("tmpcopyup " + std::string(name));
    }
    return ok();
}

// The owner first: a change of it takes set-user-id bits away.
Result<void> copy_metadata(FdRef to, const char* name, const struct stat& status) {
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (::fchownat(to.get(), name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISLNK(status.st_mode) && ::fchmodat(to.get(), name, status.st_mode & 07777U, 0) < 0) ||
        ::utimensat(to.get(), name, times.data(), AT_SYMLINK_NOFOLLOW) < 0) {
        return errno_error("tmpcopyup " + std::string(name));
    }
    return ok();
}

Result<void> copy_entry(FdRef from, FdRef to, const char* name, int depth) {
    struct stat status {};

    if (::fstatat(from.get(), name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno_error("tmpcopyup " + std::string(name));
    }
    if (S_ISDIR(status.st_mode)) {
        if (::mkdirat(to.get(), name, 0700) < 0) {
            return errno_error("tmpcopyup " + std::string(name));
        }
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        UniqueFd below(::openat(from.get(), name, flags));
        UniqueFd made(::openat(to.get(), name, flags));
        if (!below || !made) {
            return errno_error("tmpcopyup " + std::string(name));
        }
        TRY(copy_directory(below, made, depth + 1));
    } else if (S_ISREG(status.st_mode)) {
        TRY(copy_file(from, to, name, 0600));
    } else if (S_ISLNK(status.st_mode)) {
        TRY(copy_link(from, to, name));
    } else if (S_ISSOCK(status.st_mode)) {
        return ok(); // nobody listens on a copy
    } else if (::mknodat(to.get(), name, status.st_mode, status.st_rdev) < 0) {
        return errno_error("tmpcopyup " + std::string(name));
    }
    return copy_metadata(to, name, status);
}

Result<void> copy_directory(FdRef from, FdRef to, int depth) {
    if (depth > max_depth) {
        return Error(
            ErrorKind::ResourceExhausted,
            "tmpcopyup: more than " + std::to_string(max_depth) + " directories deep");
    }
    UniqueFd listed(::openat(from.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!listed) {
        return errno_error("tmpcopyup");
    }
    std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(listed.get()));
    if (!directory) {
        return errno_error("tmpcopyup");
    }
    [[maybe_unused]] int stream_owns = listed.release();
    while (dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            TRY(copy_entry(from, to, entry->d_name, depth));
        }
    }
    return ok();
}

} // namespace

Result<void> copy_up_tree(FdRef from, FdRef to) {
    return copy_directory(from, to, 0);
}

} // namespace berth::runtime
