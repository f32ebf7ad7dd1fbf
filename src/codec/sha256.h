// SPDX-License-Identifier: Apache-2.0
// SHA-256 with OpenSSL's instructions-aware code, and streams that hash what passes through.
#pragma once

#include "codec/stream.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace berth {

class Sha256 {
  public:
    Sha256();
    Sha256(Sha256&&) noexcept = default;
    Sha256& operator=(Sha256&&) noexcept = default;

    void update(std::string_view bytes);

    // Ends the computation: a second call, or an update after it, is a broken invariant.
    std::array<std::uint8_t, 32> finish();
    // finish() as 64 lower-case digits.
    std::string finish_hex();

  private:
    struct FreeContext {
        void operator()(void* context) const;
    };

    std::unique_ptr<void, FreeContext> context_;
};

std::string sha256_hex(std::string_view bytes);

// Passes source through, hashing and counting what has been read.
class HashingSource final : public ByteSource {
  public:
    // source must outlive this object.
    explicit HashingSource(ByteSource& source)
        : source_(source) {}

    Result<std::size_t> read(std::span<char> buffer) override;

    std::uint64_t count() const { return count_; }

    // Of all bytes read so far; ends the computation.
    std::string finish_hex() { return hash_.finish_hex(); }

  private:
    ByteSource& source_;
    Sha256 hash_;
    std::uint64_t count_ = 0;
};

// Passes bytes on to sink, hashing and counting what has been written.
class HashingSink final : public ByteSink {
  public:
    // sink must outlive this object.
    explicit HashingSink(ByteSink& sink)
        : sink_(sink) {}

    Result<void> write(std::string_view bytes) override;

    std::uint64_t count() const { return count_; }

    // Of all bytes written so far; ends the computation.
    std::string finish_hex() { return hash_.finish_hex(); }

  private:
    ByteSink& sink_;
    Sha256 hash_;
    std::uint64_t count_ = 0;
};

} // namespace berth
