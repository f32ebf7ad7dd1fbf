// SPDX-License-Identifier: Apache-2.0
// A source that passes through and goes, compressed with gzip, into a blob beside.
#pragma once

#include "codec/compression.h"
#include "codec/stream.h"
#include "store/blob_store.h"

#include <memory>
#include <utility>

namespace berth::store {

class CompressingTee final : public ByteSource {
  public:
    // All must outlive the object.
    static Result<CompressingTee> create(ByteSource& source, BlobStore& blobs, Lease& lease) {
        auto writer = std::make_unique<BlobWriter>(TRY(blobs.writer(lease)));
        auto compressor = TRY(compression::Compressor::create(*writer, compression::Format::Gzip));
        return CompressingTee(source, std::move(writer), std::move(compressor));
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        std::size_t count = TRY(source_.read(buffer));
        TRY(compressor_->write({buffer.data(), count}));
        return count;
    }

    // REQUIRES: the source is at its end.
    Result<BlobInfo> finish() {
        TRY(compressor_->finish());
        return writer_->commit();
    }

  private:
    CompressingTee(
        ByteSource& source,
        std::unique_ptr<BlobWriter> writer,
        std::unique_ptr<compression::Compressor> compressor)
        : source_(source)
        , writer_(std::move(writer))
        , compressor_(std::move(compressor)) {}

    ByteSource& source_;
    std::unique_ptr<BlobWriter> writer_; // before the compressor, which writes to it
    std::unique_ptr<compression::Compressor> compressor_;
};

} // namespace berth::store
