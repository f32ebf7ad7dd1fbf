// SPDX-License-Identifier: Apache-2.0
// Go's os/exec/lp_unix.go, step by step, because its words are an interface.
#include "runtime/program_lookup.h"

#include "base/strings.h"

#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

// nullopt: executable; otherwise the words of the error.
std::optional<Error> check_file(const std::string& command, const std::string& file) {
    struct stat status {};

    auto failed = [&](ErrorKind kind, const std::string& why) {
        return Error(kind, "exec: \"" + command + "\": " + why);
    };
    if (::stat(file.c_str(), &status) < 0) {
        int number = errno;
        return failed(
            number == EACCES ? ErrorKind::Forbidden : ErrorKind::NotFound,
            "stat " + file + ": " + to_lower(std::strerror(number)));
    }
    if (S_ISDIR(status.st_mode)) {
        return failed(ErrorKind::Forbidden, "is a directory: permission denied");
    }
    if (::faccessat(AT_FDCWD, file.c_str(), X_OK, AT_EACCESS) == 0) {
        return std::nullopt;
    }
    // A seccomp profile may forbid the call: then the mode bits have to do.
    if ((errno == ENOSYS || errno == EPERM) && (status.st_mode & 0111) != 0) {
        return std::nullopt;
    }
    return failed(ErrorKind::Forbidden, "permission denied");
}

} // namespace

std::optional<std::string_view>
environment_value(const std::vector<std::string>& environment, std::string_view name) {
    for (auto entry = environment.rbegin(); entry != environment.rend(); ++entry) {
        std::optional<Cut> parts = cut(*entry, "=");
        if (parts && parts->before == name) {
            return std::string_view(*entry).substr(name.size() + 1);
        }
    }
    return std::nullopt;
}

Result<std::string> find_executable(std::string_view command, std::string_view path_variable) {
    const std::string name(command);
    if (name.find('/') != std::string::npos) {
        if (std::optional<Error> error = check_file(name, name)) {
            return std::move(*error);
        }
        return name;
    }
    if (!name.empty() && !path_variable.empty()) {
        for (std::string_view folder : split(path_variable, ':')) {
            std::string file = clean_path(std::string(folder.empty() ? "." : folder) + "/" + name);
            if (check_file(name, file)) {
                continue;
            }
            if (!file.starts_with('/')) {
                return Error(
                    ErrorKind::NotFound,
                    "exec: \"" + name +
                        "\": cannot run executable found relative to current directory");
            }
            return file;
        }
    }
    return Error(ErrorKind::NotFound, "exec: \"" + name + "\": executable file not found in $PATH");
}

} // namespace berth::runtime
