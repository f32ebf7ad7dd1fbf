// SPDX-License-Identifier: Apache-2.0
// A directory takes the place of directories only, and nothing else takes theirs, as with docker
// cp. Directories are walked by descriptor and links on the way refused.
#include "cli/local_archive.h"

#include "base/file.h"
#include "base/strings.h"
#include "cli/piped_source.h"
#include "codec/tar.h"
#include "codec/tar_types.h"

#include <linux/limits.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::cli {

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr const char* capability = "security.capability";

std::string path_of(FdRef fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
}

class LocalWriter {
  public:
    LocalWriter(CopyPlan plan, ByteSink& sink)
        : plan_(std::move(plan))
        , writer_(sink) {}

    Result<void> write(const CopyEnd& source) {
        const PathEntry entry = split_path_entry(source.path);
        const UniqueFd parent = TRY(open_file(entry.directory, O_RDONLY | O_DIRECTORY));
        const std::string name = source.asked_name.empty() ? entry.name : source.asked_name;
        TRY(write_entry(parent, entry.name, name));
        return writer_.finish();
    }

  private:
    Result<void> write_entry(FdRef parent, const std::string& name, const std::string& path) {
        struct stat status {};

        if (::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
            return errno_error("lstat " + path);
        }
        const auto type = tar::entry_type_of(status.st_mode);
        if (!type) {
            return ok();
        }
        tar::Header header;
        header.name = planned_name(plan_, path);
        header.type = *type;
        header.mode = status.st_mode & 07777;
        header.uid = status.st_uid;
        header.gid = status.st_gid;
        header.mtime = status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec;
        header.device_major = major(status.st_rdev);
        header.device_minor = minor(status.st_rdev);
        if (*type == tar::EntryType::SymbolicLink) {
            std::array<char, PATH_MAX> target{};
            const ssize_t size =
                ::readlinkat(parent.get(), name.c_str(), target.data(), target.size());
            if (size < 0) {
                return errno_error("readlink " + path);
            }
            header.link_name.assign(target.data(), static_cast<std::size_t>(size));
        }
        if (*type == tar::EntryType::File) {
            return write_file(parent, name, path, std::move(header));
        }
        TRY(writer_.write_header(header));
        return *type == tar::EntryType::Directory ? write_folder(parent, name, path) : ok();
    }

    Result<void> write_folder(FdRef parent, const std::string& name, const std::string& path) {
        const UniqueFd folder(
            ::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!folder) {
            return errno_error("open " + path);
        }
        for (const std::string& child : TRY(list_directory(path_of(folder)))) {
            TRY(write_entry(folder, child, path + "/" + child));
        }
        return ok();
    }

    Result<void>
    write_file(FdRef parent, const std::string& name, const std::string& path, tar::Header header) {
        const UniqueFd file(
            ::openat(parent.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));

        struct stat status {};

        if (!file || ::fstat(file.get(), &status) < 0) {
            return errno_error("open " + path);
        }
        if (status.st_nlink > 1) {
            const auto [first, is_new] =
                first_names_.emplace(std::pair(status.st_dev, status.st_ino), header.name);
            if (!is_new) {
                header.type = tar::EntryType::HardLink;
                header.link_name = first->second;
                return writer_.write_header(header);
            }
        }
        std::array<char, 256> value{};
        const ssize_t size = ::fgetxattr(file.get(), capability, value.data(), value.size());
        if (size > 0) {
            header.xattrs[capability] = std::string(value.data(), static_cast<std::size_t>(size));
        }
        header.size = static_cast<std::uint64_t>(status.st_size);
        TRY(writer_.write_header(header));
        FdSource source{FdRef(file)};
        for (std::uint64_t left = header.size; left > 0;) {
            const std::size_t got = TRY(source.read(std::span(buffer_).first(
                static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size())))));
            if (got == 0) {
                return Error(ErrorKind::DataLoss, path + " shrank while it was read");
            }
            TRY(writer_.write({buffer_.data(), got}));
            left -= got;
        }
        return ok();
    }

    CopyPlan plan_;
    tar::Writer writer_;
    std::string buffer_ = std::string(256U << 10, '\0');
    std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
};

