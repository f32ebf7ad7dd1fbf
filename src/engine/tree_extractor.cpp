// SPDX-License-Identifier: Apache-2.0
// What an entry takes the place of, and the words of refusals, are those of moby's go-archive. A
// link in the archive may point anywhere: what walks over it stays in the container's root.
#include "engine/tree_extractor.h"

#include "base/file.h"
#include "base/strings.h"
#include "codec/tar_types.h"
#include "kernel/path.h"
#include "store/overlay_form.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <cerrno>
#include <span>

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr std::size_t buffer_bytes = 256U << 10;

timespec to_timespec(std::int64_t since_epoch) {
    constexpr std::int64_t second = 1'000'000'000;
    std::int64_t seconds = since_epoch / second;
    std::int64_t rest = since_epoch % second;
    if (rest < 0) {
        --seconds;
        rest += second;
    }
    return {seconds, rest};
}

Result<void> set_time(FdRef made, std::int64_t since_epoch) {
    const timespec time = to_timespec(since_epoch);
    const timespec times[2] = {time, time};
    return utimensat(made.get(), "", times, AT_EMPTY_PATH) == 0 ? ok()
                                                                : Result<void>(errno_error("time"));
}

// "./a//b" -> "a/b"; "" is the directory itself.
Result<std::string> clean_name(const std::string& name) {
    std::string clean = clean_path(name);
    if (clean == ".." || clean.starts_with("../")) {
        return invalid_argument("invalid entry name \"" + name + "\"");
    }
    const auto start = clean.find_first_not_of('/');
    return start == std::string::npos || clean == "." ? std::string() : clean.substr(start);
}

std::string quoted(const std::string& text) {
    return "\"" + text + "\"";
}

} // namespace

TreeExtractor::TreeExtractor(FdRef root, std::string directory, TreeExtractionOptions options)
    : root_(root)
    , directory_(std::move(directory))
    , options_(options)
    , buffer_(buffer_bytes, '\0') {}

std::string TreeExtractor::full_path(const std::string& path) const {
    return directory_ + "/" + path;
}

Result<void> TreeExtractor::extract(std::stop_token stop, ByteSource& archive) {
    tar::Reader reader(archive);
    const auto next = [&reader]() -> Result<std::optional<tar::Header>> {
        auto header = reader.next();
        // An archive that is none is the client's mistake.
        return header.ok() || header.error().kind() != ErrorKind::DataLoss
                   ? std::move(header)
                   : Result<std::optional<tar::Header>>(
                         std::move(header).error().as(ErrorKind::InvalidArgument));
    };
    while (std::optional<tar::Header> header = TRY(next())) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "extracting was cancelled");
        }
        if (++entries_ > options_.entries) {
            return Error(
                ErrorKind::ResourceExhausted,
                "the archive has more than " + std::to_string(options_.entries) + " entries");
        }
        TRY(extract_entry(reader, *header));
    }
    TRY(set_directory_times());
    return reader.drain();
}

Result<void> TreeExtractor::extract_entry(tar::Reader& reader, const tar::Header& header) {
    const std::string path = TRY(clean_name(header.name));
    if (path.empty()) {
        // "." is there, as it is. "/" has an owner and a mode of its own.
        if (!header.name.starts_with('/') || header.type != tar::EntryType::Directory) {
            return ok();
        }
        const UniqueFd itself = TRY(kernel::open_in_root(
            root_, directory_, O_RDONLY | O_DIRECTORY, 0, kernel::FollowLinks::InRoot));
        TRY_CONTEXT(set_metadata(header, itself), header.name);
        directory_times_.emplace_back("", header.mtime);
        return ok();
    }
    if (header.type == tar::EntryType::HardLink) {
        const auto target = clean_name(header.link_name);
        if (!target.ok() || target->empty()) {
            return invalid_argument("invalid hardlink target " + quoted(header.link_name));
        }
    }
    const auto slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
    const Place place{
        TRY(parent_of(parent)), slash == std::string::npos ? path : path.substr(slash + 1)};
    TRY(clear_way(header, place));
    TRY_CONTEXT(make(reader, header, place), header.name);
    if (header.type == tar::EntryType::Directory) {
        directory_names_ += path.size();
        if (directory_names_ > options_.directory_names) {
            return Error(
                ErrorKind::ResourceExhausted,
                "the archive has directories with names of more than " +
                    std::to_string(options_.directory_names) + " bytes");
        }
        directory_times_.emplace_back(path, header.mtime);
    }
    return ok();
}

// Entries of one directory come together, mostly.
Result<FdRef> TreeExtractor::parent_of(const std::string& path) {
    if (parent_ && parent_path_ == path) {
        return FdRef(parent_);
    }
    parent_ = TRY(kernel::make_directories_in_root(root_, full_path(path)));
    parent_path_ = path;
    return FdRef(parent_);
}

