// SPDX-License-Identifier: Apache-2.0
// The file of a frame and the tar that it gives. Records are small, so both ways go through a
// buffer.
#include "store/tar_frame.h"

#include "base/file.h"
#include "kernel/path.h"
#include "store/disk_error.h"
#include "store/layer_entry.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::array<char, 8> frame_magic{'b', 'e', 'r', 't', 'h', 't', 'a', 'r'};
constexpr std::uint64_t frame_version = 1;
constexpr std::size_t pending_bytes = 64U << 10;
constexpr std::size_t path_limit = 4096;
constexpr std::size_t frame_read_bytes = 64U << 10;

// Little-endian, as the machines are that this runs on.
struct FrameHead {
    std::array<char, 8> magic;
    std::uint64_t version;
    std::uint64_t tar_bytes;
};

enum class Tag : std::uint8_t { End = 0, Bytes = 1, Content = 2 };

template <class Number>
std::string_view bytes_of(const Number& number) {
    // SAFETY: a number without padding.
    return {reinterpret_cast<const char*>(&number), sizeof number};
}

template <class Number>
std::span<char> space_of(Number& number) {
    // SAFETY: a number without padding, for which every pattern of bits is one.
    return {reinterpret_cast<char*>(&number), sizeof number};
}

Error damaged_frame(std::string_view why) {
    return {ErrorKind::DataLoss, "a layer's tar.frame is damaged: " + std::string(why)};
}

Error changed(const std::string& path, std::string_view why) {
    return {
        ErrorKind::DataLoss, "the layer's file " + path + " is not as it was: " + std::string(why)};
}

} // namespace

std::string frame_of(const std::string& directory) {
    return directory + "/tar.frame";
}

Result<std::unique_ptr<FrameWriter>> FrameWriter::create(const std::string& path) {
    UniqueFd file = TRY(disk_result(open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)));
    const FrameHead none{}; // written last: a file without it is no frame
    TRY(disk_result(write_all(file, bytes_of(none))));
    std::unique_ptr<FrameWriter> writer(new FrameWriter(std::move(file)));
    writer->compressor_ =
        TRY(compression::Compressor::create(writer->sink_, compression::Format::Zstd));
    return writer;
}

Result<void> FrameWriter::bytes(std::string_view bytes) {
    tar_bytes_ += bytes.size();
    while (!bytes.empty()) {
        const std::size_t count = std::min(bytes.size(), pending_bytes - pending_.size());
        pending_.append(bytes.substr(0, count));
        bytes.remove_prefix(count);
        if (pending_.size() == pending_bytes) {
            TRY(write_pending());
        }
    }
    return ok();
}

Result<void> FrameWriter::write_pending() {
    if (pending_.empty()) {
        return ok();
    }
    std::string head;
    head += bytes_of(Tag::Bytes);
    head += bytes_of(static_cast<std::uint32_t>(pending_.size()));
    TRY(disk_result(compressor_->write(head)));
    TRY(disk_result(compressor_->write(pending_)));
    pending_.clear();
    return ok();
}

Result<void>
FrameWriter::content(std::string_view path, std::uint64_t offset, std::uint64_t length) {
    TRY(write_pending());
    tar_bytes_ += length;
    std::string record;
    record += bytes_of(Tag::Content);
    record += bytes_of(static_cast<std::uint16_t>(path.size()));
    record += path;
    record += bytes_of(offset);
    record += bytes_of(length);
    return disk_result(compressor_->write(record));
}

Result<void> FrameWriter::finish() {
    TRY(write_pending());
    TRY(disk_result(compressor_->write(bytes_of(Tag::End))));
    TRY(disk_result(compressor_->finish()));
    const FrameHead head{.magic = frame_magic, .version = frame_version, .tar_bytes = tar_bytes_};
    if (pwrite(file_.get(), &head, sizeof head, 0) != sizeof head) {
        return disk_error(errno_error("write tar.frame"));
    }
    return ok();
}

Result<std::unique_ptr<FrameReader>> FrameReader::open(const std::string& path) {
    UniqueFd file = TRY(open_file(path, O_RDONLY | O_NOFOLLOW));
    std::unique_ptr<FrameReader> reader(new FrameReader(std::move(file)));
    FrameHead head{};
    if (TRY(read_full(reader->source_, space_of(head))) != sizeof head ||
        head.magic != frame_magic || head.version != frame_version) {
        return damaged_frame("it does not begin like one");
    }
    reader->tar_bytes_ = head.tar_bytes;
    reader->decompressor_ = TRY(compression::Decompressor::create(
        reader->source_, compression::DecompressionLimits::none()));
    return reader;
}

