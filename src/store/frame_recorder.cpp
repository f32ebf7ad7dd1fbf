// SPDX-License-Identifier: Apache-2.0
// Which file has which content is told by paths, and a path may be given to something else before
// the tar ends. What had it is moved aside then, and noted with how many contents had come. In
// the end those contents are copied into the frame: one more pass over it, which only tars need
// that name something twice.
#include "store/frame_recorder.h"

#include "base/file.h"
#include "kernel/path.h"
#include "store/disk_error.h"
#include "store/tree_removal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t copy_bytes = 64U << 10;
// What a stranger's tar may have us remember of names that it uses again.
constexpr std::uint64_t replaced_limit = 64U << 20;
constexpr std::uint64_t replaced_overhead = 64;

// The path of what a descriptor stands for, as far as the kernel can say it.
std::optional<std::string> link_of(FdRef directory) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = readlink(kernel::fd_path(directory).c_str(), target.data(), target.size());
    if (size <= 0 || static_cast<std::size_t>(size) >= target.size()) {
        return std::nullopt;
    }
    return std::string(target.data(), static_cast<std::size_t>(size));
}

} // namespace

Result<std::unique_ptr<FrameRecorder>>
FrameRecorder::create(ByteSource& tar, const std::string& directory, FdRef tree) {
    std::optional<std::string> link = link_of(tree);
    // Nothing is found by its path then, and all contents are kept in the frame.
    std::unique_ptr<FrameRecorder> recorder(
        new FrameRecorder(tar, directory, link.value_or(std::string())));
    recorder->writer_ = TRY(FrameWriter::create(frame_of(directory)));
    return recorder;
}

Result<std::size_t> FrameRecorder::read(std::span<char> buffer) {
    if (content_left_ > 0) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), content_left_));
        const std::size_t count = TRY(tar_.read(buffer.first(wanted)));
        content_left_ -= count;
        return count;
    }
    const std::size_t count = TRY(tar_.read(buffer));
    TRY(writer_->bytes({buffer.data(), count}));
    return count;
}

std::optional<std::string> FrameRecorder::path_of(FdRef directory) const {
    std::optional<std::string> link = link_of(directory);
    if (!link || tree_link_.empty() || !link->starts_with(tree_link_)) {
        return std::nullopt;
    }
    link->erase(0, tree_link_.size());
    if (link->empty()) {
        return link;
    }
    if (!link->starts_with('/')) {
        return std::nullopt;
    }
    link->erase(0, 1);
    return link;
}

Result<void>
FrameRecorder::begin_content(const std::string& path, std::uint64_t offset, std::uint64_t length) {
    ++contents_;
    content_left_ = length;
    return writer_->content(path, offset, length);
}

Result<bool>
FrameRecorder::release(FdRef directory, const std::string& name, const std::string& path) {
    struct stat status {};

    if (fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? Result<bool>(false) : errno_error("stat " + path);
    }
    const bool file = S_ISREG(status.st_mode) && status.st_size > 0;
    if (!file && !S_ISDIR(status.st_mode)) {
        return false;
    }
    replaced_bytes_ += path.size() + replaced_overhead;
    if (replaced_bytes_ > replaced_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "layer gives names to other files again and again, of more than " +
                std::to_string(replaced_limit) + " bytes");
    }
    if (!aside_) {
        const std::string aside = directory_ + "/replaced";
        TRY(disk_result(make_directories(aside, 0700)));
        aside_ = TRY(open_file(aside, O_RDONLY | O_DIRECTORY));
    }
    const std::uint64_t number = replaced_count_++;
    if (renameat(directory.get(), name.c_str(), aside_.get(), std::to_string(number).c_str()) !=
        0) {
        return disk_error(errno_error("move " + path + " aside"));
    }
    replaced_[path].push_back({.contents = contents_, .number = number});
    return true;
}

// The first that took the content's path, or a directory on it, after the content came.
std::optional<std::string>
FrameRecorder::find_replaced(const std::string& path, std::uint64_t content) const {
    std::optional<std::uint64_t> first;
    std::size_t rest = 0;
    for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
        const std::size_t size = std::min(end, path.size());
        const auto found = replaced_.find(path.substr(0, size));
        if (found != replaced_.end()) {
            const auto later = std::upper_bound(
                found->second.begin(),
                found->second.end(),
                content,
                [](std::uint64_t value, const Replaced& one) { return value < one.contents; });
            if (later != found->second.end() && (!first || later->number < *first)) {
                first = later->number;
                rest = size;
            }
        }
        if (end == std::string::npos) {
            break;
        }
    }
    return first ? std::optional(std::to_string(*first) + path.substr(rest)) : std::nullopt;
}

Result<void> FrameRecorder::finish() {
    TRY(writer_->finish());
    return replaced_count_ > 0 ? take_in_replaced() : ok();
}

Result<void> FrameRecorder::take_in_replaced() {
    const std::string path = frame_of(directory_);
    auto reader = TRY(FrameReader::open(path));
    auto writer = TRY(FrameWriter::create(path + ".whole"));
    std::uint64_t content = 0;
    for (FramePart part = TRY(reader->next()); part.kind != FramePart::Kind::End;
         part = TRY(reader->next())) {
        if (part.kind == FramePart::Kind::Bytes) {
            TRY(writer->bytes(part.bytes));
        } else if (const auto moved = find_replaced(part.bytes, content++)) {
            TRY(copy_replaced(*writer, part, *moved));
        } else {
            TRY(writer->content(part.bytes, part.offset, part.length));
        }
    }
    TRY(writer->finish());
    if (rename((path + ".whole").c_str(), path.c_str()) != 0) {
        return disk_error(errno_error("rename " + path + ".whole"));
    }
    aside_.reset();
    return remove_tree_of(directory_ + "/replaced");
}

Result<void>
FrameRecorder::copy_replaced(FrameWriter& writer, const FramePart& part, const std::string& path) {
    const UniqueFd file =
        TRY(kernel::open_in_root(aside_, path, O_RDONLY, 0, kernel::FollowLinks::Never));
    std::string buffer(copy_bytes, '\0');
    for (std::uint64_t done = 0; done < part.length;) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(part.length - done, buffer.size()));
        const ssize_t count =
            pread(file.get(), buffer.data(), wanted, static_cast<off_t>(part.offset + done));
        if (count <= 0) {
            return count < 0 ? errno_error("read " + part.bytes)
                             : internal_error("what was " + part.bytes + " is shorter now");
        }
        TRY(writer.bytes({buffer.data(), static_cast<std::size_t>(count)}));
        done += static_cast<std::uint64_t>(count);
    }
    return ok();
}

} // namespace berth::store
