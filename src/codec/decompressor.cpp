// SPDX-License-Identifier: Apache-2.0
// One decoder a format over one input buffer. A decoder is asked for output and takes input as it
// needs it, so memory stays the same however well a stream is compressed.
#include "base/verify.h"
#include "codec/compression.h"

#include <zstd.h>

#include <algorithm>
#include <array>

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>

namespace berth::compression {

namespace {

constexpr std::size_t input_bytes = 128U << 10;
constexpr std::uint64_t xz_memory_limit = 256U << 20;

Error damaged(Format format, std::string_view why) {
    return {
        ErrorKind::DataLoss,
        "invalid " + std::string(to_string(format)) + " stream: " + std::string(why)};
}

constexpr std::string_view truncated = "it ends too early";

// What has been read from the source and not decoded.
class Input {
  public:
    explicit Input(ByteSource& source)
        : source_(source) {}

    // At least `count` bytes in data(), unless the source ends first.
    Result<void> fill(std::size_t count) {
        if (end_ - begin_ < count) {
            std::copy(buffer_.begin() + begin_, buffer_.begin() + end_, buffer_.begin());
            end_ -= begin_;
            begin_ = 0;
        }
        while (end_ - begin_ < count) {
            const std::size_t got = TRY(source_.read(std::span(buffer_).subspan(end_)));
            if (got == 0) {
                break;
            }
            end_ += static_cast<unsigned>(got);
        }
        return ok();
    }

    char* data() { return buffer_.data() + begin_; }

    unsigned size() const { return end_ - begin_; }

    void keep(std::size_t count) { begin_ = end_ - static_cast<unsigned>(count); }

    std::string_view view() const { return {buffer_.data() + begin_, end_ - begin_}; }

  private:
    ByteSource& source_;
    std::array<char, input_bytes> buffer_;
    unsigned begin_ = 0;
    unsigned end_ = 0;
};

unsigned clamp_to_unsigned(std::size_t count) {
    return static_cast<unsigned>(std::min<std::size_t>(count, 1U << 30));
}

} // namespace

struct Decompressor::Codec {
    Codec() = default;
    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;
    virtual ~Codec() = default;

    // buffer is not empty.
    virtual Result<std::size_t> read(std::span<char> buffer) = 0;
};

namespace {

class PassThroughSource final : public Decompressor::Codec {
  public:
    explicit PassThroughSource(ByteSource& source)
        : source_(source) {}

    Result<std::size_t> read(std::span<char> buffer) override { return source_.read(buffer); }

  private:
    ByteSource& source_;
};

class GzipDecoder final : public Decompressor::Codec {
  public:
    explicit GzipDecoder(ByteSource& source)
        : input_(source) {
        isal_inflate_init(&state_);
        state_.crc_flag = ISAL_GZIP;
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        while (!ended_) {
            TRY(input_.fill(1));
            // SAFETY: isal reads and writes bytes; char and uint8_t may alias.
            state_.next_in = reinterpret_cast<std::uint8_t*>(input_.data());
            state_.avail_in = input_.size();
            state_.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
            state_.avail_out = clamp_to_unsigned(buffer.size());
            const bool no_input = state_.avail_in == 0;
            const unsigned room = state_.avail_out;
            const int status = isal_inflate(&state_);
            input_.keep(state_.avail_in);
            const std::size_t written = room - state_.avail_out;
            if (status < ISAL_DECOMP_OK || status == ISAL_NEED_DICT) {
                return damaged(Format::Gzip, "damaged data");
            }
            if (finished()) {
                TRY(next_member());
            } else if (no_input && written == 0) {
                return damaged(Format::Gzip, truncated);
            }
            if (written > 0) {
                return written;
            }
        }
        return std::size_t{0};
    }

  private:
    bool finished() const { return state_.block_state == ISAL_BLOCK_FINISH; }

