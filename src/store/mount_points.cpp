// SPDX-License-Identifier: Apache-2.0
// The store's own directory of them, and the roots of drivers that copy, which hold an image's
// files.
#include "store/mount_points.h"

#include "base/file.h"
#include "kernel/path.h"
#include "store/disk_error.h"

#include <array>
#include <cerrno>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr mode_t mount_point_mode = 0755;

constexpr auto directories =
    std::to_array<std::string_view>({"dev/pts", "dev/shm", "etc", "proc", "sys"});
constexpr auto files = std::to_array<std::string_view>(
    {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"});

// What has the name already may be anything, since an image brought it.
bool is_in_the_way(const Error& error) {
    const int number = error.error_number();
    return number == ENOTDIR || number == ELOOP || number == EEXIST;
}

// Whatever the umask is.
Result<void> set_mode(FdRef root, std::string_view path) {
    const UniqueFd made = TRY(kernel::open_in_root(root, path, O_RDONLY));
    return ::fchmod(made.get(), mount_point_mode) == 0 ? ok() : errno_error("set the mode");
}

bool is_there(FdRef root, std::string_view path) {
    return kernel::open_in_root(root, path, O_PATH, 0, kernel::FollowLinks::NotLast).ok();
}

Result<void> make_directory(FdRef root, std::string_view path) {
    if (is_there(root, path)) {
        return ok();
    }
    const std::size_t slash = path.find('/');
    if (slash != std::string_view::npos) {
        TRY(make_directory(root, path.substr(0, slash)));
    }
    TRY(kernel::make_directories_in_root(root, path, mount_point_mode));
    return set_mode(root, path);
}

Result<void> make_file(FdRef root, std::string_view path) {
    const auto place = TRY(kernel::open_parent_in_root(root, path));
    const UniqueFd made(::openat(
        place.parent.get(),
        place.name.c_str(),
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        mount_point_mode));
    if (!made) {
        return errno_error("make the file");
    }
    return ::fchmod(made.get(), mount_point_mode) == 0 ? ok() : errno_error("set the mode");
}

Result<void> make_mtab(FdRef root, std::string_view path) {
    const auto place = TRY(kernel::open_parent_in_root(root, path));
    return ::symlinkat(mounts_link.data(), place.parent.get(), place.name.c_str()) == 0
               ? ok()
               : Result<void>(errno_error("make the link"));
}

} // namespace

Result<void> make_mount_points(const std::string& root) {
    const UniqueFd opened = TRY(disk_result(open_file(root, O_RDONLY | O_DIRECTORY)));
    const auto make = [&](const auto& maker, std::string_view path) {
        Result<void> made = maker(opened, path);
        return made.ok() || is_in_the_way(made.error())
                   ? ok()
                   : disk_result(Result<void>(
                         std::move(made).error().with_context(root + "/" + std::string(path))));
    };
    for (const std::string_view path : directories) {
        TRY(make(make_directory, path));
    }
    for (const std::string_view path : files) {
        TRY(make(make_file, path));
    }
    return make(make_mtab, "etc/mtab");
}

} // namespace berth::store
