// SPDX-License-Identifier: Apache-2.0
// ISA-L for gzip, libzstd for zstd.
#include "base/verify.h"
#include "codec/compression.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <vector>

#include <isa-l/igzip_lib.h>

namespace berth::compression {

namespace {

// ISA-L ends blocks where its input ends, so the output would depend on the caller's pieces.
constexpr std::size_t piece_bytes = 256U << 10;
constexpr std::size_t output_bytes = 64U << 10;

} // namespace

struct Compressor::Codec {
    explicit Codec(ByteSink& target)
        : sink(target) {}

    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;
    virtual ~Codec() = default;

    enum class Piece : bool { Inner, Last };
    virtual Result<void> write(std::string_view bytes, Piece piece) = 0;

    ByteSink& sink;
};

namespace {

class PassThroughSink final : public Compressor::Codec {
  public:
    using Codec::Codec;

    Result<void> write(std::string_view bytes, Piece) override {
        return bytes.empty() ? ok() : sink.write(bytes);
    }
};

class GzipEncoder final : public Compressor::Codec {
  public:
    GzipEncoder(ByteSink& target, Compressor::Level level)
        : Codec(target)
        , level_buffer_(
              level == Compressor::Level::Fast ? ISAL_DEF_LVL1_DEFAULT : ISAL_DEF_LVL3_DEFAULT) {
        isal_deflate_init(&stream_);
        stream_.gzip_flag = IGZIP_GZIP;
        stream_.level = level == Compressor::Level::Fast ? 1 : 3;
        stream_.level_buf = level_buffer_.data();
        stream_.level_buf_size = static_cast<std::uint32_t>(level_buffer_.size());
    }

    Result<void> write(std::string_view bytes, Piece piece) override {
        // SAFETY: isal only reads next_in; its type lacks the const.
        stream_.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
        stream_.avail_in = static_cast<std::uint32_t>(bytes.size());
        stream_.end_of_stream = piece == Piece::Last ? 1 : 0;
        bool more = true;
        while (more) {
            stream_.next_out = reinterpret_cast<std::uint8_t*>(output_.data());
            stream_.avail_out = static_cast<std::uint32_t>(output_.size());
            VERIFY(isal_deflate(&stream_) == COMP_OK);
            TRY(sink.write({output_.data(), output_.size() - stream_.avail_out}));
            more = stream_.avail_out == 0 || stream_.avail_in > 0;
        }
        return ok();
    }

  private:
    isal_zstream stream_{};
    std::vector<std::uint8_t> level_buffer_;
    std::array<char, output_bytes> output_;
};

class ZstdEncoder final : public Compressor::Codec {
  public:
    ZstdEncoder(ByteSink& target, Compressor::Level level)
        : Codec(target)
        , context_(ZSTD_createCCtx()) {
        VERIFY(context_ != nullptr);
        const int number = level == Compressor::Level::Fast ? 1 : 3;
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, number);
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    }

    Result<void> write(std::string_view bytes, Piece piece) override {
        const ZSTD_EndDirective mode = piece == Piece::Last ? ZSTD_e_end : ZSTD_e_continue;
        ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
        bool more = true;
        while (more) {
            ZSTD_outBuffer out{output_.data(), output_.size(), 0};
            const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, mode);
            if (ZSTD_isError(left) != 0) {
                return internal_error(std::string("zstd: ") + ZSTD_getErrorName(left));
            }
            TRY(sink.write({output_.data(), out.pos}));
            more = mode == ZSTD_e_end ? left != 0 : in.pos < in.size;
        }
        return ok();
    }

  private:
    struct Free {
        void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    };

    std::unique_ptr<ZSTD_CCtx, Free> context_;
    std::array<char, output_bytes> output_;
};

Result<std::unique_ptr<Compressor::Codec>>
make_codec(ByteSink& sink, Format format, Compressor::Level level) {
    switch (format) {
    case Format::None:
        return std::make_unique<PassThroughSink>(sink);
    case Format::Gzip:
        return std::make_unique<GzipEncoder>(sink, level);
    case Format::Zstd:
        return std::make_unique<ZstdEncoder>(sink, level);
    case Format::Bzip2:
    case Format::Xz:
        break;
    }
    return not_implemented("compressing as " + std::string(to_string(format)));
}

} // namespace

Compressor::Compressor(Private, std::unique_ptr<Codec> codec)
    : codec_(std::move(codec)) {}

Compressor::~Compressor() = default;

Result<std::unique_ptr<Compressor>> Compressor::create(ByteSink& sink, Format format, Level level) {
    auto codec = TRY(make_codec(sink, format, level));
    return std::make_unique<Compressor>(Private(), std::move(codec));
}

Result<void> Compressor::write(std::string_view bytes) {
    while (pending_.size() + bytes.size() >= piece_bytes) {
        const std::size_t count = piece_bytes - pending_.size();
        if (pending_.empty()) {
            TRY(codec_->write(bytes.substr(0, count), Codec::Piece::Inner));
        } else {
            pending_.append(bytes.substr(0, count));
            TRY(codec_->write(pending_, Codec::Piece::Inner));
            pending_.clear();
        }
        bytes.remove_prefix(count);
    }
    pending_.append(bytes);
    return ok();
}

Result<void> Compressor::finish() {
    TRY(codec_->write(pending_, Codec::Piece::Last));
    pending_.clear();
    return ok();
}

} // namespace berth::compression
