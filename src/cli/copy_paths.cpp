// SPDX-License-Identifier: Apache-2.0
// After moby's go-archive, copy.go, and docker's cli/command/container/cp.go, with their words.
#include "cli/copy_paths.h"

#include "base/strings.h"

#include <linux/limits.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli {

namespace {

constexpr int link_limit = 10;

// Go's filepath.Dir and Base of a clean path.
std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : clean_path(path.substr(0, slash));
}

std::string base_of(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    if (path.empty()) {
        return ".";
    }
    return std::string(path == "/" ? path : path.substr(path.rfind('/') + 1));
}

// Go's words for a system call that failed.
Error path_error(const char* call, const std::string& path) {
    std::string reason = std::strerror(errno);
    reason[0] = static_cast<char>(std::tolower(reason[0]));
    return internal_error(std::string(call) + " " + path + ": " + reason);
}

Result<std::string> real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> text(::realpath(path.c_str(), nullptr), std::free);
    if (!text) {
        return path_error("lstat", path);
    }
    return std::string(text.get());
}

Result<std::string> absolute_path(const std::string& path) {
    if (path.starts_with('/')) {
        return keep_ending(clean_path(path), path);
    }
    return keep_ending(clean_path(TRY(real_path(".")) + "/" + path), path);
}

std::string joined_to(const std::string& directory, const std::string& target) {
    return target.starts_with('/') ? target : clean_path(directory + "/" + target);
}

} // namespace

CopyArgument parse_copy_argument(std::string_view argument) {
    const auto parts = cut(argument, ":");
    if (argument.starts_with('/') || !parts || parts->before.starts_with('.')) {
        return {{}, std::string(argument)};
    }
    return {std::string(parts->before), std::string(parts->after)};
}

bool has_trailing_slash(std::string_view path) {
    return path.ends_with('/');
}

bool means_content(std::string_view path) {
    return path == "." || path.ends_with("/.");
}

std::string keep_ending(std::string cleaned, std::string_view as_written) {
    if (means_content(as_written) && !means_content(cleaned)) {
        return cleaned + (has_trailing_slash(cleaned) ? "." : "/.");
    }
    if (has_trailing_slash(as_written) && !has_trailing_slash(cleaned)) {
        return cleaned + "/";
    }
    return cleaned;
}

PathEntry split_path_entry(const std::string& path) {
    const std::string clean = clean_path(path);
    if (means_content(path)) {
        return {clean, "."};
    }
    return {parent_of(clean), base_of(clean)};
}

CopyEnd follow_link(const std::string& path, std::string target) {
    CopyEnd end{.path = keep_ending(std::move(target), path), .exists = true, .asked_name = {}};
    if (base_of(path) != base_of(end.path)) {
        end.asked_name = base_of(path);
    }
    return end;
}

Result<CopyEnd> local_source(const std::string& path, Follow follow) {
    const std::string absolute = TRY(absolute_path(path));
    CopyEnd end;
    if (follow == Follow::Yes) {
        end = follow_link(absolute, TRY(real_path(absolute)));
    } else {
        const auto slash = absolute.rfind('/');
        const std::string parent = TRY(real_path(absolute.substr(0, slash + 1)));
        end.path = (parent == "/" ? "" : parent) + "/" + absolute.substr(slash + 1);
        if (has_trailing_slash(absolute) && base_of(absolute) != base_of(end.path)) {
            end.asked_name = base_of(absolute);
        }
    }

    struct stat status {};

    if (::lstat(end.path.c_str(), &status) < 0) {
        return path_error("lstat", end.path);
    }
    end.exists = true;
    end.is_directory = S_ISDIR(status.st_mode);
    return end;
}

Result<CopyEnd> local_destination(const std::string& path) {
    CopyEnd end{.path = TRY(absolute_path(path)), .asked_name = {}};

    struct stat status {};

    int found = ::lstat(end.path.c_str(), &status);
    for (int links = 0; found == 0 && S_ISLNK(status.st_mode); ++links) {
        std::array<char, PATH_MAX> target{};
        const ssize_t size = ::readlink(end.path.c_str(), target.data(), target.size());
        if (size < 0) {
            return path_error("readlink", end.path);
        }
        if (links >= link_limit) {
            return invalid_argument("too many symlinks in " + path);
        }
        end.path = joined_to(
            split_path_entry(end.path).directory,
            std::string(target.data(), static_cast<std::size_t>(size)));
        found = ::lstat(end.path.c_str(), &status);
    }
    if (found == 0) {
        end.exists = true;
        end.is_directory = S_ISDIR(status.st_mode);
        return end;
    }
    if (errno != ENOENT) {
        return path_error("lstat", end.path);
    }
    const std::string parent = split_path_entry(end.path).directory;
    if (::stat(parent.c_str(), &status) < 0) {
        return path_error("stat", parent);
    }
    return S_ISDIR(status.st_mode) ? Result<CopyEnd>(std::move(end))
                                   : Result<CopyEnd>(invalid_argument("not a directory"));
}

Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& destination) {
    if (destination.exists && destination.is_directory) {
        return CopyPlan{.directory = destination.path, .old_name = {}, .new_name = {}};
    }
    if (destination.exists && source.is_directory) {
        return invalid_argument("cannot copy directory");
    }
    const bool asks_for_directory =
        has_trailing_slash(destination.path) || means_content(destination.path);
    if (!destination.exists && !source.is_directory && asks_for_directory) {
        return invalid_argument("no such directory");
    }
    const PathEntry to = split_path_entry(destination.path);
    const std::string from =
        source.asked_name.empty() ? split_path_entry(source.path).name : source.asked_name;
    return CopyPlan{.directory = to.directory, .old_name = from, .new_name = to.name};
}

std::string planned_name(const CopyPlan& plan, const std::string& name) {
    if (plan.old_name.empty() || plan.old_name == plan.new_name) {
        return name;
    }
    // Below the root of a container names begin with "/".
    const std::string old = plan.old_name == "/" ? "" : plan.old_name;
    if (name == old || (name == "/" && old.empty())) {
        return plan.new_name;
    }
    return name.starts_with(old + "/") ? plan.new_name + name.substr(old.size()) : name;
}

} // namespace berth::cli
