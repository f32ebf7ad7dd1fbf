// SPDX-License-Identifier: Apache-2.0
// Small questions to the file system.
#include "registry/server/storage_files.h"

#include "base/file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

bool is_missing(const Error& error) {
    return error.error_number() == ENOENT || error.error_number() == ENOTDIR;
}

bool is_older(const std::string& path, std::time_t than, std::uint64_t* size) {
    struct stat status {};

    if (lstat(path.c_str(), &status) != 0) {
        return false;
    }
    if (size != nullptr) {
        *size = static_cast<std::uint64_t>(status.st_size);
    }
    return status.st_mtime < than;
}

std::uint64_t size_of_files(const std::string& folder) {
    std::uint64_t sum = 0;
    auto names = list_directory(folder);
    if (!names.ok()) {
        return 0; // of an algorithm that nobody used
    }
    for (const std::string& name : *names) {
        struct stat status {};

        if (lstat((folder + "/" + name).c_str(), &status) == 0) {
            sum += static_cast<std::uint64_t>(status.st_size);
        }
    }
    return sum;
}

Result<void> sync_directory(const std::string& path) {
    UniqueFd fd = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    return fsync(fd.get()) == 0 ? ok() : Result<void>(errno_error("sync " + path));
}

Result<void> write_synced(const std::string& path, std::string_view bytes) {
    UniqueFd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0640));
    Result<void> written = write_all(fd, bytes);
    if (written.ok() && fdatasync(fd.get()) != 0) {
        written = errno_error("sync");
    }
    if (!written.ok()) {
        unlink(path.c_str());
        return std::move(written).error().with_context(path);
    }
    return ok();
}

} // namespace berth::registry
