// SPDX-License-Identifier: Apache-2.0
// readdir(3) on a descriptor of its own, listxattr(2) by /proc/self/fd.
#include "build/directory_walk.h"

#include "base/strings.h"
#include "kernel/path.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::build {

namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

bool is_kept(std::string_view name) {
    return !name.starts_with("trusted.overlay.") && !name.starts_with("user.overlay.") &&
           !name.starts_with("system.") && name != "security.selinux";
}

} // namespace

Error tree_too_deep() {
    return {
        ErrorKind::ResourceExhausted,
        "directories are nested deeper than the limit of " + std::to_string(tree_depth_limit)};
}

Result<std::vector<std::string>> entry_names(FdRef directory) {
    UniqueFd readable(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!readable) {
        return errno_error("open directory");
    }
    std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(readable.get()));
    if (!stream) {
        return errno_error("fdopendir");
    }
    (void)readable.release(); // the stream owns it now
    std::vector<std::string> names;
    while (true) {
        errno = 0;
        const dirent* entry = readdir(stream.get());
        if (entry == nullptr) {
            break;
        }
        const std::string name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    if (errno != 0) {
        return errno_error("readdir");
    }
    std::sort(names.begin(), names.end());
    return names;
}

namespace {

using ListFunction = ssize_t (*)(const char*, char*, std::size_t);
using GetFunction = ssize_t (*)(const char*, const char*, void*, std::size_t);

Result<Xattrs> read_all_xattrs(const std::string& path, ListFunction list, GetFunction get) {
    Xattrs result;
    std::string names(64U << 10, '\0'); // XATTR_LIST_MAX
    const ssize_t length = list(path.c_str(), names.data(), names.size());
    if (length < 0) {
        if (errno == ENOTSUP) {
            return result;
        }
        return errno_error("listxattr");
    }
    names.resize(static_cast<std::size_t>(length));
    std::string value;
    for (const std::string_view name : split(names, '\0')) {
        if (name.empty() || !is_kept(name)) {
            continue;
        }
        const std::string key(name);
        value.resize(64U << 10); // XATTR_SIZE_MAX
        const ssize_t size = get(path.c_str(), key.c_str(), value.data(), value.size());
        if (size < 0) {
            return errno_error("getxattr " + key);
        }
        result[key] = value.substr(0, static_cast<std::size_t>(size));
    }
    return result;
}

} // namespace

Result<Xattrs> read_xattrs(FdRef file) {
    return read_all_xattrs(kernel::fd_path(file), ::listxattr, ::getxattr);
}

Result<Xattrs> read_xattrs_at(FdRef directory, const std::string& name) {
    return read_all_xattrs(kernel::fd_path(directory) + "/" + name, ::llistxattr, ::lgetxattr);
}

} // namespace berth::build
