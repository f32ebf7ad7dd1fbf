// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/archive_unix.go: the last component of a path is not followed, but for "/"
// or "/." behind it; a directory to extract to is.
#include "engine/container_archive.h"

#include "base/strings.h"
#include "codec/compression.h"
#include "engine/container_tree.h"
#include "engine/tree_extractor.h"
#include "kernel/file_maker.h"
#include "kernel/path.h"
#include "runtime/user.h"
#include "store/layer_tar.h"

#include <linux/limits.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// As the kernel's limit, with room to spare.
constexpr int link_limit = 255;

// Below "/", cleaned, but for what says that a link is followed.
std::string absolute(const std::string& path) {
    std::string clean = clean_path("/" + path);
    if (path == "." || path.ends_with("/.")) {
        return clean + (clean.ends_with('/') ? "." : "/.");
    }
    return path.ends_with('/') && clean != "/" ? clean + "/" : clean;
}

// Go's filepath.Base.
std::string base_name(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    if (path.empty()) {
        return ".";
    }
    return std::string(path == "/" ? path : path.substr(path.rfind('/') + 1));
}

// Go's os.FileMode: types and set-id bits from the top.
std::uint32_t go_mode(mode_t mode) {
    const auto bit = [](unsigned number) { return std::uint32_t{1} << number; };
    std::uint32_t result = mode & 0777;
    switch (mode & S_IFMT) {
    case S_IFDIR:
        result |= bit(31);
        break;
    case S_IFLNK:
        result |= bit(27);
        break;
    case S_IFBLK:
        result |= bit(26);
        break;
    case S_IFCHR:
        result |= bit(26) | bit(21);
        break;
    case S_IFIFO:
        result |= bit(25);
        break;
    case S_IFSOCK:
        result |= bit(24);
        break;
    default:
        break;
    }
    result |= (mode & S_ISUID) != 0 ? bit(23) : 0;
    result |= (mode & S_ISGID) != 0 ? bit(22) : 0;
    result |= (mode & S_ISVTX) != 0 ? bit(20) : 0;
    return result;
}

Result<UniqueFd> open_itself(FdRef root, const std::string& path) {
    return kernel::open_in_root(root, path, O_PATH, 0, kernel::FollowLinks::NotLast);
}

// "" for what is no link.
std::string link_target(FdRef root, const std::string& path) {
    std::array<char, PATH_MAX> text{};
    const auto place = open_itself(root, path);
    const ssize_t size = place.ok() ? readlinkat(place->get(), "", text.data(), text.size()) : -1;
    return size < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(size));
}

// Where a link leads in the end, or as far as it leads. What changes meanwhile makes another text,
// which nobody trusts.
Result<std::string> resolve_text(FdRef root, const std::string& path) {
    std::string done;
    std::vector<std::string> rest; // the next one last
    const auto push = [&rest](std::string_view text) {
        const auto parts = split(text, '/');
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            rest.emplace_back(*part);
        }
    };
    push(path);
    for (int links = 0; !rest.empty();) {
        const std::string part = std::move(rest.back());
        rest.pop_back();
        if (part.empty() || part == ".") {
            continue;
        }
        if (part == "..") {
            done.resize(done.empty() ? 0 : done.rfind('/'));
            continue;
        }
        const std::string next = done + "/" + part;
        const std::string target = link_target(root, next);
        if (target.empty()) {
            done = next;
            continue;
        }
        if (++links > link_limit) {
            return internal_error("evalSymlinksInScope: too many links in " + path);
        }
        if (target.starts_with('/')) {
            done.clear();
        }
        push(target);
    }
    return done.empty() ? "/" : done;
}

Result<PathStat> stat_of(FdRef root, FdRef place, const std::string& path, struct ::stat& status) {
    if (fstat(place.get(), &status) != 0) {
        return errno_error("stat");
    }
    PathStat result{
        .name = base_name(path),
        .size = status.st_size,
        .mode = go_mode(status.st_mode),
        .mtime = {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec},
        .link_target = {}};
    if (S_ISLNK(status.st_mode)) {
        result.link_target = TRY(resolve_text(root, path));
    }
    return result;
}

// The path of a directory in the tree, whose namespace has nothing else.
Result<std::string> path_of(FdRef directory) {
    std::array<char, PATH_MAX> text{};
    const ssize_t size = readlink(kernel::fd_path(directory).c_str(), text.data(), text.size());
    if (size < 0) {
        return errno_error("path of a directory");
    }
    return std::string(text.data(), static_cast<std::size_t>(size));
}

Result<bool> is_read_only(FdRef place) {
    struct statvfs status {};

    if (fstatvfs(place.get(), &status) != 0) {
        return errno_error("stat");
    }
    return (status.f_flag & ST_RDONLY) != 0;
}