class LocalExtractor {
  public:
    LocalExtractor(const CopyPlan& plan, UniqueFd directory)
        : plan_(plan)
        , directory_(std::move(directory)) {}

    Result<void> extract(ByteSource& archive) {
        tar::Reader reader(archive);
        while (auto header = TRY(reader.next())) {
            TRY(extract_entry(reader, *header));
        }
        for (auto entry = times_.rbegin(); entry != times_.rend(); ++entry) {
            if (const auto place = open_directory(entry->first); place.ok()) {
                TRY(set_time(*place, entry->second));
            }
        }
        return reader.drain();
    }

  private:
    static Result<std::string> clean_name(const std::string& name) {
        const std::string clean = clean_path(name);
        if (clean == ".." || clean.starts_with("../")) {
            return invalid_argument("\"" + name + "\" is outside of the destination");
        }
        const auto start = clean.find_first_not_of('/');
        return start == std::string::npos || clean == "." ? std::string() : clean.substr(start);
    }

    // Step by step, over no link.
    Result<UniqueFd> open_directory(const std::string& path) const {
        UniqueFd current = TRY(directory_.duplicate());
        for (const std::string_view part : split(path, '/')) {
            if (part.empty()) {
                continue;
            }
            const std::string name(part);
            constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
            UniqueFd next(::openat(current.get(), name.c_str(), flags));
            if (!next && errno == ENOENT && ::mkdirat(current.get(), name.c_str(), 0755) == 0) {
                next.reset(::openat(current.get(), name.c_str(), flags));
            }
            if (!next) {
                return errno_error("open " + path);
            }
            current = std::move(next);
        }
        return current;
    }

    static std::pair<std::string, std::string> split_parent(const std::string& path) {
        const auto slash = path.rfind('/');
        return slash == std::string::npos
                   ? std::pair(std::string(), path)
                   : std::pair(path.substr(0, slash), path.substr(slash + 1));
    }

