// SPDX-License-Identifier: Apache-2.0
// Finding and hashing sources. A digest is one SHA-256 over a canonical text of every entry.
#include "build/source_tree.h"

#include "base/strings.h"
#include "build/directory_walk.h"
#include "codec/sha256.h"
#include "codec/stream.h"
#include "kernel/path.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr std::size_t hash_read_bytes = 128U << 10;

Error source_not_found(std::string_view path) {
    return not_found(
        "file not found in build context or excluded by .dockerignore: stat " + std::string(path) +
        ": file does not exist");
}

bool has_wildcard(std::string_view text) {
    return text.find_first_of("*?[\\") != std::string_view::npos;
}

// "./a/../b/" -> "b"; nothing when it leads above the root.
std::optional<std::string> clean_source(std::string_view text) {
    std::vector<std::string> parts;
    for (const std::string_view part : split(text, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        if (part != "..") {
            parts.emplace_back(part);
        } else if (parts.empty()) {
            return std::nullopt;
        } else {
            parts.pop_back();
        }
    }
    return join(parts, "/");
}

std::string joined(const std::string& directory, std::string_view name) {
    return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

class TreeHasher {
  public:
    explicit TreeHasher(SourceTree::Owners owners)
        : owners_(owners) {}

    Result<void> add(FdRef parent, const std::string& name, const std::string& path, int depth);
    Result<void> add_children(FdRef directory, const std::string& path, int depth);

    std::string finish() { return hash_.finish_hex(); }

  private:
    // Fields carry their lengths, so that no two trees give the same text.
    void put(std::string_view field) {
        hash_.update(std::to_string(field.size()));
        hash_.update(":");
        hash_.update(field);
    }

    Result<void> add_content(FdRef parent, const std::string& name);

    SourceTree::Owners owners_;
    Sha256 hash_;
};

Result<void> TreeHasher::add_content(FdRef parent, const std::string& name) {
    UniqueFd file(
        ::openat(parent.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) {
        return errno_error("open " + name);
    }
    FdSource source(std::move(file));
    HashingSource hashing(source);
    std::vector<char> buffer(hash_read_bytes);
    while (TRY(hashing.read(buffer)) != 0) {
    }
    put(std::to_string(hashing.count()));
    put(hashing.finish_hex());
    return ok();
}

Result<void>
TreeHasher::add(FdRef parent, const std::string& name, const std::string& path, int depth) {
    if (depth > tree_depth_limit) {
        return tree_too_deep();
    }

    struct stat status {};

    if (::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("stat " + path);
    }
    put(path);
    put(std::to_string(status.st_mode));
    if (owners_ == SourceTree::Owners::Count) {
        put(std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid));
    }
    for (const auto& [key, value] : TRY(read_xattrs_at(parent, name))) {
        put(key);
        put(value);
    }
    if (S_ISREG(status.st_mode)) {
        return add_content(parent, name);
    }
    if (S_ISLNK(status.st_mode)) {
        std::array<char, 4096> target{};
        const ssize_t length =
            ::readlinkat(parent.get(), name.c_str(), target.data(), target.size());
        if (length < 0) {
            return errno_error("readlink " + path);
        }
        put({target.data(), static_cast<std::size_t>(length)});
    } else if (S_ISDIR(status.st_mode)) {
        const UniqueFd directory(
            ::openat(parent.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory) {
            return errno_error("open " + path);
        }
        return add_children(directory, path, depth);
    } else {
        put(std::to_string(status.st_rdev));
    }
    return ok();
}

Result<void> TreeHasher::add_children(FdRef directory, const std::string& path, int depth) {
    for (const std::string& name : TRY(entry_names(directory))) {
        TRY(add(directory, name, joined(path, name), depth + 1));
    }
    put("end");
    return ok();
}

} // namespace

std::string SourcePath::name() const {
    const auto parts = cut_last(path, "/");
    return parts ? std::string(parts->after) : path;
}

Result<std::vector<SourcePath>> SourceTree::find(std::string_view pattern) const {
    const auto clean = clean_source(pattern);
    if (!clean) {
        return invalid_argument(
            "forbidden path outside the build context: " + std::string(pattern) + " ()");
    }
    std::vector<SourcePath> found;
    if (has_wildcard(*clean)) {
        TRY(match("", *clean, found));
        if (found.empty()) {
            return not_found("no source files were specified");
        }
        std::sort(found.begin(), found.end(), [](const SourcePath& a, const SourcePath& b) {
            return a.path < b.path;
        });
        return found;
    }
    auto fd = kernel::open_in_root(root_, *clean, O_PATH);
    if (!fd.ok()) {
        const int number = fd.error().error_number();
        return number == ENOENT || number == ENOTDIR ? source_not_found(*clean)
                                                     : std::move(fd).error();
    }

    struct stat status {};

    if (::fstat(fd->get(), &status) != 0) {
        return errno_error("stat " + *clean);
    }
    found.push_back({*clean, S_ISDIR(status.st_mode)});
    return found;
}

// Component by component, so that only directories that can match are read.
Result<void> SourceTree::match(
    const std::string& directory, std::string_view pattern, std::vector<SourcePath>& found) const {
    const auto parts = cut(pattern, "/");
    const std::string_view component = parts ? parts->before : pattern;
    auto fd = kernel::open_in_root(root_, directory, O_PATH | O_DIRECTORY);
    if (!fd.ok()) {
        return ok(); // a link that leads nowhere
    }
    for (const std::string& name : TRY(entry_names(*fd))) {
        const bool matches = TRY(glob_match(component, name));
        if (!matches) {
            continue;
        }
        const std::string path = joined(directory, name);
        auto entry = kernel::open_in_root(root_, path, O_PATH);

        struct stat status {};

        if (!entry.ok() || ::fstat(entry->get(), &status) != 0) {
            continue;
        }
        if (!parts) {
            found.push_back({path, S_ISDIR(status.st_mode)});
        } else if (S_ISDIR(status.st_mode)) {
            TRY(match(path, parts->after, found));
        }
    }
    return ok();
}

Result<UniqueFd> SourceTree::open(const SourcePath& source, int flags) const {
    return kernel::open_in_root(root_, source.path, flags);
}

Result<std::string> SourceTree::digest(const SourcePath& source, Owners owners) const {
    TreeHasher hasher(owners);
    if (source.is_directory) {
        const UniqueFd directory = TRY(open(source, O_PATH | O_DIRECTORY));
        TRY(hasher.add_children(directory, "", 0));
        return "dir:" + hasher.finish();
    }
    // A link to a file counts as the file: that is what is copied.
    const UniqueFd file = TRY(open(source, O_PATH));

    struct stat status {};

    if (::fstat(file.get(), &status) != 0) {
        return errno_error("stat " + source.path);
    }
    Sha256 hash;
    hash.update(source.name() + "\n" + std::to_string(status.st_mode) + "\n");
    if (owners == Owners::Count) {
        hash.update(std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid) + "\n");
    }
    for (const auto& [key, value] : TRY(read_xattrs(file))) {
        hash.update(key + "=" + std::to_string(value.size()) + ":" + value + "\n");
    }
    if (S_ISREG(status.st_mode)) {
        FdSource content(TRY(open(source, O_RDONLY | O_NONBLOCK)));
        HashingSource hashing(content);
        std::vector<char> buffer(hash_read_bytes);
        while (TRY(hashing.read(buffer)) != 0) {
        }
        hash.update(hashing.finish_hex());
    } else {
        hash.update(std::to_string(status.st_rdev));
    }
    return "file:" + hash.finish_hex();
}

} // namespace berth::build