Result<std::uint64_t> mount_of(FdRef place) {
    struct statx status {};

    if (statx(place.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0) {
        return errno_error("stat");
    }
    return std::uint64_t{status.stx_mnt_id};
}

Result<void> check_writable(const ContainerTree& tree, FdRef directory) {
    if (!TRY(is_read_only(directory))) {
        return ok();
    }
    const bool in_root = TRY(mount_of(directory)) == TRY(mount_of(tree.root()));
    return invalid_argument(
        in_root ? "container rootfs is marked read-only" : "mounted volume is marked read-only");
}

// Owners in an archive are those that the container knows.
store::ChangeHeader as_the_container_sees(const ContainerTree& tree) {
    const kernel::OwnerMap* owners = tree.owners();
    if (owners == nullptr) {
        return {};
    }
    return [owners](tar::Header& header) {
        header.uid = owners->inside_uid(header.uid);
        header.gid = owners->inside_gid(header.gid);
    };
}

// Directories that an archive does not name are the maker's.
Result<void> extract_as(const kernel::FileMaker& maker, const std::function<Result<void>()>& work) {
    if (!maker) {
        return work();
    }
    Result<void> done = internal_error("the thread did not run");
    std::thread([&] {
        done = kernel::make_files_as(maker);
        if (done.ok()) {
            done = work();
        }
    }).join();
    return done;
}

} // namespace

Error ContainerArchive::path_error(
    const Error& error, std::string_view call, const std::string& path) const {
    if (error.error_number() == ENOENT) {
        return not_found("Could not find the file " + path + " in container " + asked_as_);
    }
    if (error.error_number() == 0) {
        return error;
    }
    const int number = error.error_number();
    std::string reason = std::strerror(number);
    reason[0] = static_cast<char>(std::tolower(reason[0]));
    std::string message = std::string(call) + " " + path + ": " + reason;
    // What a path leads to is the client's business.
    return number == ENOTDIR || number == ELOOP || number == ENAMETOOLONG
               ? invalid_argument(std::move(message))
               : internal_error(std::move(message));
}

Result<PathStat> ContainerArchive::stat(const std::string& path) const {
    const ContainerTree tree = TRY(ContainerTree::open(core_, *container_));
    const auto place = open_itself(tree.root(), path);
    if (!place.ok()) {
        return path_error(place.error(), "lstat", path);
    }

    struct ::stat status {};

    return stat_of(tree.root(), *place, path, status);
}

Result<void> ContainerArchive::read(
    std::stop_token stop,
    const std::string& path,
    const ArchiveBegin& begin,
    ByteSink& sink) const {
    const ContainerTree tree = TRY(ContainerTree::open(core_, *container_));
    const std::string wanted = absolute(path);
    const auto place = open_itself(tree.root(), wanted);
    if (!place.ok()) {
        return path_error(place.error(), "lstat", path);
    }

    struct ::stat status {};

    const PathStat found = TRY(stat_of(tree.root(), *place, wanted, status));
    core_.publish(tree.definition(), "archive-path");
    if (S_ISDIR(status.st_mode)) {
        TRY(begin(found));
        // Below the root's own name, which is "/", names begin with one.
        const std::string name = wanted == "/" ? "" : found.name;
        return store::write_tree_tar(
            std::move(stop),
            *place,
            sink,
            {.name = name, .change_header = as_the_container_sees(tree)});
    }
    const auto slash = wanted.rfind('/');
    const UniqueFd parent = TRY(kernel::open_in_root(
        tree.root(), slash == 0 ? "/" : wanted.substr(0, slash), O_PATH | O_DIRECTORY));
    TRY(begin(found));
    return store::write_entry_tar(
        parent, wanted.substr(slash + 1), sink, as_the_container_sees(tree));
}

Result<void> ContainerArchive::write(
    std::stop_token stop, const ArchiveTarget& target, ByteSource& source) const {
    const ContainerTree tree = TRY(ContainerTree::open(core_, *container_));
    const std::string wanted = absolute(target.path);
    const auto place = kernel::open_in_root(tree.root(), wanted, O_PATH);
    if (!place.ok()) {
        return path_error(place.error(), "lstat", target.path);
    }

    struct ::stat status {};

    if (fstat(place->get(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        return invalid_argument("extraction point is not a directory");
    }
    TRY(check_writable(tree, *place));
    TreeExtractionOptions options{.keep_kinds = target.keep_kinds, .owner = {}};
    if (target.users_own && !tree.definition().config.user.empty()) {
        const std::string& name = tree.definition().config.user;
        const auto user = runtime::resolve_user(tree.root(), name);
        if (!user.ok()) {
            return invalid_argument(
                "failed to look up user \"" + name +
                "\" in container: no matching entries in passwd file");
        }
        options.owner = std::pair(user->uid, user->gid);
    }
    // In here and now: no program, and nothing of the container's, has a hand in it.
    auto plain =
        TRY(compression::Decompressor::create(source, compression::DecompressionLimits::none()));
    options.owners = tree.owners();
    TreeExtractor extractor(tree.root(), TRY(path_of(*place)), options);
    TRY(extract_as(
        root_of(tree.owners()), [&] { return extractor.extract(std::move(stop), *plain); }));
    core_.publish(tree.definition(), "extract-to-dir");
    return ok();
}

} // namespace berth::engine