    Result<void> extract_entry(tar::Reader& reader, const tar::Header& header) {
        const std::string path = TRY(clean_name(planned_name(plan_, header.name)));
        if (path.empty()) {
            return ok();
        }
        const auto [parent_path, name] = split_parent(path);
        const UniqueFd parent = TRY(open_directory(parent_path));
        TRY(clear_way(header, parent, name, path));
        switch (header.type) {
        case tar::EntryType::Directory:
            if (::mkdirat(parent.get(), name.c_str(), 0700) < 0 && errno != EEXIST) {
                return errno_error("mkdir " + path);
            }
            times_.emplace_back(path, header.mtime);
            break;
        case tar::EntryType::File:
            return write_file(reader, header, parent, name);
        case tar::EntryType::HardLink:
            return make_link(header, parent, name);
        case tar::EntryType::SymbolicLink:
            if (::symlinkat(header.link_name.c_str(), parent.get(), name.c_str()) < 0) {
                return errno_error("symlink " + path);
            }
            break;
        case tar::EntryType::CharacterDevice:
        case tar::EntryType::BlockDevice:
        case tar::EntryType::Fifo:
            if (::mknodat(
                    parent.get(),
                    name.c_str(),
                    node_type(header.type) | (header.mode & 0777),
                    makedev(header.device_major, header.device_minor)) < 0) {
                return errno_error("mknod " + path);
            }
            break;
        }
        const UniqueFd made(::openat(parent.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!made) {
            return errno_error("open " + path);
        }
        return set_metadata(header, made);
    }

    static mode_t node_type(tar::EntryType type) {
        if (type == tar::EntryType::Fifo) {
            return S_IFIFO;
        }
        return type == tar::EntryType::CharacterDevice ? S_IFCHR : S_IFBLK;
    }

    Result<void> clear_way(
        const tar::Header& header,
        FdRef parent,
        const std::string& name,
        const std::string& path) const {
        struct stat there {};

        if (::fstatat(parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0) {
            return errno == ENOENT ? ok() : Result<void>(errno_error("lstat " + path));
        }
        const bool was_directory = S_ISDIR(there.st_mode);
        const bool is_directory = header.type == tar::EntryType::Directory;
        if (was_directory != is_directory) {
            return invalid_argument(
                "cannot overwrite " + std::string(was_directory ? "directory" : "non-directory") +
                " \"" + plan_.directory + "/" + path + "\" with " +
                (is_directory ? "directory" : "non-directory") + " \"" + plan_.directory + "\"");
        }
        if (!was_directory && ::unlinkat(parent.get(), name.c_str(), 0) < 0) {
            return errno_error("remove " + path);
        }
        return ok();
    }

    Result<void> write_file(
        tar::Reader& reader, const tar::Header& header, FdRef parent, const std::string& name) {
        const UniqueFd file(::openat(
            parent.get(),
            name.c_str(),
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
            0600));
        if (!file) {
            return errno_error("create " + name);
        }
        while (true) {
            const std::uint64_t hole = reader.skip_hole();
            if (hole > 0 && ::lseek(file.get(), static_cast<off_t>(hole), SEEK_CUR) < 0) {
                return errno_error("write " + name);
            }
            const std::size_t got = TRY(reader.read(buffer_));
            if (got == 0) {
                break;
            }
            TRY_CONTEXT(write_all(file, {buffer_.data(), got}), name);
        }
        if (::ftruncate(file.get(), static_cast<off_t>(header.size)) < 0) {
            return errno_error("truncate " + name);
        }
        return set_metadata(header, file);
    }

    Result<void> make_link(const tar::Header& header, FdRef parent, const std::string& name) const {
        const std::string target = TRY(clean_name(planned_name(plan_, header.link_name)));
        const auto [folder_path, target_name] = split_parent(target);
        const UniqueFd folder = TRY(open_directory(folder_path));
        if (::linkat(folder.get(), target_name.c_str(), parent.get(), name.c_str(), 0) < 0) {
            return errno_error("link " + name + " to " + target);
        }
        return ok();
    }

    Result<void> set_metadata(const tar::Header& header, FdRef made) const {
        if (header.type != tar::EntryType::SymbolicLink &&
            ::chmod(path_of(made).c_str(), header.mode & 07777) < 0) {
            return errno_error("chmod " + header.name);
        }
        for (const auto& [name, value] : header.xattrs) {
            if (::setxattr(path_of(made).c_str(), name.c_str(), value.data(), value.size(), 0) <
                    0 &&
                errno != ENOTSUP && errno != EPERM) {
                return errno_error("setxattr " + header.name);
            }
        }
        return set_time(made, header.mtime);
    }

    static Result<void> set_time(FdRef made, std::int64_t nanoseconds) {
        std::int64_t rest = nanoseconds % second;
        std::int64_t whole = nanoseconds / second;
        if (rest < 0) {
            rest += second;
            --whole;
        }
        const timespec time{whole, rest};
        const timespec times[2] = {time, time};
        return ::utimensat(made.get(), "", times, AT_EMPTY_PATH) == 0
                   ? ok()
                   : Result<void>(errno_error("set a time"));
    }

    const CopyPlan& plan_;
    UniqueFd directory_;
    std::string buffer_ = std::string(256U << 10, '\0');
    std::vector<std::pair<std::string, std::int64_t>> times_;
};

} // namespace

Result<std::unique_ptr<ByteSource>>
open_local_archive(const CopyEnd& source, const CopyPlan& plan) {
    return open_piped_source(
        [source, plan](ByteSink& sink) { return LocalWriter(plan, sink).write(source); });
}

Result<void> extract_local(ByteSource& archive, const CopyPlan& plan) {
    UniqueFd directory = TRY(open_file(plan.directory, O_RDONLY | O_DIRECTORY));
    return LocalExtractor(plan, std::move(directory)).extract(archive);
}

} // namespace berth::cli
