// SPDX-License-Identifier: Apache-2.0
// Files and directories of the host, over descriptors where a name could change under us.
#include "base/file.h"

#include "base/random.h"
#include "base/strings.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth {

namespace {

std::string parent_of(const std::string& path) {
    std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : path.substr(0, slash);
}

struct DirectoryCloser {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

using Directory = std::unique_ptr<DIR, DirectoryCloser>;

Result<Directory> open_directory_at(FdRef parent, const std::string& name, int flags) {
    UniqueFd fd(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
    if (!fd) {
        return errno_error("open " + name);
    }
    Directory directory(::fdopendir(fd.get()));
    if (!directory) {
        return errno_error("open " + name);
    }
    [[maybe_unused]] int owned = fd.release();
    return directory;
}

std::vector<std::string> names_in(DIR* directory) {
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory)) {
        std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    return names;
}

Result<void> remove_at(FdRef parent, const std::string& name) {
    if (::unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
        return ok();
    }
    if (errno != EISDIR && errno != EPERM) {
        return errno_error("remove " + name);
    }
    {
        Result<Directory> directory = open_directory_at(parent, name, O_NOFOLLOW);
        if (!directory.ok()) {
            // Who removes the same tree may have been quicker.
            return directory.error().error_number() == ENOENT ? ok() : std::move(directory).error();
        }
        FdRef fd = FdRef::unowned(::dirfd(directory->get()));
        for (const std::string& child : names_in(directory->get())) {
            TRY(remove_at(fd, child));
        }
    }
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
        return errno_error("remove " + name);
    }
    return ok();
}

} // namespace

Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode) {
    int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) {
        return errno_error("open " + path);
    }
    return UniqueFd(fd);
}

Result<std::string> read_all(FdRef fd, std::size_t limit) {
    std::string bytes;
    std::size_t used = 0;
    while (true) {
        if (used == bytes.size()) {
            bytes.resize(std::min(limit + 1, std::max<std::size_t>(bytes.size() * 2, 4096)));
        }
        ssize_t got = ::read(fd.get(), bytes.data() + used, bytes.size() - used);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error("read");
        }
        if (got == 0) {
            bytes.resize(used);
            return bytes;
        }
        used += static_cast<std::size_t>(got);
        if (used > limit) {
            return Error(
                ErrorKind::ResourceExhausted,
                "content is longer than " + std::to_string(limit) + " bytes");
        }
    }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    UniqueFd fd = TRY(open_file(path, O_RDONLY));
    return TRY_CONTEXT(read_all(fd, limit), path);
}

Result<void> write_all(FdRef fd, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error("write");
        }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return ok();
}

Result<void> write_existing(const std::string& path, std::string_view bytes) {
    UniqueFd fd = TRY(open_file(path, O_WRONLY));
    if (::write(fd.get(), bytes.data(), bytes.size()) < 0) {
        return errno_error("write " + path);
    }
    return ok();
}

Result<void> replace_file(const std::string& path, std::string_view bytes, mode_t mode, Sync sync) {
    std::string temporary = path + ".tmp-" + random_hex(4);
    UniqueFd fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    auto fail = [&](Error error) {
        ::unlink(temporary.c_str());
        return std::move(error).with_context("replace " + path);
    };
    if (Result<void> written = write_all(fd, bytes); !written.ok()) {
        return fail(std::move(written).error());
    }
    // The mode is the caller's, whatever the process's umask is.
    if (::fchmod(fd.get(), mode) < 0 || (sync == Sync::Yes && ::fdatasync(fd.get()) < 0) ||
        ::rename(temporary.c_str(), path.c_str()) < 0) {
        return fail(errno_error("write"));
    }
    if (sync == Sync::Yes) {
        UniqueFd directory = TRY(open_file(parent_of(path), O_RDONLY | O_DIRECTORY));
        if (::fsync(directory.get()) < 0) {
            return errno_error("sync " + parent_of(path));
        }
    }
    return ok();
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) {
        return ok();
    }
    if (errno == ENOENT) {
        TRY(make_directories(parent_of(path), mode));
        if (::mkdir(path.c_str(), mode) == 0) {
            return ok();
        }
    }
    int error = errno;

    struct stat status {};

    if (error == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        return ok();
    }
    return Error::from_errno("mkdir " + path, error);
}

Result<void> remove_tree(const std::string& path) {
    return remove_at(FdRef::unowned(AT_FDCWD), path);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    Directory directory = TRY(open_directory_at(FdRef::unowned(AT_FDCWD), path, 0));
    std::vector<std::string> names = names_in(directory.get());
    std::sort(names.begin(), names.end());
    return names;
}

bool exists(const std::string& path) {
    return ::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

TemporaryDirectory::TemporaryDirectory(std::string path)
    : path_(std::move(path)) {}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(other.release()) {}

TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
}

TemporaryDirectory::~TemporaryDirectory() {
    if (!path_.empty()) {
        // A destructor has nobody to tell; what stays behind is swept at the next start.
        [[maybe_unused]] Result<void> removed = remove_tree(path_);
    }
}

Result<TemporaryDirectory> TemporaryDirectory::create(const std::string& parent) {
    std::string path = parent + "/tmp-XXXXXX";
    if (!::mkdtemp(path.data())) {
        return errno_error("make a temporary directory in " + parent);
    }
    return TemporaryDirectory(std::move(path));
}

std::string TemporaryDirectory::release() {
    return std::exchange(path_, {});
}

Result<FileLock> FileLock::acquire(const std::string& path) {
    UniqueFd fd = TRY(open_file(path, O_RDWR | O_CREAT, 0600));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK) {
            return conflict(path + " is locked by another process");
        }
        return errno_error("lock " + path);
    }
    return FileLock(std::move(fd));
}

} // namespace berth
