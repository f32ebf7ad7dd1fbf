// SPDX-License-Identifier: Apache-2.0
// Bytes that are pulled (ByteSource) or pushed (ByteSink), so that codecs chain without copies of
// whole files. An object is used by one thread at a time.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace berth {

class ByteSource {
  public:
    virtual ~ByteSource() = default;
    // At least one byte unless buffer is empty; 0 means the end, and again 0 after it.
    virtual Result<std::size_t> read(std::span<char> buffer) = 0;
    // Passes over up to `count` bytes; the number passed over, smaller only at the end. Sources
    // that can do it without handing the bytes out do.
    virtual Result<std::uint64_t> skip(std::uint64_t count);
};

class ByteSink {
  public:
    virtual ~ByteSink() = default;
    // All of the bytes, or an error.
    virtual Result<void> write(std::string_view bytes) = 0;
};

class FdSource final : public ByteSource {
  public:
    explicit FdSource(UniqueFd fd)
        : owned_(std::move(fd))
        , fd_(owned_.get()) {}

    // The owner must outlive this object.
    explicit FdSource(FdRef fd)
        : fd_(fd.get()) {}

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    UniqueFd owned_;
    int fd_;
};

class FdSink final : public ByteSink {
  public:
    explicit FdSink(UniqueFd fd)
        : owned_(std::move(fd))
        , fd_(owned_.get()) {}

    // The owner must outlive this object.
    explicit FdSink(FdRef fd)
        : fd_(fd.get()) {}

    Result<void> write(std::string_view bytes) override;

  private:
    UniqueFd owned_;
    int fd_;
};

class StringSource final : public ByteSource {
  public:
    explicit StringSource(std::string bytes)
        : bytes_(std::move(bytes)) {}

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    std::string bytes_;
    std::size_t position_ = 0;
};

class StringSink final : public ByteSink {
  public:
    explicit StringSink(std::size_t limit = SIZE_MAX)
        : limit_(limit) {}

    // ResourceExhausted past the limit.
    Result<void> write(std::string_view bytes) override;

    const std::string& bytes() const { return bytes_; }

    std::string take() { return std::move(bytes_); }

  private:
    std::string bytes_;
    std::size_t limit_;
};

// At most `limit` bytes of source and then its end; the reader behind does not see the end of
// source sooner.
class LimitedSource final : public ByteSource {
  public:
    LimitedSource(ByteSource& source, std::uint64_t limit)
        : source_(source)
        , left_(limit) {}

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    ByteSource& source_;
    std::uint64_t left_;
};

// Fills the buffer unless the source ends first; the number of bytes read.
Result<std::size_t> read_full(ByteSource& source, std::span<char> buffer);

// All that is left, at most `limit` bytes: a longer source is ResourceExhausted.
Result<std::string> read_to_end(ByteSource& source, std::size_t limit);

// All that is left, from one to the other; the number of bytes copied.
Result<std::uint64_t> copy(ByteSource& source, ByteSink& sink);

} // namespace berth
