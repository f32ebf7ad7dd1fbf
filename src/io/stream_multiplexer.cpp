// SPDX-License-Identifier: Apache-2.0
// Frame headers of Docker's multiplexed streams.
#include "io/stream_multiplexer.h"

#include <algorithm>

namespace berth::io {

FrameHeader make_frame_header(Stream stream, std::size_t length) {
    FrameHeader header{};
    header[0] = static_cast<char>(stream);
    for (std::size_t i = 0; i < 4; ++i) {
        header[7 - i] = static_cast<char>(length >> (8 * i) & 0xffU);
    }
    return header;
}

void append_frame(std::string& out, Stream stream, std::string_view payload) {
    const FrameHeader header = make_frame_header(stream, payload.size());
    out.append(header.data(), header.size());
    out.append(payload);
}

Result<void> StreamDemultiplexer::feed(std::string_view bytes, const Sink& sink) {
    while (!bytes.empty()) {
        if (payload_left_ > 0) {
            const std::string_view payload = bytes.substr(0, payload_left_);
            bytes.remove_prefix(payload.size());
            payload_left_ -= payload.size();
            TRY(sink(stream_, payload));
            continue;
        }
        const std::size_t taken = std::min(frame_header_size - header_filled_, bytes.size());
        std::copy_n(bytes.begin(), taken, header_.data() + header_filled_);
        header_filled_ += taken;
        bytes.remove_prefix(taken);
        if (header_filled_ < frame_header_size) {
            break;
        }
        header_filled_ = 0;
        const auto stream = static_cast<unsigned char>(header_[0]);
        if (stream > static_cast<unsigned char>(Stream::Bookmark)) {
            return invalid_argument("unrecognized stream: " + std::to_string(stream));
        }
        stream_ = Stream{stream};
        for (std::size_t i = 4; i < frame_header_size; ++i) {
            payload_left_ = payload_left_ << 8U | static_cast<unsigned char>(header_[i]);
        }
    }
    return ok();
}

} // namespace berth::io
