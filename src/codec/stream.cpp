// SPDX-License-Identifier: Apache-2.0
// The plain sources and sinks.
#include "codec/stream.h"

#include "base/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include <unistd.h>

namespace berth {

namespace {

constexpr std::size_t chunk_bytes = 64U << 10;

Error too_long(std::size_t limit) {
    return {
        ErrorKind::ResourceExhausted,
        "the data exceeds the limit of " + std::to_string(limit) + " bytes"};
}

} // namespace

Result<std::uint64_t> ByteSource::skip(std::uint64_t count) {
    std::vector<char> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(count, chunk_bytes)));
    std::uint64_t skipped = 0;
    while (skipped < count) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(count - skipped, buffer.size()));
        const std::size_t got = TRY(read(std::span(buffer).first(wanted)));
        if (got == 0) {
            break;
        }
        skipped += got;
    }
    return skipped;
}

Result<std::size_t> FdSource::read(std::span<char> buffer) {
    while (true) {
        const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (errno != EINTR) {
            return errno_error("read");
        }
    }
}

Result<void> FdSink::write(std::string_view bytes) {
    return write_all(FdRef::unowned(fd_), bytes);
}

Result<std::size_t> StringSource::read(std::span<char> buffer) {
    const std::size_t count = bytes_.copy(buffer.data(), buffer.size(), position_);
    position_ += count;
    return count;
}

Result<void> StringSink::write(std::string_view bytes) {
    if (bytes.size() > limit_ - bytes_.size()) {
        return too_long(limit_);
    }
    bytes_.append(bytes);
    return ok();
}

Result<std::size_t> LimitedSource::read(std::span<char> buffer) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
    if (wanted == 0) {
        return std::size_t{0};
    }
    const std::size_t count = TRY(source_.read(buffer.first(wanted)));
    left_ -= count;
    return count;
}

Result<std::size_t> read_full(ByteSource& source, std::span<char> buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
        const std::size_t count = TRY(source.read(buffer.subspan(filled)));
        if (count == 0) {
            break;
        }
        filled += count;
    }
    return filled;
}

Result<std::string> read_to_end(ByteSource& source, std::size_t limit) {
    StringSink sink(limit);
    TRY(copy(source, sink));
    return sink.take();
}

Result<std::uint64_t> copy(ByteSource& source, ByteSink& sink) {
    const auto buffer = std::make_unique<std::array<char, chunk_bytes>>();
    std::uint64_t total = 0;
    while (true) {
        const std::size_t count = TRY(source.read(*buffer));
        if (count == 0) {
            return total;
        }
        TRY(sink.write({buffer->data(), count}));
        total += count;
    }
}

} // namespace berth
