// SPDX-License-Identifier: Apache-2.0
// A layer as one file: a head, the layer's tar byte for byte, and behind it the metadata of an
// EROFS image whose files' data is where the tar has it. Written in one go while the tar comes by;
// docs/formats/store.md has the bytes.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/erofs_tree.h"
#include "codec/stream.h"
#include "store/layer_index.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace berth::store {

// Reads a piece of a file by position; skipping costs nothing.
class FileSource final : public ByteSource {
  public:
    // The owner of fd must outlive this object.
    FileSource(FdRef fd, std::uint64_t begin, std::uint64_t end)
        : fd_(fd)
        , position_(begin)
        , end_(end) {}

    Result<std::size_t> read(std::span<char> buffer) override;
    Result<std::uint64_t> skip(std::uint64_t count) override;

    // Of the next byte, in the file.
    std::uint64_t position() const { return position_; }

  private:
    FdRef fd_;
    std::uint64_t position_;
    std::uint64_t end_;
    std::string buffer_;
    std::uint64_t buffer_position_ = 0;
};

// When what is written goes to the disk: as the kernel likes, or at once, for a sync() that
// follows.
enum class WriteBack : bool { Later, Early };

class LayerFile {
  public:
    // The tar's first byte in the file.
    static constexpr std::uint64_t tar_offset = 4096;

    // Writes the file (it does not exist). The source is read to its end. Where fits() is false
    // afterwards the file holds the tar but no image.
    static Result<LayerFile> write(
        const std::string& path,
        ByteSource& tar,
        IndexLimits limits = {},
        WriteBack write_back = WriteBack::Later);
    // DataLoss when it is not one.
    static Result<LayerFile> open(const std::string& path);

    bool fits() const { return fits_; }

    // Bytes of the layer's files; known after write().
    std::uint64_t size() const { return size_; }

    std::set<std::string> take_implied_directories() { return std::move(implied_); }

    std::uint64_t tar_bytes() const { return tar_bytes_; }

    // The tar, as it came.
    FileSource tar() const { return {file_, tar_offset, tar_offset + tar_bytes_}; }

    Result<void> sync() const;

    // DataLoss when the image's inodes and directories are not those that were written.
    Result<void> verify_metadata() const;

    // Makes the image again with other metadata for some implied directories. REQUIRES: not
    // mounted.
    Result<void>
    adopt(const std::map<std::string, erofs::Metadata>& directories, IndexLimits limits = {});

  private:
    LayerFile() = default;

    Result<void> write_image(LayerIndex& index);
    Result<std::uint64_t> copy_scattered(LayerIndex& index, std::uint64_t position);

    UniqueFd file_;
    std::uint64_t tar_bytes_ = 0;
    std::uint64_t metadata_bytes_ = 0;
    std::string metadata_hash_;
    std::uint64_t size_ = 0;
    std::set<std::string> implied_;
    bool fits_ = true;
};

} // namespace berth::store
