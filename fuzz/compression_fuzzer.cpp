// SPDX-License-Identifier: Apache-2.0
// Compressed streams of every format.
#include "codec/compression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    berth::StringSource source(std::string(data, data + size));
    auto decompressor = berth::compression::Decompressor::create(source);
    if (decompressor.ok()) {
        (void)berth::read_to_end(**decompressor, 16U << 20).ok();
    }
    return 0;
}
