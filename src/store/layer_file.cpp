// SPDX-License-Identifier: Apache-2.0
// The head is written last: a file without it is no layer.
#include "store/layer_file.h"

#include "base/file.h"
#include "base/random.h"
#include "base/time.h"
#include "base/write_behind.h"
#include "codec/erofs_format.h"
#include "codec/erofs_writer.h"
#include "codec/sha256.h"
#include "store/disk_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::store {

namespace {

constexpr std::size_t write_bytes = 1U << 20;
constexpr std::size_t layer_read_bytes = 64U << 10;
constexpr std::uint64_t image_alignment = 4096;

struct LayerHead {
    std::array<char, 8> magic;
    std::uint64_t version;
    std::uint64_t tar_offset;
    std::uint64_t tar_bytes;
    std::uint64_t metadata_bytes;            // 0: not known, in files from before there was this
    std::array<char, 64> metadata_and_super; // their SHA-256, in digits
};

constexpr std::array<char, 8> layer_magic{'b', 'e', 'r', 't', 'h', 'l', 'y', 'r'};
constexpr std::uint64_t layer_version = 1;

std::uint64_t align(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

Result<void> write_at(FdRef file, std::uint64_t position, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count =
            pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return disk_error(errno_error("write layer"));
        }
        bytes.remove_prefix(static_cast<std::size_t>(count));
        position += static_cast<std::uint64_t>(count);
    }
    return ok();
}

Result<std::size_t> read_at(FdRef file, std::uint64_t position, std::span<char> buffer) {
    for (;;) {
        const ssize_t count =
            pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(position));
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (errno != EINTR) {
            return errno_error("read layer");
        }
    }
}

// Writes behind a position.
class PositionSink final : public ByteSink {
  public:
    PositionSink(FdRef file, std::uint64_t position)
        : file_(file)
        , position_(position) {}

    Result<void> write(std::string_view bytes) override {
        TRY(write_at(file_, position_, bytes));
        position_ += bytes.size();
        return ok();
    }

    std::uint64_t position() const { return position_; }

  private:
    FdRef file_;
    std::uint64_t position_;
};

struct Hashes final : ByteSink {
    explicit Hashes(ByteSink& target)
        : sink(target) {}

    Result<void> write(std::string_view bytes) override {
        hash.update(bytes);
        return sink.write(bytes);
    }

    ByteSink& sink;
    Sha256 hash;
};

// Passes a source through and writes what passes into the file; zeros become holes.
class WritingSource final : public ByteSource {
  public:
    WritingSource(ByteSource& source, FdRef file, std::uint64_t limit, WriteBack write_back)
        : source_(source)
        , file_(file)
        , limit_(limit)
        , write_back_(write_back)
        , buffer_(write_bytes, '\0') {}

    // Of the next byte, in the file.
    std::uint64_t position() const { return LayerFile::tar_offset + passed_; }

    std::uint64_t passed() const { return passed_; }

    Result<std::size_t> read(std::span<char> buffer) override {
        TRY(fill());
        const std::size_t count = std::min(buffer.size(), filled_ - used_);
        std::memcpy(buffer.data(), buffer_.data() + used_, count);
        advance(count);
        return count;
    }

    Result<std::uint64_t> skip(std::uint64_t count) override {
        std::uint64_t skipped = 0;
        while (skipped < count) {
            TRY(fill());
            if (filled_ == used_) {
                break;
            }
            const std::uint64_t step = std::min<std::uint64_t>(count - skipped, filled_ - used_);
            advance(step);
            skipped += step;
        }
        return skipped;
    }

  private:
    void advance(std::uint64_t count) {
        used_ += static_cast<std::size_t>(count);
        passed_ += count;
    }

    Result<void> fill() {
        if (used_ < filled_) {
            return ok();
        }
        used_ = 0;
        if (write_back_ == WriteBack::Early) {
            write_behind_.wrote_until(file_, position());
        }
        filled_ = TRY(read_full(source_, buffer_));
        if (passed_ + filled_ > limit_) {
            return Error(
                ErrorKind::ResourceExhausted,
                "layer has more than " + std::to_string(limit_) + " bytes");
        }
        return write_pieces(std::string_view(buffer_).substr(0, filled_));
    }

    // One write for what lies between two holes.
    Result<void> write_pieces(std::string_view bytes) {
        std::uint64_t at = LayerFile::tar_offset + passed_;
        std::size_t begin = 0;
        for (std::size_t piece = 0; piece < bytes.size(); piece += hole_bytes) {
            const std::string_view text = bytes.substr(piece, hole_bytes);
            if (text.size() == hole_bytes && is_zero(text)) {
                TRY(write_at(file_, at + begin, bytes.substr(begin, piece - begin)));
                begin = piece + hole_bytes;
            }
        }
        return begin < bytes.size() ? write_at(file_, at + begin, bytes.substr(begin)) : ok();
    }

