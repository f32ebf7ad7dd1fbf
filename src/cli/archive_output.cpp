// SPDX-License-Identifier: Apache-2.0
// The refusals are those of moby's sys/atomicwriter.
#include "cli/archive_output.h"

#include "base/file.h"

#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli {

namespace {

std::string output_directory(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view kind_that_is_no_file(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFCHR:
        return "a character device file";
    case S_IFBLK:
        return "a device file";
    case S_IFIFO:
        return "a named pipe file";
    case S_IFSOCK:
        return "a socket file";
    default:
        return "";
    }
}

} // namespace

Result<void> check_archive_output(const std::string& path) {
    if (path.empty()) {
        return ::isatty(STDOUT_FILENO) == 1
                   ? invalid_argument(
                         "cowardly refusing to save to a terminal. Use the -o flag or redirect")
                   : ok();
    }

    struct stat status {};

    const std::string directory = output_directory(path);
    if (::stat(directory.c_str(), &status) != 0) {
        return errno_error("invalid output path: stat " + directory).as(ErrorKind::InvalidArgument);
    }
    if (::stat(path.c_str(), &status) == 0) {
        const std::string_view kind = kind_that_is_no_file(status.st_mode);
        if (!kind.empty()) {
            return invalid_argument("cannot write to " + std::string(kind));
        }
    }
    return ok();
}

Result<void> write_archive(ByteSource& source, const std::string& path) {
    if (path.empty()) {
        FdSink sink(FdRef::unowned(STDOUT_FILENO));
        TRY(copy(source, sink));
        return ok();
    }
    const std::string temporary = path + ".tmp-" + std::to_string(::getpid());
    const UniqueFd file = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    FdSink sink{FdRef(file)};
    Result<std::uint64_t> copied = copy(source, sink);
    if (!copied.ok() || ::rename(temporary.c_str(), path.c_str()) < 0) {
        Error error = copied.ok() ? errno_error("write " + path) : std::move(copied).error();
        ::unlink(temporary.c_str());
        return error;
    }
    return ok();
}

} // namespace berth::cli
