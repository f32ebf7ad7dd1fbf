// SPDX-License-Identifier: Apache-2.0
// Reading layers as overlayfs does.
#include "store/overlay_form.h"

#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace berth::store {

namespace {

struct CloseDirectory {
    void operator()(DIR* stream) const { closedir(stream); }
};

Result<UniqueFd> open_child(FdRef parent, const char* name) {
    UniqueFd fd(openat(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        return errno_error(std::string("open ") + name);
    }
    return fd;
}

} // namespace

bool is_whiteout(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

Result<bool> is_opaque(FdRef directory) {
    char value[2]{};
    ssize_t size = fgetxattr(directory.get(), opaque_attribute, value, sizeof value);
    if (size < 0) {
        if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE) {
            return false;
        }
        return errno_error("read trusted.overlay.opaque");
    }
    return size == 1 && value[0] == 'y';
}

Result<void> set_opaque(FdRef directory) {
    if (fsetxattr(directory.get(), opaque_attribute, "y", 1, 0) != 0) {
        return errno_error("set trusted.overlay.opaque");
    }
    return ok();
}

bool is_overlay_attribute(std::string_view name) {
    return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

std::string descriptor_path(FdRef directory, std::string_view name) {
    return "/proc/self/fd/" + std::to_string(directory.get()) + "/" + std::string(name);
}

Result<std::vector<std::string>> directory_names(FdRef directory) {
    UniqueFd fd = TRY(open_child(directory, "."));
    std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(fd.get()));
    if (!stream) {
        return errno_error("read directory");
    }
    (void)fd.release(); // the stream closes it
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
        std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    if (errno != 0) {
        return errno_error("read directory");
    }
    std::sort(names.begin(), names.end());
    return names;
}

Result<MergedDirectory> MergedDirectory::open(const std::vector<std::string>& layers) {
    MergedDirectory merged;
    for (const std::string& layer : layers) {
        UniqueFd directory = TRY(open_file(layer, O_RDONLY | O_DIRECTORY));
        const bool opaque = TRY(is_opaque(directory));
        TRY(merged.directories_.add_root(std::move(directory)));
        if (opaque) {
            break;
        }
    }
    return merged;
}

Result<std::optional<MergedDirectory::Entry>> MergedDirectory::find(const std::string& name) const {
    for (const UniqueFd& directory : directories_) {
        struct stat status {};

        if (fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) {
                continue;
            }
            return errno_error("stat " + name);
        }
        if (is_whiteout(status)) {
            return std::optional<Entry>();
        }
        return std::optional<Entry>(Entry{status, &directory});
    }
    return std::optional<Entry>();
}

Result<MergedDirectory> MergedDirectory::child(const std::string& name) const {
    MergedDirectory merged;
    merged.directories_ = directories_.below(name);
    for (std::size_t i = 0; i < directories_.size(); ++i) {
        UniqueFd fd(openat(
            directories_[i].get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd) {
            if (errno == ENOENT) {
                continue;
            }
            if (errno == ENOTDIR || errno == ELOOP) {
                break; // a file or a whiteout hides what is below
            }
            return errno_error("open " + name);
        }
        bool opaque = TRY(is_opaque(fd));
        merged.directories_.add(directories_, i, std::move(fd));
        if (opaque) {
            break;
        }
    }
    return merged;
}

Result<std::vector<std::string>> MergedDirectory::names() const {
    std::set<std::string> shown;
    std::set<std::string> hidden;
    for (const UniqueFd& directory : directories_) {
        for (std::string& name : TRY(directory_names(directory))) {
            if (shown.contains(name) || hidden.contains(name)) {
                continue;
            }

            struct stat status {};

            if (fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
                return errno_error("stat " + name);
            }
            (is_whiteout(status) ? hidden : shown).insert(std::move(name));
        }
    }
    return std::vector<std::string>(shown.begin(), shown.end());
}

} // namespace berth::store