    ByteSource& source_;
    FdRef file_;
    std::uint64_t limit_;
    WriteBack write_back_;
    std::string buffer_;
    std::size_t filled_ = 0;
    std::size_t used_ = 0;
    std::uint64_t passed_ = 0;
    WriteBehind write_behind_{LayerFile::tar_offset};
};

// Both sources tell where their next byte lies in the file.
template <class Source>
Result<void> index_all(Source& source, const IndexLimits& limits, LayerIndex& index) {
    tar::Reader reader(source, limits.extraction.tar);
    while (const std::optional<tar::Header> header = TRY(reader.next())) {
        TRY(index.add(*header, reader.segments(), source.position()));
    }
    return reader.drain();
}

std::array<std::uint8_t, 16> random_uuid() {
    std::array<std::uint8_t, 16> uuid{};
    const std::array<std::uint64_t, 2> numbers{random_u64(), random_u64()};
    std::memcpy(uuid.data(), numbers.data(), uuid.size());
    return uuid;
}

} // namespace

Result<std::size_t> FileSource::read(std::span<char> buffer) {
    const bool buffered =
        position_ >= buffer_position_ && position_ - buffer_position_ < buffer_.size();
    if (!buffered) {
        buffer_.resize(
            static_cast<std::size_t>(std::min<std::uint64_t>(layer_read_bytes, end_ - position_)));
        buffer_.resize(buffer_.empty() ? 0 : TRY(read_at(fd_, position_, buffer_)));
        buffer_position_ = position_;
    }
    const auto offset = static_cast<std::size_t>(position_ - buffer_position_);
    const std::size_t count = std::min(buffer.size(), buffer_.size() - offset);
    std::memcpy(buffer.data(), buffer_.data() + offset, count);
    position_ += count;
    return count;
}

Result<std::uint64_t> FileSource::skip(std::uint64_t count) {
    const std::uint64_t step = std::min(count, end_ - position_);
    position_ += step;
    return step;
}

Result<LayerFile> LayerFile::write(
    const std::string& path, ByteSource& tar, IndexLimits limits, WriteBack write_back) {
    LayerFile layer;
    layer.file_ = TRY(disk_result(open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)));
    WritingSource source(tar, layer.file_, limits.extraction.bytes, write_back);
    LayerIndex index(limits, Timestamp::now().nanoseconds);
    TRY(index_all(source, limits, index));
    layer.tar_bytes_ = source.passed();
    layer.size_ = index.size();
    layer.fits_ = index.fits();
    layer.implied_ = index.implied_directories();
    TRY(layer.write_image(index));
    return layer;
}

