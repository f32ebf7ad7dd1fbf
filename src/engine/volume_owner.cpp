// SPDX-License-Identifier: Apache-2.0
// One walk over a tree, depth first with a stream for each directory on the way.
#include "engine/volume_owner.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/path.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr std::size_t owner_depth_limit = 1000;

// The entry `name` of the directory; "" is the place itself.
using Visit = std::function<Result<void>(FdRef directory, const char* name, const struct stat&)>;

using DirectoryStream = std::unique_ptr<DIR, int (*)(DIR*)>;

DirectoryStream open_entries(FdRef directory, const char* name) {
    UniqueFd fd(openat(directory.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    DirectoryStream stream(fd ? fdopendir(fd.get()) : nullptr, closedir);
    if (stream) {
        [[maybe_unused]] const int owned = fd.release();
    }
    return stream;
}

Result<void> walk(FdRef place, const Visit& visit) {
    struct stat top {};

    if (fstat(place.get(), &top) != 0) {
        return errno_error("stat");
    }
    TRY(visit(place, "", top));
    if (!S_ISDIR(top.st_mode)) {
        return ok();
    }
    std::vector<DirectoryStream> streams;
    streams.push_back(open_entries(place, "."));
    while (!streams.empty()) {
        DIR* stream = streams.back().get();
        const dirent* entry = stream == nullptr ? nullptr : readdir(stream);
        if (entry == nullptr) {
            streams.pop_back();
            continue;
        }
        const char* name = static_cast<const char*>(entry->d_name);
        if (std::string_view(name) == "." || std::string_view(name) == "..") {
            continue;
        }
        const UniqueFd directory(fcntl(dirfd(stream), F_DUPFD_CLOEXEC, 0));

        struct stat status {};

        if (fstatat(directory.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            status.st_dev != top.st_dev) {
            continue; // gone, or another file system
        }
        TRY(visit(directory, name, status));
        if (S_ISDIR(status.st_mode)) {
            if (streams.size() >= owner_depth_limit) {
                return Error(
                    ErrorKind::ResourceExhausted,
                    "directories are nested more than " + std::to_string(owner_depth_limit) +
                        " deep");
            }
            streams.push_back(open_entries(directory, name));
        }
    }
    return ok();
}

// moby's and opencontainers/selinux's list: what a mistake must not relabel.
constexpr auto system_directories = std::to_array<std::string_view>(
    {"/",        "/bin",        "/boot",    "/dev",    "/etc",  "/home", "/lib",
     "/lib64",   "/media",      "/opt",     "/proc",   "/root", "/run",  "/sbin",
     "/srv",     "/sys",        "/system",  "/tmp",    "/usr",  "/var",  "/etc/passwd",
     "/etc/pki", "/etc/shadow", "/var/lib", "/var/log"});

} // namespace

Result<void> change_owner(FdRef place, uid_t uid, gid_t gid) {
    return walk(place, [uid, gid](FdRef directory, const char* name, const struct stat& status) {
        if (status.st_uid == uid && status.st_gid == gid) {
            return ok();
        }
        constexpr int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
        if (fchownat(directory.get(), name, uid, gid, flags) != 0 && errno != ENOENT) {
            return Result<void>(errno_error("change the owner of " + std::string(name)));
        }
        return ok();
    });
}

std::string label_of(FdRef place) {
    std::array<char, 4096> value;
    const ssize_t size =
        getxattr(kernel::fd_path(place).c_str(), "security.selinux", value.data(), value.size());
    std::string label(value.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
    while (label.ends_with('\0')) {
        label.pop_back();
    }
    return label;
}

Result<void> relabel_tree(FdRef place, const std::string& path, const std::string& label) {
    if (std::ranges::find(system_directories, clean_path(path)) != system_directories.end()) {
        return invalid_argument("SELinux relabeling of " + path + " is not allowed");
    }
    const auto set = [&label](auto call, const std::string& at) -> Result<void> {
        if (call(at.c_str(), "security.selinux", label.data(), label.size(), 0) != 0 &&
            errno != ENOTSUP && errno != ENOENT) {
            return errno_error("relabel " + at);
        }
        return ok();
    };
    TRY(walk(place, [&set](FdRef directory, const char* name, const struct stat&) {
        const bool is_place = std::string_view(name).empty();
        return is_place ? ok() : set(lsetxattr, kernel::fd_path(directory) + "/" + name);
    }));
    // Last: one that has the label has it on all that is in it. Its own path is a magic link, which
    // must be followed.
    return set(setxattr, kernel::fd_path(place));
}

} // namespace berth::engine
