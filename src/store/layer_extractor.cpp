// SPDX-License-Identifier: Apache-2.0
// Unpacks a layer's tar. Speed: one openat, write, futimens and close for the usual file, since the
// descriptors of directories are kept and owner and mode are set only where creation did not.
#include "store/layer_extractor.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/path.h"
#include "store/disk_error.h"
#include "store/overlay_form.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <cerrno>
#include <span>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t extraction_buffer_bytes = 1U << 20;
constexpr std::size_t open_directories_limit = 512;
constexpr std::uint64_t early_bytes = 1U << 20;

Error entry_errno(std::string_view path) {
    int number = errno;
    return disk_error(Error::from_errno("layer entry \"" + std::string(path) + "\"", number));
}

// The process's umask without changing it, which another thread would see.
Result<mode_t> current_umask() {
    std::string status = TRY(read_file("/proc/thread-self/status"));
    std::optional<Cut> found = cut(status, "\nUmask:\t");
    if (!found) {
        return mode_t{0777}; // then every mode is set explicitly
    }
    return parse_number<mode_t>(cut(found->after, "\n")->before, 8);
}

timespec to_timespec(std::int64_t nanoseconds) {
    constexpr std::int64_t second = 1'000'000'000;
    std::int64_t seconds = nanoseconds / second;
    std::int64_t rest = nanoseconds % second;
    if (rest < 0) {
        --seconds;
        rest += second;
    }
    return {seconds, rest};
}

mode_t mode_of(const tar::Header& header) {
    return static_cast<mode_t>(header.mode & 07777);
}

// File systems without an attribute's namespace, and attributes that belong to the machine, are
// passed over as Docker does (moby pkg/archive/archive.go, createTarFile).
bool may_skip_attribute(int number) {
    return number == ENOTSUP || number == EPERM;
}

// An archive of a few blocks can have a terabyte of holes.
Result<void> pass_over(const tar::Header& header, FdRef file, std::uint64_t count) {
    if (count > 0 && lseek(file.get(), static_cast<off_t>(count), SEEK_CUR) < 0) {
        return entry_errno(header.name);
    }
    return ok();
}

// True when it ends in zeros that were not written.
Result<bool> write_segment(
    tar::Reader& reader,
    const tar::Header& header,
    std::uint64_t length,
    FdRef file,
    std::span<char> buffer) {
    bool ends_in_hole = false;
    while (length > 0) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(length, buffer.size()));
        const std::size_t count = TRY(read_full(reader, buffer.first(wanted)));
        if (count == 0) {
            return Error(ErrorKind::DataLoss, "layer entry \"" + header.name + "\" is truncated");
        }
        length -= count;
        const std::string_view bytes(buffer.data(), count);
        ends_in_hole = count >= hole_bytes && is_zero(bytes);
        if (ends_in_hole) {
            TRY(pass_over(header, file, count));
        } else {
            TRY_CONTEXT(disk_result(berth::write_all(file, bytes)), header.name);
        }
    }
    return ends_in_hole;
}

} // namespace

Result<LayerExtractor> LayerExtractor::create(const std::string& root, ExtractionLimits limits) {
    UniqueFd fd = TRY(open_file(root, O_RDONLY | O_DIRECTORY));
    return LayerExtractor(std::move(fd), limits, TRY(current_umask()));
}

Result<void> LayerExtractor::extract(ByteSource& archive) {
    tar::Reader reader(archive, limits_.tar);
    buffer_.resize(extraction_buffer_bytes);
    while (std::optional<tar::Header> header = TRY(reader.next())) {
        if (++entries_ > limits_.entries) {
            return too_many_entries(limits_);
        }
        TRY(extract_entry(reader, *header));
    }
    TRY(reader.drain());
    directories_.clear();
    return set_directory_times();
}

Result<void> LayerExtractor::extract(FrameRecorder& archive) {
    recorder_ = &archive;
    Result<void> extracted = extract(static_cast<ByteSource&>(archive));
    recorder_ = nullptr;
    return extracted;
}

