// SPDX-License-Identifier: Apache-2.0
// Whole small files, atomic replacement, directories. Host paths only: paths inside a container's
// or an image's root go through kernel/path.h. Errors carry errno and the path; the kind is
// Internal until a caller knows better.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace berth {

// open(2) with O_CLOEXEC added.
Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode = 0644);

// At most `limit` bytes; a longer file is ResourceExhausted. Works for /proc files of unknown size.
Result<std::string> read_file(const std::string& path, std::size_t limit = 16U << 20);
Result<std::string> read_all(FdRef fd, std::size_t limit);

Result<void> write_all(FdRef fd, std::string_view bytes);

// One write(2) to an existing file: for /proc, /sys and cgroup files.
Result<void> write_existing(const std::string& path, std::string_view bytes);

enum class Sync : bool { No, Yes };

// Writes a temporary file beside path and renames it: readers see the old bytes or the new.
// Sync::Yes makes it survive a power cut (fdatasync of the file, fsync of the directory).
Result<void> replace_file(
    const std::string& path, std::string_view bytes, mode_t mode = 0644, Sync sync = Sync::Yes);

// mkdir -p; directories that exist are fine and keep their mode.
Result<void> make_directories(const std::string& path, mode_t mode = 0755);

// Removes path and all below it without following links or crossing into what is not there; absent
// is fine, and so is another who removes the same at the same time.
Result<void> remove_tree(const std::string& path);

// Entry names, sorted, without . and ..
Result<std::vector<std::string>> list_directory(const std::string& path);

bool exists(const std::string& path);

// A directory made under parent (mkdtemp), removed with its content by the destructor.
class TemporaryDirectory {
  public:
    static Result<TemporaryDirectory> create(const std::string& parent);
    TemporaryDirectory(TemporaryDirectory&& other) noexcept;
    TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
    ~TemporaryDirectory();

    const std::string& path() const { return path_; }

    // The directory stays; the caller owns it now.
    std::string release();

  private:
    explicit TemporaryDirectory(std::string path);

    std::string path_;
};

// An exclusive flock(2) on a file that is created when absent; Conflict when another process holds
// it.
class FileLock {
  public:
    static Result<FileLock> acquire(const std::string& path);

  private:
    explicit FileLock(UniqueFd fd)
        : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

} // namespace berth
