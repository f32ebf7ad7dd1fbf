// SPDX-License-Identifier: Apache-2.0
// What a tar has beside the contents of its files: headers, padding, whatever follows its end. Kept
// in a file of its own beside the directory that the tar was unpacked to, it gives the tar again,
// byte for byte, without a second copy of the contents. docs/formats/store.md has the bytes.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/compression.h"
#include "codec/stream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::store {

// Of a layer's directory: <directory>/tar.frame.
std::string frame_of(const std::string& directory);

// A part of the tar.
struct FramePart {
    enum class Kind : std::uint8_t { Bytes, Content, End };

    Kind kind = Kind::End;
    std::string bytes;        // as they are; or the content's file, relative to the tree
    std::uint64_t offset = 0; // of the content in its file
    std::uint64_t length = 0;
};

// Writes <directory>/tar.frame. Without finish() there is none.
class FrameWriter {
  public:
    static Result<std::unique_ptr<FrameWriter>> create(const std::string& path);

    Result<void> bytes(std::string_view bytes);
    Result<void> content(std::string_view path, std::uint64_t offset, std::uint64_t length);
    Result<void> finish();

  private:
    explicit FrameWriter(UniqueFd file)
        : file_(std::move(file))
        , sink_(FdRef(file_)) {}

    Result<void> write_pending();

    UniqueFd file_;
    FdSink sink_;
    std::unique_ptr<compression::Compressor> compressor_;
    std::string pending_; // of bytes
    std::uint64_t tar_bytes_ = 0;
};

// Reads a frame part by part.
class FrameReader {
  public:
    // DataLoss when it is none.
    static Result<std::unique_ptr<FrameReader>> open(const std::string& path);

    std::uint64_t tar_bytes() const { return tar_bytes_; }

    // DataLoss where it is damaged. After the End nothing may be asked for.
    Result<FramePart> next();

  private:
    explicit FrameReader(UniqueFd file)
        : source_(std::move(file)) {}

    Result<void> take(std::span<char> bytes);

    FdSource source_;
    std::unique_ptr<compression::Decompressor> decompressor_;
    std::string buffer_;
    std::size_t used_ = 0;
    std::uint64_t tar_bytes_ = 0;
};

// The tar, from a frame and the tree of its layer. Whoever reads it compares its digest: the files
// may have changed.
class FramedTar final : public ByteSource {
  public:
    static Result<std::unique_ptr<FramedTar>>
    open(const std::string& directory, const std::string& tree);

    std::uint64_t tar_bytes() const { return frame_->tar_bytes(); }

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    FramedTar(std::unique_ptr<FrameReader> frame, UniqueFd tree)
        : frame_(std::move(frame))
        , tree_(std::move(tree)) {}

    Result<void> next_part();
    Result<void> open_content();

    std::unique_ptr<FrameReader> frame_;
    UniqueFd tree_;
    FramePart part_;
    std::uint64_t position_ = 0; // in the part
    UniqueFd file_;
    UniqueFd parent_; // of the last file
    std::string parent_path_;
    bool begun_ = false;
};

} // namespace berth::store
