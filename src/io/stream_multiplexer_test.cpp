// SPDX-License-Identifier: Apache-2.0
// Frames of multiplexed streams, whole and in pieces.
#include "io/stream_multiplexer.h"

#include <gtest/gtest.h>

namespace berth::io {
namespace {

struct Collected {
    std::string out;
    std::string err;

    StreamDemultiplexer::Sink sink() {
        return [this](Stream stream, std::string_view bytes) -> Result<void> {
            (stream == Stream::Stderr ? err : out) += bytes;
            return ok();
        };
    }
};

TEST(StreamMultiplexer, HeaderIsStreamThreeZerosAndBigEndianLength) {
    const FrameHeader header = make_frame_header(Stream::Stderr, 0x01020304);
    EXPECT_EQ(
        std::string(header.data(), header.size()), std::string("\x02\0\0\0\x01\x02\x03\x04", 8));
}

TEST(StreamMultiplexer, DemultiplexesPiecesOfAnySize) {
    std::string bytes;
    append_frame(bytes, Stream::Stdout, "hello ");
    append_frame(bytes, Stream::Stderr, "oops");
    append_frame(bytes, Stream::Stdout, "");
    append_frame(bytes, Stream::Stdout, "world");
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        StreamDemultiplexer demultiplexer;
        Collected collected;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            ASSERT_TRUE(
                demultiplexer.feed(std::string_view(bytes).substr(at, piece), collected.sink())
                    .ok());
        }
        EXPECT_EQ(collected.out, "hello world");
        EXPECT_EQ(collected.err, "oops");
        EXPECT_TRUE(demultiplexer.at_frame_boundary());
    }
}

TEST(StreamMultiplexer, KnowsThatAStreamWasCutOff) {
    std::string bytes;
    append_frame(bytes, Stream::Stdout, "hello");
    StreamDemultiplexer demultiplexer;
    Collected collected;
    ASSERT_TRUE(demultiplexer.feed(std::string_view(bytes).substr(0, 10), collected.sink()).ok());
    EXPECT_EQ(collected.out, "he");
    EXPECT_FALSE(demultiplexer.at_frame_boundary());
}

TEST(StreamMultiplexer, RejectsAnUnknownStream) {
    StreamDemultiplexer demultiplexer;
    Collected collected;
    const Result<void> result =
        demultiplexer.feed(std::string_view("HTTP/1.1", 8), collected.sink());
    EXPECT_EQ(result.error().kind(), ErrorKind::InvalidArgument);
}

} // namespace
} // namespace berth::io