Result<void> FrameReader::take(std::span<char> bytes) {
    while (!bytes.empty()) {
        if (used_ == buffer_.size()) {
            buffer_.resize(frame_read_bytes);
            buffer_.resize(TRY(decompressor_->read(buffer_)));
            used_ = 0;
        }
        if (buffer_.empty()) {
            return damaged_frame("it ends too soon");
        }
        const std::size_t count = std::min(bytes.size(), buffer_.size() - used_);
        std::memcpy(bytes.data(), buffer_.data() + used_, count);
        used_ += count;
        bytes = bytes.subspan(count);
    }
    return ok();
}

Result<FramePart> FrameReader::next() {
    FramePart part;
    std::uint8_t tag = 0;
    TRY(take(space_of(tag)));
    if (tag == static_cast<std::uint8_t>(Tag::End)) {
        // The compressed stream's checksum comes behind it.
        std::array<char, 1> more{};
        if (used_ < buffer_.size() || TRY(decompressor_->read(more)) != 0) {
            return damaged_frame("something follows its end");
        }
        return part;
    }
    if (tag == static_cast<std::uint8_t>(Tag::Bytes)) {
        std::uint32_t size = 0;
        TRY(take(space_of(size)));
        if (size > pending_bytes) {
            return damaged_frame("a part of it is too long");
        }
        part.kind = FramePart::Kind::Bytes;
        part.bytes.resize(size);
        part.length = size;
        TRY(take(part.bytes));
        return part;
    }
    std::uint16_t size = 0;
    TRY(take(space_of(size)));
    if (tag != static_cast<std::uint8_t>(Tag::Content) || size == 0 || size > path_limit) {
        return damaged_frame("a part of it is unknown");
    }
    part.kind = FramePart::Kind::Content;
    part.bytes.resize(size);
    TRY(take(part.bytes));
    TRY(take(space_of(part.offset)));
    TRY(take(space_of(part.length)));
    return part;
}

Result<std::unique_ptr<FramedTar>>
FramedTar::open(const std::string& directory, const std::string& tree) {
    auto frame = TRY(FrameReader::open(frame_of(directory)));
    UniqueFd root = TRY(open_file(tree, O_RDONLY | O_DIRECTORY));
    return std::unique_ptr<FramedTar>(new FramedTar(std::move(frame), std::move(root)));
}

Result<std::size_t> FramedTar::read(std::span<char> buffer) {
    while (position_ == part_.length) {
        if (begun_ && part_.kind == FramePart::Kind::End) {
            return std::size_t{0};
        }
        TRY(next_part());
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), part_.length - position_));
    if (part_.kind == FramePart::Kind::Bytes) {
        std::memcpy(buffer.data(), part_.bytes.data() + position_, count);
        position_ += count;
        return count;
    }
    const ssize_t got =
        pread(file_.get(), buffer.data(), count, static_cast<off_t>(part_.offset + position_));
    if (got < 0) {
        return errno_error("read " + part_.bytes);
    }
    if (got == 0 && count > 0) {
        return changed(part_.bytes, "it is shorter");
    }
    position_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
}

Result<void> FramedTar::next_part() {
    part_ = TRY(frame_->next());
    position_ = 0;
    begun_ = true;
    return part_.kind == FramePart::Kind::Content ? open_content() : ok();
}

// The tar's own order: most files have the directory of the one before.
Result<void> FramedTar::open_content() {
    auto [parent, name] = split_parent(part_.bytes);
    if (!parent_ || parent != parent_path_) {
        Result<UniqueFd> opened = kernel::open_in_root(
            tree_, parent, O_PATH | O_DIRECTORY, 0, kernel::FollowLinks::Never);
        if (!opened.ok()) {
            return changed(part_.bytes, opened.error().message());
        }
        parent_ = std::move(*opened);
        parent_path_ = parent;
    }
    file_.reset(
        openat(parent_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file_) {
        return changed(part_.bytes, std::strerror(errno));
    }

    struct stat status {};

    if (fstat(file_.get(), &status) != 0) {
        return errno_error("stat " + part_.bytes);
    }
    return S_ISREG(status.st_mode) ? ok() : changed(part_.bytes, "it is no file");
}

} // namespace berth::store
