// SPDX-License-Identifier: Apache-2.0
// Streaming compression: layers are gzip or zstd, archives for ADD may also be bzip2 or xz.
// Lives in the library berth_codec_compression, which is not linked into the static programs.
#pragma once

#include "codec/stream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth::compression {

enum class Format : std::uint8_t { None, Gzip, Zstd, Bzip2, Xz };

std::string_view to_string(Format format);

// How many leading bytes detect() needs to be sure.
inline constexpr std::size_t detect_bytes = 6;

// By magic number; None when no format matches.
Format detect(std::string_view first_bytes);

// What a stream may become, against decompression bombs; the names are the engine's options. A file
// of zeros honestly shrinks to a thousandth, so the ratio counts only where much has come out.
struct DecompressionLimits {
    static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

    std::uint64_t bytes = 256ULL << 30;     // max-layer-size; of uncompressed sources too
    std::uint64_t ratio = 200;              // max-layer-ratio; 0: none
    std::uint64_t ratio_floor = 1ULL << 30; // so much may come out whatever went in

    // For what came through the limits before.
    static constexpr DecompressionLimits none() { return {.bytes = no_limit, .ratio = 0}; }
};

// The uncompressed bytes of a source, whatever its format. All members of a multi-member gzip or
// zstd file; a stream that ends early or is damaged is DataLoss, one past a limit
// ResourceExhausted.
class Decompressor final : public ByteSource {
  public:
    // Reads the first bytes of source to find the format. source must outlive the object.
    static Result<std::unique_ptr<Decompressor>>
    create(ByteSource& source, DecompressionLimits limits = {});
    ~Decompressor() override;

    Format format() const;
    Result<std::size_t> read(std::span<char> buffer) override;

    struct Codec;
    class CountedInput;

  private:
    // Lets only create() use the public constructor that make_unique needs.
    struct Private {};

  public:
    Decompressor(
        Private,
        std::unique_ptr<CountedInput> input,
        std::unique_ptr<Codec> codec,
        Format format,
        DecompressionLimits limits);

  private:
    Result<void> check_limits() const;

    std::unique_ptr<CountedInput> input_;
    std::unique_ptr<Codec> codec_;
    Format format_;
    DecompressionLimits limits_;
    std::uint64_t produced_ = 0;
};

// Compresses into a sink. No time stamps, no names: on one kind of CPU the same
// bytes always give the same output, however they were cut into write() calls.
class Compressor final : public ByteSink {
  public:
    enum class Level : std::uint8_t { Fast, Default };

    // None, Gzip or Zstd; NotImplemented for the others. sink must outlive the object.
    static Result<std::unique_ptr<Compressor>>
    create(ByteSink& sink, Format format, Level level = Level::Fast);
    ~Compressor() override;

    Result<void> write(std::string_view bytes) override;
    // Writes the trailer; nothing may be written after it. Without it the output is incomplete.
    Result<void> finish();

    struct Codec;

  private:
    struct Private {};

  public:
    Compressor(Private, std::unique_ptr<Codec> codec);

  private:
    std::unique_ptr<Codec> codec_;
    std::string pending_; // written to the codec in pieces of one size
};

} // namespace berth::compression
