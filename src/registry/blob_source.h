// SPDX-License-Identifier: Apache-2.0
// A blob that is fetched while it is read, and fetched on where a connection broke. Internal.
#pragma once

#include "codec/stream.h"
#include "registry/client_parts.h"

#include <cstdint>
#include <memory>
#include <stop_token>

namespace berth::registry {

// Used by one thread at a time.
class BlobSource final : public ByteSource {
  public:
    BlobSource(
        Client::Parts& parts,
        std::stop_token stop,
        const oci::Descriptor& blob,
        std::uint64_t offset)
        : parts_(parts)
        , stop_(std::move(stop))
        , digest_(blob.digest)
        , size_(static_cast<std::uint64_t>(blob.size))
        , position_(offset)
        , progress_mark_(offset) {}

    // Connects, so that a missing blob is told before the first byte is wanted.
    Result<void> open();
    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    Result<void> pass_over(std::uint64_t count);
    Result<void> recover(Error error);

    Client::Parts& parts_;
    std::stop_token stop_;
    oci::Digest digest_;
    std::uint64_t size_;
    std::uint64_t position_;
    std::uint64_t progress_mark_; // where the last failure was
    int failures_ = 0;
    std::unique_ptr<Exchange> exchange_;
};

} // namespace berth::registry
