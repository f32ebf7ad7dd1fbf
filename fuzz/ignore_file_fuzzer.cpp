// SPDX-License-Identifier: Apache-2.0
// .dockerignore: the first line is a path, the rest the patterns.
#include "codec/ignore_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    const std::size_t line = std::min(text.find('\n'), text.size());
    const auto file = berth::IgnoreFile::parse(std::string_view(text).substr(line));
    if (file.ok()) {
        (void)file->excludes(text.substr(0, line));
    }
    return 0;
}
