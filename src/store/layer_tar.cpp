// SPDX-License-Identifier: Apache-2.0
// A difference as a tar stream. The tree may belong to a running container, so everything is opened
// by descriptor without following links, and a file that changes its size while it is read still
// gives a well-formed archive.
#include "store/layer_tar.h"

#include "base/file.h"
#include "codec/tar.h"
#include "codec/tar_types.h"
#include "store/layer_attributes.h"
#include "store/layer_entry.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t tar_buffer_bytes = 1U << 20;

class DifferenceWriter {
  public:
    // With a name, all paths are below it in the archive.
    DifferenceWriter(FdRef tree, ByteSink& sink, FileData data, TreeTarOptions options = {})
        : tree_(tree)
        , writer_(sink)
        , data_(data)
        , name_(std::move(options.name))
        , change_header_(std::move(options.change_header))
        , buffer_(tar_buffer_bytes, '\0') {}

    Result<void> write(const DiffEntry& entry) {
        auto [parent, name] = split_parent(entry.path);
        if (entry.kind == DiffEntry::Kind::Deleted) {
            return write_marker(parent, std::string(whiteout_prefix) + name);
        }
        Result<int> directory = open_parent(parent);
        if (!directory.ok()) {
            // Deleted while we look: as if it had never been.
            int number = directory.error().error_number();
            return number == ENOENT || number == ENOTDIR ? ok() : std::move(directory).error();
        }
        TRY_CONTEXT(write_present(*directory, name, entry.path), entry.path);
        return entry.opaque ? write_marker(entry.path, std::string(opaque_marker)) : ok();
    }

    Result<void> write_itself() { return write_present(tree_.get(), ".", ""); }

    Result<void> finish() { return writer_.finish(); }

  private:
    std::string archive_name(const std::string& path) const {
        if (!name_) {
            return path;
        }
        const std::string below = *name_ + "/";
        return path.empty() && !name_->empty() ? *name_ : below + path;
    }

    Result<void> write_marker(const std::string& parent, const std::string& name) {
        tar::Header header;
        header.name = archive_name((parent.empty() ? "" : parent + "/") + name);
        header.mode = 0;
        return writer_.write_header(header);
    }