Result<LayerFile> LayerFile::open(const std::string& path) {
    LayerFile layer;
    layer.file_ = TRY(open_file(path, O_RDWR | O_NOFOLLOW));
    LayerHead head{};

    struct stat status {};

    // SAFETY: numbers and characters without padding; every pattern of bits is one.
    const std::span<char> bytes(reinterpret_cast<char*>(&head), sizeof head);
    if (fstat(layer.file_.get(), &status) != 0) {
        return errno_error("stat " + path);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (TRY(read_at(layer.file_, 0, bytes)) != bytes.size() || head.magic != layer_magic ||
        head.version != layer_version || head.tar_offset != tar_offset || size < tar_offset ||
        head.tar_bytes > size - tar_offset) {
        return Error(ErrorKind::DataLoss, path + " is not a layer");
    }
    layer.tar_bytes_ = head.tar_bytes;
    layer.metadata_bytes_ = head.metadata_bytes;
    layer.metadata_hash_.assign(head.metadata_and_super.data(), head.metadata_and_super.size());
    return layer;
}

// EROFS has checksums of nothing but the superblock.
Result<void> LayerFile::verify_metadata() const {
    if (metadata_bytes_ == 0) {
        return ok();
    }
    erofs::format::SuperBlock super{};
    // SAFETY: numbers without padding; every pattern of bits is one.
    const std::span<char> super_bytes(reinterpret_cast<char*>(&super), sizeof super);
    const bool whole =
        TRY(read_at(file_, erofs::format::super_offset, super_bytes)) == sizeof super;
    const std::uint64_t begin = std::uint64_t{super.metadata_block} * erofs::format::block_bytes;
    Sha256 hash;
    FileSource metadata(file_, begin, begin + metadata_bytes_);
    std::string buffer(layer_read_bytes, '\0');
    std::uint64_t size = 0;
    while (const std::size_t count = TRY(metadata.read(buffer))) {
        hash.update({buffer.data(), count});
        size += count;
    }
    hash.update({super_bytes.data(), super_bytes.size()});
    if (!whole || size != metadata_bytes_ || hash.finish_hex() != metadata_hash_) {
        return Error(ErrorKind::DataLoss, "the index in its image is damaged");
    }
    return ok();
}

Result<void> LayerFile::sync() const {
    return fdatasync(file_.get()) == 0 ? ok() : disk_error(errno_error("sync layer"));
}

// Every chunk that has data gets a place of its own behind the tar.
Result<std::uint64_t> LayerFile::copy_scattered(LayerIndex& index, std::uint64_t position) {
    std::string buffer(write_bytes, '\0');
    for (const ScatteredFile& file : index.scattered_files()) {
        erofs::SparseData data = index.tree().sparse_data(file.node);
        const std::uint64_t chunk = 1ULL << file.chunk_bits;
        std::uint64_t source = file.position;
        for (const tar::Segment& segment : file.segments) {
            for (std::uint64_t at = segment.offset; at < segment.offset + segment.length;) {
                std::uint32_t& block = data.blocks[static_cast<std::size_t>(at / chunk)];
                if (block == erofs::format::hole) {
                    block = static_cast<std::uint32_t>(position / erofs::format::block_bytes);
                    position += chunk;
                }
                const std::uint64_t in_chunk = at % chunk;
                const auto wanted = static_cast<std::size_t>(std::min(
                    {segment.offset + segment.length - at,
                     chunk - in_chunk,
                     std::uint64_t{buffer.size()}}));
                const std::size_t count =
                    TRY(read_at(file_, source, std::span(buffer).first(wanted)));
                if (count == 0) {
                    return Error(ErrorKind::DataLoss, "layer is truncated");
                }
                TRY(write_at(
                    file_,
                    std::uint64_t{block} * erofs::format::block_bytes + in_chunk,
                    std::string_view(buffer).substr(0, count)));
                at += count;
                source += count;
            }
            if (position / erofs::format::block_bytes >= erofs::format::hole) {
                fits_ = false;
                return position;
            }
        }
        index.tree().set_sparse_data(file.node, std::move(data));
    }
    return position;
}

Result<void> LayerFile::write_image(LayerIndex& index) {
    const std::uint64_t tar_end = tar_offset + tar_bytes_;
    std::uint64_t end = tar_end;
    std::string super;
    if (fits_) {
        end = TRY(copy_scattered(index, align(tar_end, image_alignment)));
    }
    if (fits_) {
        const std::uint64_t metadata = align(end, image_alignment);
        PositionSink sink(file_, metadata);
        Hashes hashes(sink);
        Result<std::string> written = erofs::write_metadata(
            index.tree(), hashes, {.metadata_offset = metadata, .uuid = random_uuid()});
        if (written.ok()) {
            super = std::move(*written);
            hashes.hash.update(super);
            metadata_bytes_ = sink.position() - metadata;
            metadata_hash_ = hashes.hash.finish_hex();
            end = align(sink.position(), image_alignment);
        } else if (
            written.error().kind() == ErrorKind::ResourceExhausted &&
            written.error().error_number() == 0) { // and not a full disk
            fits_ = false;
        } else {
            return std::move(written).error();
        }
    }
    if (!fits_) {
        end = tar_end;
        metadata_bytes_ = 0;
        metadata_hash_.clear();
    }
    if (ftruncate(file_.get(), static_cast<off_t>(end)) != 0) {
        return disk_error(errno_error("truncate layer"));
    }
    TRY(write_at(file_, erofs::format::super_offset, super));
    LayerHead head{layer_magic, layer_version, tar_offset, tar_bytes_, metadata_bytes_, {}};
    metadata_hash_.copy(head.metadata_and_super.data(), head.metadata_and_super.size());
    return write_at(file_, 0, erofs::format::bytes_of(head));
}

Result<void>
LayerFile::adopt(const std::map<std::string, erofs::Metadata>& directories, IndexLimits limits) {
    LayerIndex index(limits, Timestamp::now().nanoseconds);
    FileSource source = tar();
    TRY(index_all(source, limits, index));
    for (const auto& [path, metadata] : directories) {
        index.adopt(path, metadata);
    }
    const auto end = static_cast<off_t>(tar_offset + tar_bytes_);
    if (ftruncate(file_.get(), end) != 0) {
        return disk_error(errno_error("truncate layer"));
    }
    return write_image(index);
}

} // namespace berth::store