Result<void> LayerExtractor::extract_entry(tar::Reader& reader, const tar::Header& header) {
    std::string path = TRY(clean_entry_name(header.name));
    auto [parent, name] = split_parent(path);
    if (!limits_.whiteouts || !name.starts_with(whiteout_prefix)) {
        return extract_present(reader, header, path);
    }
    // https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
    if (name == opaque_marker) {
        return mark_opaque(parent);
    }
    if (name.starts_with(whiteout_meta_prefix)) {
        return ok(); // what AUFS kept for itself
    }
    std::string hidden = name.substr(whiteout_prefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
        return entry_error(path, "is a whiteout without a name");
    }
    Place place = TRY(place_of((parent.empty() ? "" : parent + "/") + hidden));
    return make_whiteout(place);
}

Result<void> LayerExtractor::extract_present(
    tar::Reader& reader, const tar::Header& header, const std::string& path) {
    if (header.type == tar::EntryType::Directory) {
        return make_directory(header, path);
    }
    if (path.empty()) {
        return entry_error(header.name, "the layer's root is not a directory");
    }
    Place place = TRY(place_of(path));
    switch (header.type) {
    case tar::EntryType::File:
        return write_file(reader, header, place);
    case tar::EntryType::HardLink:
        return make_hard_link(header, place);
    case tar::EntryType::SymbolicLink:
    case tar::EntryType::CharacterDevice:
    case tar::EntryType::BlockDevice:
    case tar::EntryType::Fifo:
        return make_special(header, place);
    case tar::EntryType::Directory:
        break;
    }
    return entry_error(path, "has an unknown type");
}

