// SPDX-License-Identifier: Apache-2.0
// The lock is a file of its own in the log's directory: the names of Docker's files are Docker's.
#include "io/json_log_files.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace berth::io {

std::string json_log_path(const std::string& file, std::size_t number) {
    return number == 0 ? file : file + "." + std::to_string(number);
}

std::optional<UniqueFd> try_lock_json_log(const std::string& directory) {
    Result<UniqueFd> lock = open_file(directory + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (!lock.ok() || flock(lock.value().get(), LOCK_EX | LOCK_NB) != 0) {
        return std::nullopt;
    }
    return std::move(lock).value();
}

std::optional<std::size_t> find_json_log(const std::string& file, ino_t inode, std::size_t limit) {
    for (std::size_t number = 0; number <= limit; ++number) {
        struct stat status {};

        if (stat(json_log_path(file, number).c_str(), &status) == 0 && status.st_ino == inode) {
            return number;
        }
    }
    return std::nullopt;
}

} // namespace berth::io
