// SPDX-License-Identifier: Apache-2.0
// Docker's multiplexed stream of attach, exec and logs: frames of stdout and stderr, each behind a
// header of eight bytes: stream, three zeros, the payload's length in network order.
// https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerAttach
#pragma once

#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace berth::io {

// Bookmark is ours, in logs that were asked for with bookmarks: where to go on behind what came.
enum class Stream : std::uint8_t {
    Stdin = 0,
    Stdout = 1,
    Stderr = 2,
    SystemError = 3,
    Bookmark = 4,
};

inline constexpr std::size_t frame_header_size = 8;
using FrameHeader = std::array<char, frame_header_size>;

// REQUIRES: length < 2^32.
FrameHeader make_frame_header(Stream stream, std::size_t length);

// Appends header and payload.
void append_frame(std::string& out, Stream stream, std::string_view payload);

// Splits a multiplexed stream that arrives in pieces of any size. Payload is handed on as it comes,
// never collected, so the memory used does not depend on what the sender claims.
class StreamDemultiplexer {
  public:
    using Sink = std::function<Result<void>(Stream stream, std::string_view bytes)>;

    // InvalidArgument for a header that is not one; the sink's error ends the call too.
    Result<void> feed(std::string_view bytes, const Sink& sink);

    // True between frames: a stream that ends elsewhere was cut off.
    bool at_frame_boundary() const { return header_filled_ == 0 && payload_left_ == 0; }

  private:
    FrameHeader header_{};
    std::size_t header_filled_ = 0;
    std::size_t payload_left_ = 0;
    Stream stream_ = Stream::Stdout;
};

} // namespace berth::io
