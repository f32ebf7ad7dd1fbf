// SPDX-License-Identifier: Apache-2.0
// Docker's multiplexed streams; the first byte chooses the size of the pieces that arrive.
#include "io/stream_multiplexer.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::size_t piece = data[0] + std::size_t{1};
    const std::string bytes(data + 1, data + size);
    berth::io::StreamDemultiplexer demultiplexer;
    std::size_t payload = 0;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const auto fed = demultiplexer.feed(
            std::string_view(bytes).substr(at, piece),
            [&](berth::io::Stream, std::string_view part) {
                payload += part.size();
                return berth::ok();
            });
        if (!fed.ok()) {
            break;
        }
    }
    return payload <= bytes.size() ? 0 : (std::abort(), 0);
}