    // Another member follows, or zeros that fill a tape's block, or nothing.
    Result<void> next_member() {
        TRY(input_.fill(2));
        if (input_.size() == 0) {
            ended_ = true;
            return ok();
        }
        if (input_.view().starts_with("\x1f\x8b")) {
            isal_inflate_reset(&state_);
            state_.crc_flag = ISAL_GZIP;
            return ok();
        }
        while (input_.size() > 0) {
            if (input_.view().find_first_not_of('\0') != std::string_view::npos) {
                return damaged(Format::Gzip, "garbage after its end");
            }
            input_.keep(0);
            TRY(input_.fill(1));
        }
        ended_ = true;
        return ok();
    }

    Input input_;
    inflate_state state_{};
    bool ended_ = false;
};

class ZstdDecoder final : public Decompressor::Codec {
  public:
    explicit ZstdDecoder(ByteSource& source)
        : input_(source)
        , context_(ZSTD_createDCtx()) {
        VERIFY(context_ != nullptr);
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
        while (out.pos == 0) {
            TRY(input_.fill(1));
            ZSTD_inBuffer in{input_.data(), input_.size(), 0};
            if (in.size == 0 && frame_complete_) {
                return std::size_t{0};
            }
            const std::size_t status = ZSTD_decompressStream(context_.get(), &out, &in);
            if (ZSTD_isError(status) != 0) {
                return damaged(Format::Zstd, ZSTD_getErrorName(status));
            }
            if (in.size == 0 && out.pos == 0) {
                return damaged(Format::Zstd, truncated);
            }
            frame_complete_ = status == 0;
            input_.keep(in.size - in.pos);
        }
        return out.pos;
    }

  private:
    struct Free {
        void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
    };

    Input input_;
    std::unique_ptr<ZSTD_DCtx, Free> context_;
    bool frame_complete_ = true;
};

class Bzip2Decoder final : public Decompressor::Codec {
  public:
    explicit Bzip2Decoder(ByteSource& source)
        : input_(source) {
        VERIFY(BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK);
    }

    ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }

    Result<std::size_t> read(std::span<char> buffer) override {
        while (!ended_) {
            TRY(input_.fill(1));
            stream_.next_in = input_.data();
            stream_.avail_in = input_.size();
            stream_.next_out = buffer.data();
            stream_.avail_out = clamp_to_unsigned(buffer.size());
            const bool no_input = stream_.avail_in == 0;
            const unsigned room = stream_.avail_out;
            const int status = BZ2_bzDecompress(&stream_);
            input_.keep(stream_.avail_in);
            const std::size_t written = room - stream_.avail_out;
            if (status != BZ_OK && status != BZ_STREAM_END) {
                return damaged(Format::Bzip2, "damaged data");
            }
            if (status == BZ_STREAM_END) {
                TRY(next_stream());
            } else if (no_input && written == 0) {
                return damaged(Format::Bzip2, truncated);
            }
            if (written > 0) {
                return written;
            }
        }
        return std::size_t{0};
    }

  private:
    Result<void> next_stream() {
        TRY(input_.fill(1));
        ended_ = input_.size() == 0;
        if (!ended_) {
            BZ2_bzDecompressEnd(&stream_);
            stream_ = {};
            VERIFY(BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK);
        }
        return ok();
    }

    Input input_;
    bz_stream stream_{};
    bool ended_ = false;
};

class XzDecoder final : public Decompressor::Codec {
  public:
    explicit XzDecoder(ByteSource& source)
        : input_(source) {
        VERIFY(lzma_stream_decoder(&stream_, xz_memory_limit, LZMA_CONCATENATED) == LZMA_OK);
    }

    ~XzDecoder() override { lzma_end(&stream_); }