Result<void>
LayerExtractor::write_file(tar::Reader& reader, const tar::Header& header, const Place& place) {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    mode_t mode = mode_of(header) & 0777;
    UniqueFd file(openat(place.directory, place.name.c_str(), flags, mode));
    if (!file && errno == EEXIST) {
        TRY(clear_way(place));
        file.reset(openat(place.directory, place.name.c_str(), flags, mode));
    }
    if (!file) {
        return entry_errno(header.name);
    }
    TRY(write_data(reader, header, place, file));
    if (recorder_ != nullptr && header.size >= early_bytes) {
        // A sync follows, which then has little left to wait for.
        (void)sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    return set_file_metadata(header, file);
}

Result<void> LayerExtractor::write_data(
    tar::Reader& reader, const tar::Header& header, const Place& place, FdRef file) {
    if (header.size > limits_.bytes - size_) {
        return too_many_bytes(limits_);
    }
    size_ += header.size;
    bool ends_in_hole = false;
    for (const tar::Segment& segment : reader.segments()) {
        const std::uint64_t hole = reader.skip_hole();
        TRY(pass_over(header, file, hole));
        ends_in_hole = ends_in_hole || hole > 0;
        if (segment.length > 0) { // GNU tar ends a map with an empty one
            if (recorder_ != nullptr && !place.path.empty()) {
                TRY(recorder_->begin_content(place.path, segment.offset, segment.length));
            }
            ends_in_hole = TRY(write_segment(reader, header, segment.length, file, buffer_));
        }
    }
    const std::uint64_t rest = reader.skip_hole();
    if ((ends_in_hole || rest > 0) && ftruncate(file.get(), static_cast<off_t>(header.size)) != 0) {
        return entry_errno(header.name);
    }
    return ok();
}

// Owner first: changing it clears set-id bits and capabilities.
Result<void> LayerExtractor::set_file_metadata(const tar::Header& header, FdRef file) {
    mode_t mode = mode_of(header);
    bool foreign = header.uid != own_uid_ || header.gid != own_gid_;
    if (foreign && fchown(file.get(), header.uid, header.gid) != 0) {
        return entry_errno(header.name);
    }
    if (((mode & 07000) != 0 || (mode & umask_) != 0) && fchmod(file.get(), mode) != 0) {
        return entry_errno(header.name);
    }
    for (const auto& [name, value] : header.xattrs) {
        if (!is_overlay_attribute(name) &&
            fsetxattr(file.get(), name.c_str(), value.data(), value.size(), 0) != 0 &&
            !may_skip_attribute(errno)) {
            return entry_errno(header.name);
        }
    }
    timespec time = to_timespec(header.mtime);
    timespec times[2] = {time, time};
    if (futimens(file.get(), times) != 0) {
        return entry_errno(header.name);
    }
    return ok();
}

Result<void> LayerExtractor::make_directory(const tar::Header& header, const std::string& path) {
    UniqueFd fd;
    if (path.empty()) {
        fd = TRY(root_.fd.duplicate());
    } else {
        Place place = TRY(place_of(path));
        bool hides_below = false;
        if (mkdirat(place.directory, place.name.c_str(), mode_of(header) & 0777) != 0) {
            if (errno != EEXIST) {
                return entry_errno(header.name);
            }

            struct stat status {};

            if (fstatat(place.directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
                return entry_errno(header.name);
            }
            if (!S_ISDIR(status.st_mode)) {
                hides_below = is_whiteout(status);
                TRY(clear_way(place));
                if (mkdirat(place.directory, place.name.c_str(), mode_of(header) & 0777) != 0) {
                    return entry_errno(header.name);
                }
            }
        }
        fd.reset(openat(
            place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd) {
            return entry_errno(header.name);
        }
        if (hides_below) {
            TRY(set_opaque(fd));
        }
    }
    // It may have been made with another owner or mode, by an earlier entry or for a child.
    if (fchown(fd.get(), header.uid, header.gid) != 0 || fchmod(fd.get(), mode_of(header)) != 0) {
        return entry_errno(header.name);
    }
    TRY(set_file_metadata(header, fd));
    // Entries that follow will change the time; it is set again at the end.
    TRY(count_name(path));
    directory_times_.insert_or_assign(path, header.mtime);
    implied_.erase(path);
    return ok();
}

Result<void> LayerExtractor::make_hard_link(const tar::Header& header, const Place& place) {
    std::string target = TRY(clean_entry_name(header.link_name));
    auto [target_parent, target_name] = split_parent(target);
    if (target_name.empty()) {
        return entry_error(header.name, "is a hard link to the layer's root");
    }
    // The link's target resolves like every path: within the root, whatever links are on the way.
    Result<UniqueFd> source =
        kernel::open_in_root(root_.fd, "/" + target_parent, O_PATH | O_DIRECTORY);
    if (!source.ok()) {
        return entry_error(
            header.name, "is a hard link to \"" + header.link_name + "\", which is not there");
    }
    auto link = [&, name = target_name.c_str()] {
        return linkat(source->get(), name, place.directory, place.name.c_str(), 0);
    };
    if (link() == 0) {
        return ok();
    }
    if (errno == EEXIST) {
        struct stat from {};

        struct stat to {};

        if (fstatat(source->get(), target_name.c_str(), &from, AT_SYMLINK_NOFOLLOW) == 0 &&
            fstatat(place.directory, place.name.c_str(), &to, AT_SYMLINK_NOFOLLOW) == 0 &&
            from.st_ino == to.st_ino && from.st_dev == to.st_dev) {
            return ok(); // the same file already; clearing the way could delete it
        }
        TRY(clear_way(place));
        // It may have been below what was in the way.
        source = kernel::open_in_root(root_.fd, "/" + target_parent, O_PATH | O_DIRECTORY);
        if (source.ok() && link() == 0) {
            return ok();
        }
        if (!source.ok()) {
            errno = ENOENT;
        }
    }
    if (errno == ENOENT || errno == EPERM) {
        return entry_error(
            header.name,
            "is a hard link to \"" + header.link_name + "\", which " +
                (errno == ENOENT ? "is not there" : "cannot be linked to"));
    }
    return entry_errno(header.name);
}

Result<void> LayerExtractor::make_special(const tar::Header& header, const Place& place) {
    auto make = [&]() -> int {
        const char* name = place.name.c_str();
        mode_t mode = mode_of(header) & 0777;
        dev_t device = makedev(header.device_major, header.device_minor);
        if (header.type == tar::EntryType::SymbolicLink) {
            return symlinkat(header.link_name.c_str(), place.directory, name);
        }
        if (header.type == tar::EntryType::Fifo) {
            return mknodat(place.directory, name, S_IFIFO | mode, 0);
        }
        bool character = header.type == tar::EntryType::CharacterDevice;
        return mknodat(place.directory, name, (character ? S_IFCHR : S_IFBLK) | mode, device);
    };
    if (header.type == tar::EntryType::SymbolicLink && header.link_name.empty()) {
        return entry_error(header.name, "is a symbolic link without a target");
    }
    if (make() != 0) {
        if (errno != EEXIST) {
            return entry_errno(header.name);
        }
        TRY(clear_way(place));
        if (make() != 0) {
            return entry_errno(header.name);
        }
    }
    const char* name = place.name.c_str();
    bool foreign = header.uid != own_uid_ || header.gid != own_gid_;
    if (foreign &&
        fchownat(place.directory, name, header.uid, header.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return entry_errno(header.name);
    }
    // A link has no mode, and a node's name was made just now: fchmodat cannot be led astray.
    if (header.type != tar::EntryType::SymbolicLink &&
        fchmodat(place.directory, name, mode_of(header), 0) != 0) {
        return entry_errno(header.name);
    }
    for (const auto& [key, value] : header.xattrs) {
        std::string path = "/proc/self/fd/" + std::to_string(place.directory) + "/" + place.name;
        if (!is_overlay_attribute(key) &&
            lsetxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) != 0 &&
            !may_skip_attribute(errno)) {
            return entry_errno(header.name);
        }
    }
    timespec time = to_timespec(header.mtime);
    timespec times[2] = {time, time};
    if (utimensat(place.directory, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
        return entry_errno(header.name);
    }
    return ok();
}

// What the same layer brings stays; the whiteout hides only what is below. A directory that the
// layer brings beside it is therefore opaque.
Result<void> LayerExtractor::make_whiteout(const Place& place) {
    if (mknodat(place.directory, place.name.c_str(), S_IFCHR, makedev(0, 0)) == 0) {
        return ok();
    }
    if (errno != EEXIST) {
        return entry_errno(place.name);
    }
    UniqueFd fd(openat(
        place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return fd ? set_opaque(fd) : ok();
}

Result<void> LayerExtractor::mark_opaque(const std::string& path) {
    TRY(directory(path));
    UniqueFd fd = TRY(kernel::open_in_root(root_.fd, "/" + path, O_RDONLY | O_DIRECTORY));
    return disk_result(set_opaque(fd));
}

Result<LayerExtractor::Place> LayerExtractor::place_of(const std::string& path) {
    auto [parent, name] = split_parent(path);
    const OpenDirectory& holder = *TRY(directory(parent));
    Place place{.directory = holder.fd.get(), .name = name, .path = {}};
    if (recorder_ != nullptr && holder.path) {
        place.path = holder.path->empty() ? name : *holder.path + "/" + name;
    }
    return place;
}

Result<const LayerExtractor::OpenDirectory*> LayerExtractor::directory(const std::string& path) {
    if (path.empty()) {
        return &root_;
    }
    auto found = directories_.find(path);
    if (found != directories_.end()) {
        return &found->second;
    }
    Result<UniqueFd> fd = kernel::open_in_root(root_.fd, "/" + path, O_PATH | O_DIRECTORY);
    if (!fd.ok()) {
        int number = fd.error().error_number();
        if (number != ENOENT && number != ENOTDIR) {
            return entry_error(path, "cannot be reached: " + fd.error().message());
        }
        TRY(make_missing(path));
        fd = kernel::open_in_root(root_.fd, "/" + path, O_PATH | O_DIRECTORY);
        if (!fd.ok()) {
            return entry_error(path, "is not a directory, but has entries below it");
        }
    }
    if (directories_.size() >= open_directories_limit) {
        directories_.clear();
    }
    OpenDirectory opened{.fd = std::move(*fd), .path = {}};
    if (recorder_ != nullptr) {
        opened.path = recorder_->path_of(opened.fd);
    }
    return &directories_.emplace(path, std::move(opened)).first->second;
}

// Step by step from the directory before, so that deep paths cost no more than they are long; only
// a link makes the walk start from the root again.
Result<void> LayerExtractor::make_missing(const std::string& path) {
    std::string walked;
    UniqueFd parent = TRY(root_.fd.duplicate());
    for (std::string_view part : split(path, '/')) {
        std::string name(part);
        walked += (walked.empty() ? "" : "/") + name;
        if (mkdirat(parent.get(), name.c_str(), 0755) == 0) {
            if ((umask_ & 0755) != 0 && fchmodat(parent.get(), name.c_str(), 0755, 0) != 0) {
                return entry_errno(walked);
            }
            TRY(count_name(walked));
            implied_.insert(walked);
        } else if (errno != EEXIST) {
            return entry_errno(walked);
        } else {
            TRY(make_missing_component(parent, name));
        }
        UniqueFd child(
            openat(parent.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child) {
            Result<UniqueFd> followed =
                kernel::open_in_root(root_.fd, walked, O_PATH | O_DIRECTORY);
            if (!followed.ok()) {
                return entry_error(path, "cannot be reached: " + followed.error().message());
            }
            child = std::move(*followed);
        }
        parent = std::move(child);
    }
    return ok();
}

// A whiteout where a directory is needed: the directory takes its place and hides what is below.
Result<void> LayerExtractor::make_missing_component(FdRef parent, const std::string& name) {
    struct stat status {};

    if (fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return entry_errno(name);
    }
    if (!is_whiteout(status)) {
        return ok(); // a directory, or a link that the walk follows or fails on
    }
    if (unlinkat(parent.get(), name.c_str(), 0) != 0 ||
        mkdirat(parent.get(), name.c_str(), 0755) != 0) {
        return entry_errno(name);
    }
    UniqueFd fd(
        openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        return entry_errno(name);
    }
    return set_opaque(fd);
}

// The last of several entries with one name wins. Paths that led through what is gone now must be
// walked again; the place's own directory stays open through a duplicate.
Result<void> LayerExtractor::clear_way(const Place& place) {
    const FdRef directory = FdRef::unowned(place.directory);
    const bool is_kept = recorder_ != nullptr && !place.path.empty() &&
                         TRY(recorder_->release(directory, place.name, place.path));
    if (!is_kept) {
        TRY(disk_result(remove_tree_at(directory, place.name)));
    }
    std::erase_if(
        directories_, [&](const auto& entry) { return entry.second.fd.get() != place.directory; });
    return ok();
}

Result<void> LayerExtractor::count_name(const std::string& path) {
    directory_names_ += path.size();
    return directory_names_ <= limits_.directory_names ? ok() : too_many_directories(limits_);
}

Result<void> LayerExtractor::set_directory_times() {
    for (const auto& [path, nanoseconds] : directory_times_) {
        Result<UniqueFd> fd =
            kernel::open_in_root(root_.fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!fd.ok()) {
            continue; // a later entry took its place
        }
        timespec time = to_timespec(nanoseconds);
        timespec times[2] = {time, time};
        if (futimens(fd->get(), times) != 0) {
            return entry_errno(path);
        }
    }
    return ok();
}

} // namespace berth::store
