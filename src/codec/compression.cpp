// SPDX-License-Identifier: Apache-2.0
// Which format a stream has.
#include "codec/compression.h"

namespace berth::compression {

std::string_view to_string(Format format) {
    switch (format) {
    case Format::None:
        return "none";
    case Format::Gzip:
        return "gzip";
    case Format::Zstd:
        return "zstd";
    case Format::Bzip2:
        return "bzip2";
    case Format::Xz:
        return "xz";
    }
    return "unknown";
}

Format detect(std::string_view first_bytes) {
    const auto begins_with = [first_bytes](std::string_view magic) {
        return first_bytes.starts_with(magic);
    };
    if (begins_with("\x1f\x8b\x08")) {
        return Format::Gzip;
    }
    if (begins_with("\x28\xb5\x2f\xfd")) {
        return Format::Zstd;
    }
    // zstd's skippable frames (0x184D2A50 to 5F) may come first.
    if (first_bytes.size() >= 4 && (static_cast<unsigned char>(first_bytes[0]) & 0xf0U) == 0x50U &&
        first_bytes.substr(1, 3) == "\x2a\x4d\x18") {
        return Format::Zstd;
    }
    if (begins_with("BZh")) {
        return Format::Bzip2;
    }
    if (begins_with({"\xfd\x37zXZ\0", 6})) {
        return Format::Xz;
    }
    return Format::None;
}

} // namespace berth::compression