    // Entries come in the tree's order, so the last parent is nearly always the next one. Walked
    // from the root without links; a container cannot lead us out of its tree.
    Result<int> open_parent(const std::string& path) {
        if (parent_ && parent_path_ == path) {
            return parent_.get();
        }
        UniqueFd fd(openat(tree_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        std::size_t start = 0;
        while (fd && start < path.size()) {
            std::size_t end = std::min(path.find('/', start), path.size());
            std::string part = path.substr(start, end - start);
            fd.reset(
                openat(fd.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            start = end + 1;
        }
        if (!fd) {
            return errno_error("open " + path);
        }
        parent_ = std::move(fd);
        parent_path_ = path;
        return parent_.get();
    }

    Result<void> write_present(int directory, const std::string& name, const std::string& path) {
        struct stat status {};

        if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno == ENOENT ? ok() : errno_error("stat");
        }
        std::optional<tar::EntryType> type = tar::entry_type_of(status.st_mode);
        if (!type) {
            return ok();
        }
        UniqueFd file;
        if (*type == tar::EntryType::File) {
            file.reset(
                openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
            if (!file) {
                return errno == ENOENT || errno == ELOOP ? ok() : errno_error("open");
            }
            if (fstat(file.get(), &status) != 0) {
                return errno_error("stat");
            }
            if (!S_ISREG(status.st_mode)) {
                return ok(); // exchanged since the first look
            }
        }
        tar::Header header = header_of(status, *type);
        if (change_header_) {
            change_header_(header);
        }
        header.name = archive_name(path);
        std::string attributes_path = descriptor_path(FdRef::unowned(directory), name);
        if (*type == tar::EntryType::SymbolicLink) {
            header.link_name.resize(PATH_MAX);
            ssize_t length = readlinkat(
                directory, name.c_str(), header.link_name.data(), header.link_name.size());
            if (length < 0) {
                // Gone, or no link any more since the first look.
                return errno == ENOENT || errno == EINVAL ? ok() : errno_error("read link");
            }
            header.link_name.resize(static_cast<std::size_t>(length));
        } else if (file) {
            if (status.st_nlink > 1 && !remember(status, path)) {
                header.type = tar::EntryType::HardLink;
                header.link_name = archive_name(first_names_.at({status.st_dev, status.st_ino}));
                header.size = 0;
                return writer_.write_header(header);
            }
        }
        auto attributes = portable_attributes(attributes_path);
        if (!attributes.ok()) {
            return attributes.error().error_number() == ENOENT ? ok()
                                                               : std::move(attributes).error();
        }
        header.xattrs = std::move(*attributes);
        TRY(writer_.write_header(header));
        return file ? write_data(file, header.size) : ok();
    }

    static tar::Header header_of(const struct stat& status, tar::EntryType type) {
        tar::Header header;
        header.type = type;
        header.mode = status.st_mode & 07777;
        header.uid = status.st_uid;
        header.gid = status.st_gid;
        header.mtime = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
        if (type == tar::EntryType::File) {
            header.size = static_cast<std::uint64_t>(status.st_size);
        }
        if (type == tar::EntryType::CharacterDevice || type == tar::EntryType::BlockDevice) {
            header.device_major = major(status.st_rdev);
            header.device_minor = minor(status.st_rdev);
        }
        return header;
    }

    // True for the first name of an inode.
    bool remember(const struct stat& status, const std::string& path) {
        return first_names_.emplace(std::pair(status.st_dev, status.st_ino), path).second;
    }

    Result<void> write_data(const UniqueFd& file, std::uint64_t size) {
        FdSource source{FdRef(file)};
        while (size > 0) {
            auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer_.size()));
            std::size_t count = wanted;
            if (data_ == FileData::Content) {
                count = TRY(source.read(std::span(buffer_).first(wanted)));
            }
            if (count == 0) { // it shrank; the header has promised the bytes
                std::memset(buffer_.data(), 0, wanted);
                count = wanted;
            }
            TRY(writer_.write({buffer_.data(), count}));
            size -= count;
        }
        return ok();
    }

    FdRef tree_;
    tar::Writer writer_;
    FileData data_;
    std::optional<std::string> name_;
    ChangeHeader change_header_;
    std::string buffer_;
    UniqueFd parent_;
    std::string parent_path_;
    std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
};

} // namespace

Result<void> write_difference_tar(const Difference& difference, ByteSink& sink, FileData data) {
    DifferenceWriter writer(difference.tree, sink, data);
    for (const DiffEntry& entry : difference.entries) {
        TRY(writer.write(entry));
    }
    return writer.finish();
}

// Depth first, with nothing kept but the directories on the way.
Result<void>
write_tree_tar(std::stop_token stop, FdRef tree, ByteSink& sink, const TreeTarOptions& options) {
    struct Frame {
        UniqueFd directory;
        std::string path;
        std::vector<std::string> names;
        std::size_t next = 0;
    };

    DifferenceWriter writer(tree, sink, FileData::Content, options);
    if (options.name) {
        TRY(writer.write_itself());
    }
    std::vector<Frame> frames(1);
    frames[0].directory.reset(openat(tree.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!frames[0].directory) {
        return errno_error("open a tree");
    }
    frames[0].names = TRY(directory_names(frames[0].directory));
    while (!frames.empty()) {
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "writing a tree was cancelled");
        }
        Frame& frame = frames.back();
        if (frame.next == frame.names.size()) {
            frames.pop_back();
            continue;
        }
        const std::string& name = frame.names[frame.next++];
        const DiffEntry entry{.path = frame.path.empty() ? name : frame.path + "/" + name};
        TRY(writer.write(entry));
        Frame child{
            .directory = UniqueFd(openat(
                frame.directory.get(),
                name.c_str(),
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))};
        if (!child.directory) {
            continue; // no directory, or not any more
        }
        if (frames.size() >= tree_depth_limit) {
            return Error(
                ErrorKind::ResourceExhausted,
                "directories are nested more than " + std::to_string(tree_depth_limit) +
                    " deep at " + entry.path.substr(0, 200));
        }
        child.path = entry.path;
        child.names = TRY(directory_names(child.directory));
        frames.push_back(std::move(child));
    }
    return writer.finish();
}

Result<void> write_entry_tar(
    FdRef directory, const std::string& entry, ByteSink& sink, ChangeHeader change_header) {
    DifferenceWriter writer(
        directory,
        sink,
        FileData::Content,
        {.name = std::nullopt, .change_header = std::move(change_header)});
    TRY(writer.write({.path = entry}));
    return writer.finish();
}

// moby pkg/archive/changes.go, changes(): the parent of an addition or deletion counts as modified,
// that of a modification does not.
std::vector<Change> changes_of(const Difference& difference) {
    std::set<std::string> touched;
    for (const DiffEntry& entry : difference.entries) {
        bool adds = entry.kind == DiffEntry::Kind::Present && !entry.in_parent;
        if (adds || entry.kind == DiffEntry::Kind::Deleted) {
            touched.insert(split_parent(entry.path).first);
        }
    }
    std::vector<Change> changes;
    for (const DiffEntry& entry : difference.entries) {
        ChangeKind kind = ChangeKind::Modified;
        switch (entry.kind) {
        case DiffEntry::Kind::Present:
            kind = entry.in_parent ? ChangeKind::Modified : ChangeKind::Added;
            break;
        case DiffEntry::Kind::Deleted:
            kind = ChangeKind::Deleted;
            break;
        case DiffEntry::Kind::Traversed:
            if (!touched.contains(entry.path)) {
                continue;
            }
            break;
        }
        changes.push_back({"/" + entry.path, kind});
    }
    return changes;
}

} // namespace berth::store