    Result<std::size_t> read(std::span<char> buffer) override {
        while (!ended_) {
            TRY(input_.fill(1));
            // SAFETY: lzma reads and writes bytes; char and uint8_t may alias.
            stream_.next_in = reinterpret_cast<const std::uint8_t*>(input_.data());
            stream_.avail_in = input_.size();
            stream_.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
            stream_.avail_out = buffer.size();
            const lzma_ret status =
                lzma_code(&stream_, stream_.avail_in == 0 ? LZMA_FINISH : LZMA_RUN);
            input_.keep(stream_.avail_in);
            const std::size_t written = buffer.size() - stream_.avail_out;
            if (status == LZMA_STREAM_END) {
                ended_ = true;
            } else if (status == LZMA_MEMLIMIT_ERROR) {
                return Error(
                    ErrorKind::ResourceExhausted,
                    "the xz stream needs more than the limit of " +
                        std::to_string(xz_memory_limit >> 20) + " MiB of memory");
            } else if (status != LZMA_OK) {
                return damaged(Format::Xz, status == LZMA_BUF_ERROR ? truncated : "damaged data");
            }
            if (written > 0) {
                return written;
            }
        }
        return std::size_t{0};
    }

  private:
    Input input_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
    bool ended_ = false;
};

std::unique_ptr<Decompressor::Codec> make_codec(ByteSource& source, Format format) {
    switch (format) {
    case Format::None:
        return std::make_unique<PassThroughSource>(source);
    case Format::Gzip:
        return std::make_unique<GzipDecoder>(source);
    case Format::Zstd:
        return std::make_unique<ZstdDecoder>(source);
    case Format::Bzip2:
        return std::make_unique<Bzip2Decoder>(source);
    case Format::Xz:
        return std::make_unique<XzDecoder>(source);
    }
    return nullptr;
}

} // namespace

// The first bytes, which were read to find the format, and then the rest; counted.
class Decompressor::CountedInput final : public ByteSource {
  public:
    CountedInput(ByteSource& source, std::string first)
        : source_(source)
        , first_(std::move(first)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        std::size_t count = 0;
        if (first_.empty()) {
            count = TRY(source_.read(buffer));
        } else {
            count = first_.copy(buffer.data(), buffer.size());
            first_.erase(0, count);
        }
        consumed_ += count;
        return count;
    }

    std::uint64_t consumed() const { return consumed_; }

  private:
    ByteSource& source_;
    std::string first_;
    std::uint64_t consumed_ = 0;
};

Decompressor::Decompressor(
    Private,
    std::unique_ptr<CountedInput> input,
    std::unique_ptr<Codec> codec,
    Format format,
    DecompressionLimits limits)
    : input_(std::move(input))
    , codec_(std::move(codec))
    , format_(format)
    , limits_(limits) {}

Decompressor::~Decompressor() = default;

Result<std::unique_ptr<Decompressor>>
Decompressor::create(ByteSource& source, DecompressionLimits limits) {
    std::string first(detect_bytes, '\0');
    first.resize(TRY(read_full(source, first)));
    const Format format = detect(first);
    auto input = std::make_unique<CountedInput>(source, std::move(first));
    std::unique_ptr<Codec> codec = make_codec(*input, format);
    return std::make_unique<Decompressor>(
        Private(), std::move(input), std::move(codec), format, limits);
}

Format Decompressor::format() const {
    return format_;
}

Result<void> Decompressor::check_limits() const {
    if (produced_ > limits_.bytes) {
        return Error(
            ErrorKind::ResourceExhausted,
            "uncompressed it has more than the " + std::to_string(limits_.bytes) +
                " bytes that max-layer-size allows");
    }
    if (format_ == Format::None || limits_.ratio == 0 || produced_ <= limits_.ratio_floor) {
        return ok();
    }
    if (produced_ / limits_.ratio > input_->consumed()) {
        return Error(
            ErrorKind::ResourceExhausted,
            std::string(to_string(format_)) + " stream grows to more than " +
                std::to_string(limits_.ratio) +
                " times its size, which max-layer-ratio does not allow above " +
                std::to_string(limits_.ratio_floor) + " bytes");
    }
    return ok();
}

Result<std::size_t> Decompressor::read(std::span<char> buffer) {
    if (buffer.empty()) {
        return std::size_t{0};
    }
    const std::size_t count = TRY(codec_->read(buffer));
    produced_ += count;
    TRY(check_limits());
    return count;
}

} // namespace berth::compression