Result<void> TreeExtractor::clear_way(const tar::Header& header, const Place& place) const {
    struct stat there {};

    if (fstatat(place.parent.get(), place.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? ok() : Result<void>(errno_error("stat " + header.name));
    }
    const bool was_directory = S_ISDIR(there.st_mode);
    const bool is_directory = header.type == tar::EntryType::Directory;
    if (options_.keep_kinds && was_directory && !is_directory) {
        return invalid_argument(
            "cannot overwrite directory " + quoted(clean_path(header.name)) +
            " with non-directory " + quoted(directory_));
    }
    if (options_.keep_kinds && !was_directory && is_directory) {
        return invalid_argument(
            "cannot overwrite non-directory " + quoted(clean_path(header.name)) +
            " with directory " + quoted(directory_));
    }
    return was_directory && is_directory ? ok() : store::remove_tree_at(place.parent, place.name);
}

Result<void>
TreeExtractor::make(tar::Reader& reader, const tar::Header& header, const Place& place) {
    switch (header.type) {
    case tar::EntryType::File:
        return write_file(reader, header, place);
    case tar::EntryType::HardLink:
        return make_hard_link(header, place);
    case tar::EntryType::Directory:
        return make_directory(header, place);
    case tar::EntryType::SymbolicLink:
    case tar::EntryType::CharacterDevice:
    case tar::EntryType::BlockDevice:
    case tar::EntryType::Fifo:
        return make_special(header, place);
    }
    VERIFY(false);
}

Result<void>
TreeExtractor::write_file(tar::Reader& reader, const tar::Header& header, const Place& place) {
    const UniqueFd file(openat(
        place.parent.get(),
        place.name.c_str(),
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        0600));
    if (!file) {
        return errno_error("create");
    }
    const auto pass_over = [&file](std::uint64_t count) -> Result<void> {
        if (count > 0 && lseek(file.get(), static_cast<off_t>(count), SEEK_CUR) < 0) {
            return errno_error("seek");
        }
        return ok();
    };
    for (const tar::Segment& segment : reader.segments()) {
        TRY(pass_over(reader.skip_hole()));
        for (std::uint64_t left = segment.length; left > 0;) {
            const auto wanted =
                static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
            const std::size_t got = TRY(read_full(reader, std::span(buffer_).first(wanted)));
            if (got == 0) {
                return Error(ErrorKind::DataLoss, "unexpected EOF");
            }
            TRY(write_all(file, {buffer_.data(), got}));
            left -= got;
        }
    }
    reader.skip_hole();
    if (ftruncate(file.get(), static_cast<off_t>(header.size)) != 0) {
        return errno_error("truncate");
    }
    return set_metadata(header, file);
}

Result<void> TreeExtractor::make_directory(const tar::Header& header, const Place& place) {
    if (mkdirat(place.parent.get(), place.name.c_str(), 0700) != 0 && errno != EEXIST) {
        return errno_error("mkdir");
    }
    const UniqueFd made(openat(
        place.parent.get(), place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made) {
        return errno_error("open");
    }
    return set_metadata(header, made);
}

// Its target's name counts from the directory that is extracted to.
Result<void> TreeExtractor::make_hard_link(const tar::Header& header, const Place& place) {
    const std::string target = TRY(clean_name(header.link_name));
    const UniqueFd source = TRY(
        kernel::open_in_root(root_, full_path(target), O_PATH, 0, kernel::FollowLinks::NotLast));
    if (linkat(source.get(), "", place.parent.get(), place.name.c_str(), AT_EMPTY_PATH) != 0) {
        return errno_error("link to " + header.link_name);
    }
    return ok();
}

Result<void> TreeExtractor::make_special(const tar::Header& header, const Place& place) {
    const char* name = place.name.c_str();
    const mode_t type = tar::file_type_of(header.type);
    const bool is_device = S_ISCHR(type) || S_ISBLK(type);
    const dev_t device = is_device ? makedev(header.device_major, header.device_minor) : 0;
    const int made = S_ISLNK(type) ? symlinkat(header.link_name.c_str(), place.parent.get(), name)
                                   : mknodat(place.parent.get(), name, type | 0600, device);
    if (made != 0) {
        return errno_error(S_ISLNK(type) ? "symlink" : "mknod");
    }
    const UniqueFd itself(openat(place.parent.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));

    struct stat status {};

    if (!itself || fstat(itself.get(), &status) != 0) {
        return errno_error("open");
    }
    if ((status.st_mode & S_IFMT) != type || (is_device && status.st_rdev != device)) {
        return conflict("it was exchanged while it was made");
    }
    return set_metadata(header, itself);
}

// The owner first: changing it takes set-id bits and capabilities away.
Result<void> TreeExtractor::set_metadata(const tar::Header& header, FdRef made) const {
    auto [uid, gid] = options_.owner.value_or(std::pair(header.uid, header.gid));
    if (options_.owners != nullptr) {
        uid = options_.owners->outside_uid(uid);
        gid = options_.owners->outside_gid(gid);
    }
    if (fchownat(made.get(), "", uid, gid, AT_EMPTY_PATH) != 0) {
        return errno_error("lchown");
    }
    const std::string itself = kernel::fd_path(made);
    if (header.type != tar::EntryType::SymbolicLink &&
        chmod(itself.c_str(), header.mode & 07777) != 0) {
        return errno_error("chmod");
    }
    for (const auto& [name, value] : header.xattrs) {
        if (!store::is_overlay_attribute(name) &&
            setxattr(itself.c_str(), name.c_str(), value.data(), value.size(), 0) != 0 &&
            errno != ENOTSUP && errno != EPERM) {
            return errno_error("setxattr " + name);
        }
    }
    return set_time(made, header.mtime);
}

// What was put into them has changed them.
Result<void> TreeExtractor::set_directory_times() {
    for (const auto& [path, time] : directory_times_) {
        const auto place = kernel::open_in_root(
            root_, full_path(path), O_RDONLY | O_DIRECTORY, 0, kernel::FollowLinks::NotLast);
        if (place.ok()) {
            TRY_CONTEXT(set_time(*place, time), path);
        }
    }
    return ok();
}

} // namespace berth::engine
